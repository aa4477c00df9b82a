"""The extension of JupyterLab: its types, its own tests, what it was made from, and what a browser has to load."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "labextension"
BUILT = ROOT / "conda_store_hub" / "labextension"
MOST_BYTES = 250_000  # compressed
ORDER = ("schema", "tokens", "api", "model", "components", "plugins", "index")


def load(name: str) -> ModuleType:
    """Return a script of the extension's as a module; its neighbours are found as when it is run."""
    spec = importlib.util.spec_from_file_location(name, SOURCE / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(SOURCE / "scripts"))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def test_what_was_built_of_other_files_is_not_packaged(tmp_path: Path) -> None:
    sources = load("sources")
    made_of = ("tsconfig.json", "schema/plugin.json", "src/index.ts", "style/index.css", "pages/create.ts")
    for name in (*sources.LOCK, *made_of, "scripts/pages.mjs"):
        (tmp_path / "labextension" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "labextension" / name).write_text("1")
    built = tmp_path / "conda_store_hub" / "labextension" / "package.json"
    script = tmp_path / "conda_store_hub" / "web" / "static" / "built" / "create.js"

    def build() -> None:
        for file in (built, script):
            file.parent.mkdir(parents=True)
            file.write_text("{}")

    build()
    sources.remove_stale(tmp_path)
    assert not built.exists(), "nobody knows what it was built of"
    build()
    sources.note_built(tmp_path)
    sources.remove_stale(tmp_path)
    assert built.exists()
    (tmp_path / "labextension" / "src" / "index.ts").write_text("2")
    (tmp_path / "PKG-INFO").write_text("")
    sources.remove_stale(tmp_path)
    assert built.exists(), "an sdist has no other"
    (tmp_path / "PKG-INFO").unlink()
    sources.remove_stale(tmp_path)
    assert not built.exists()
    assert not script.exists()


def test_what_was_built_is_looked_at_before_it_is_taken_for_there() -> None:
    hooks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["hooks"]
    assert [*hooks] == ["custom", "jupyter-builder"]


@pytest.fixture(scope="module")
def node() -> Path:
    """A Node, with the extension's packages in place."""
    return load("build").ensure_modules().node


def run(node: Path, arguments: Sequence[str]) -> str:
    environment = os.environ | {"NO_COLOR": "1", "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([node, *arguments], cwd=SOURCE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_types_hold_in_the_extension_and_its_tests(node: Path) -> None:
    run(node, ["node_modules/typescript/bin/tsc", "--project", "tsconfig.test.json"])


def test_its_own_tests_pass(node: Path) -> None:
    files = sorted(str(path.relative_to(SOURCE)) for path in (SOURCE / "test").glob("*.test.ts"))
    said = run(node, ["--import", "tsx", "--test", "--test-reporter=tap", *files])
    found = re.search(r"^# pass (\d+)$", said, re.MULTILINE)
    assert found is not None
    assert int(found[1]) >= 26


def test_the_types_of_the_api_are_those_of_the_service(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(node.parent), prepend=os.pathsep)
    said = "run: .venv/bin/python labextension/scripts/schema.py"
    assert (SOURCE / "src" / "schema.ts").read_text() == load("schema").make_types(), said


def test_a_browser_loads_little() -> None:
    files = [path for path in (BUILT / "static").iterdir() if path.suffix in (".js", ".css", ".svg")]
    assert files
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < MOST_BYTES


def test_the_package_and_its_extension_have_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    package = json.loads((SOURCE / "package.json").read_text())
    assert package["version"] == project["version"]


def test_the_lock_file_names_no_registry() -> None:
    assert "://" not in (SOURCE / "yarn.lock").read_text()


def test_requests_are_made_in_one_file() -> None:
    fetch = r"(?<![\w.])fetch\(|(window|self|globalThis)\.fetch\("  # that of a state database is another one
    verbs = re.compile(fetch + r"|makeRequest|XMLHttpRequest|EventSource\(|sendBeacon")
    users = {path.name for path in _list_sources() if verbs.search(path.read_text())}
    assert users == {"connection.ts"}


@pytest.mark.parametrize("path", sorted((SOURCE / "src").rglob("*.ts*")), ids=lambda path: path.name)
def test_imports_point_one_way(path: Path) -> None:
    own = _rank(path)
    for found in re.findall(r"""from '(\.[^']*)'""", path.read_text()):
        imported = (path.parent / found).resolve()
        assert _rank(imported) <= own, f"{path.name} imports {found}"


def _list_sources() -> list[Path]:
    return [path for path in (SOURCE / "src").rglob("*.ts*") if path.name != "schema.ts"]


def _rank(path: Path) -> int:
    """Return how far up a file stands; icons, settings and the like are on the level of the model."""
    part = path.relative_to(SOURCE / "src").parts[0].split(".")[0]
    return ORDER.index(part) if part in ORDER else ORDER.index("model")
