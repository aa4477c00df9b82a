"""Bytecode is compiled once, shared by inode, right in tracebacks, and never half-made."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builder.conftest import Built
from tests.support.builder import Outcome, Workshop, run_builder, start_builder

LIBRARY = "lib/python3.*"


def list_bytecode(prefix: Path) -> Iterator[Path]:
    return prefix.rglob("__pycache__/*.pyc")


def run_python(prefix: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [prefix / "bin" / "python", "-B", *arguments], capture_output=True, text=True, env={}, check=False
    )


def compiled(outcome: Outcome) -> int:
    (line,) = (line for line in outcome.log.splitlines() if line.startswith("Bytecode: "))
    return int(line.split()[1].replace(",", ""))


@pytest.fixture(scope="module")
def twin(workshop: Workshop, built: Built) -> Path:
    """A second environment with packages that the first one has, and some odd modules."""
    request = workshop.request("python", "flask", "odd-modules")
    outcome = run_builder(request)
    assert outcome.succeeded, outcome.log
    assert compiled(outcome) == 1, "only the odd modules are new, and only one of them can be compiled"
    return Path(request.directories.prefix)


def test_environments_share_bytecode_by_inode(built: Built, twin: Path) -> None:
    theirs = {path.relative_to(twin): path.stat().st_ino for path in list_bytecode(twin)}
    shared = [path for path, inode in theirs.items() if (built.prefix / path).exists()]
    assert len(shared) > 500
    assert all((built.prefix / path).stat().st_ino == theirs[path] for path in shared)
    assert any(path.match("*/flask/__pycache__/app.*.pyc") for path in shared)


def test_every_module_but_the_exceptions_has_bytecode(built: Built) -> None:
    (library,) = built.prefix.glob(LIBRARY)
    sources = [path for path in library.rglob("*.py") if not path.is_symlink()]
    with_bytecode = {path.parent.parent / path.name.split(".")[0] for path in list_bytecode(library)}
    without = [path for path in sources if path.with_suffix("") not in with_bytecode]
    assert len(without) < len(sources) / 100, without


def test_python_uses_the_bytecode_and_does_not_compile(twin: Path) -> None:
    done = run_python(twin, "-v", "-c", "import flask")
    assert "flask/__pycache__/app." in done.stderr
    assert "# code object from" not in "".join(
        line for line in done.stderr.splitlines(keepends=True) if ".pyc" not in line and "/flask/" in line
    )


def test_tracebacks_show_the_environments_own_paths(twin: Path) -> None:
    code = "import odd_modules; print(odd_modules.fail.__code__.co_filename, flush=True); odd_modules.fail()"
    done = run_python(twin, "-c", code)
    (source,) = twin.glob(f"{LIBRARY}/site-packages/odd_modules/__init__.py")
    assert done.stdout.strip() == str(source)
    assert f'File "{source}", line 2, in fail' in done.stderr
    assert "raise RuntimeError('as wanted')" in done.stderr


def test_what_does_not_compile_or_names_its_prefix_is_left_out(twin: Path) -> None:
    (folder,) = twin.glob(f"{LIBRARY}/site-packages/odd_modules/__pycache__")
    assert [path.name.split(".")[0] for path in folder.iterdir()] == ["__init__"]


def test_pip_packages_are_compiled_in_place(built: Built) -> None:
    (path,) = built.prefix.glob(f"{LIBRARY}/site-packages/tiny_pip/__pycache__/__init__.*.pyc")
    assert path.stat().st_nlink == 1
    done = run_python(built.prefix, "-v", "-c", "import tiny_pip")
    assert f"matches {path.parent.parent / '__init__.py'}" in done.stderr


def test_a_second_build_compiles_nothing(workshop: Workshop, twin: Path) -> None:
    assert compiled(workshop.build("python", "flask", "odd-modules")) == 0


def test_bytecode_that_lost_a_file_heals(workshop: Workshop, twin: Path) -> None:
    (manifest,) = (
        path
        for path in workshop.data.bytecode.glob("*/*/manifest.json")
        if any(name and "odd_modules" in name for name in json.loads(path.read_text())["paths"])
    )
    number = next(n for n, name in enumerate(json.loads(manifest.read_text())["paths"]) if name)
    (manifest.parent / str(number)).unlink()
    first = workshop.build("python", "flask", "odd-modules")
    assert first.succeeded
    assert "shared bytecode was damaged" in first.log
    second = workshop.build("python", "flask", "odd-modules")
    assert compiled(second) == 1
    assert "damaged" not in second.log


def test_what_a_killed_builder_left_is_not_used(workshop: Workshop, twin: Path, tmp_path: Path, sample: str) -> None:
    (complete,) = (
        path.parent
        for path in workshop.data.bytecode.glob("*/*/manifest.json")
        if any(name and "odd_modules" in name for name in json.loads(path.read_text())["paths"])
    )
    half = complete.with_name(f".{complete.name}")
    complete.rename(half)
    for path in half.iterdir():
        path.chmod(0o644)
        path.write_bytes(b"half")
    request = workshop.request("python", "flask", "odd-modules")
    outcome = run_builder(request)
    assert compiled(outcome) == 1
    assert not half.exists()
    done = run_python(Path(request.directories.prefix), "-c", "import odd_modules; odd_modules.fail()")
    assert "as wanted" in done.stderr


def test_two_builders_on_one_cold_cache_share_the_work(
    tmp_path_factory: pytest.TempPathFactory, sample: str, tiny: str
) -> None:
    cold = Workshop(tmp_path_factory.mktemp("c"), [sample, tiny])
    requests = [cold.request("python", "flask"), cold.request("python", "odd-modules", "click")]
    with start_builder(requests[0]) as one, start_builder(requests[1]) as other:
        outcomes = [one.wait(), other.wait()]
    assert all(outcome.succeeded for outcome in outcomes), outcomes
    total = sum(compiled(outcome) for outcome in outcomes)
    inodes = {path.stat().st_ino for request in requests for path in list_bytecode(Path(request.directories.prefix))}
    assert total == len(inodes), "each file was compiled once, by one of them"
    assert not [path for path in cold.data.bytecode.glob("*/.*") if path.is_dir()]
    for request, module in zip(requests, ("flask", "odd_modules"), strict=True):
        assert run_python(Path(request.directories.prefix), "-c", f"import {module}").returncode == 0


def test_bytecode_cannot_be_written(workshop: Workshop, built: Built) -> None:
    for folder, _, names in os.walk(workshop.data.bytecode):
        for name in names:
            if name.isdigit():
                assert (Path(folder) / name).stat().st_mode & 0o222 == 0
