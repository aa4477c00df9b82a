"""A whole build: what it tells, what stands on disk, and that it computes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tarfile
from pathlib import Path

from conda_store_hub.core.protocol import MADE_OF_PREFIXES, ArtifactType, Phase, PhaseEvent, ProgressEvent
from tests.builder.conftest import Built
from tests.support.builder import Workshop, run_builder


def run_in(prefix: Path, code: str) -> str:
    """Run code with the prefix's Python, as somebody who cannot write."""
    done = subprocess.run(
        [prefix / "bin" / "python", "-B", "-c", code], capture_output=True, text=True, env={}, check=True
    )
    return done.stdout.strip()


def test_events_are_numbered_and_in_time(built: Built) -> None:
    assert [event.seq for event in built.outcome.events] == list(range(1, len(built.outcome.events) + 1))
    times = [event.t for event in built.outcome.events]
    assert times == sorted(times)
    assert times[0] > 0


def test_phases_come_in_order_and_each_ends(built: Built) -> None:
    phases = [event for event in built.outcome.events if isinstance(event, PhaseEvent)]
    started = [event.name for event in phases if event.state == "started"]
    assert started[:7] == [
        Phase.SOLVE,
        Phase.INSTALL,
        Phase.BYTECODE,
        Phase.PIP,
        Phase.ACTIVATE,
        Phase.YAML,
        started[6],
    ]
    assert set(started[6:]) == {
        *(Phase.EXPLICIT, Phase.LOCKFILE, Phase.PIXI_LOCK, Phase.SBOM),
        *(Phase.ARCHIVE, Phase.IMAGE, Phase.IMAGE_ARCHIVE),
    }
    assert sorted(started) == sorted(event.name for event in phases if event.state == "finished")


def test_usable_is_told_before_the_artifacts(built: Built) -> None:
    kinds = [event.type for event in built.outcome.events]
    artifacts = [event.artifact for event in built.outcome.events[kinds.index("usable") :] if event.type == "artifact"]
    assert kinds.index("lock") < kinds.index("usable")
    assert sorted(artifacts) == sorted(MADE_OF_PREFIXES)
    assert ArtifactType.PIP_LOCK not in artifacts, "what pip installed is known before"
    assert kinds[-1] == "result"
    assert built.outcome.code == 0


def test_progress_reaches_its_total(built: Built) -> None:
    shown = [event for event in built.outcome.events if isinstance(event, ProgressEvent)]
    for phase in (Phase.INSTALL, Phase.BYTECODE):
        last = [event for event in shown if event.phase == phase][-1]
        assert last.done == last.total > 0


def test_the_environment_computes(built: Built) -> None:
    assert run_in(built.prefix, "import numpy, flask, tiny_pip; print(numpy.arange(3).sum() + tiny_pip.ANSWER)") == "45"


def test_scripts_run_with_the_environments_python(built: Built) -> None:
    done = subprocess.run(
        [built.prefix / "bin" / "flask", "--version"], capture_output=True, text=True, env={}, check=True
    )
    assert "Flask" in done.stdout


def test_scripts_of_the_pip_part_run_with_the_environments_python(built: Built) -> None:
    script = built.prefix / "bin" / "tiny-pip"
    assert script.read_text().splitlines()[0] == f"#!{built.prefix}/bin/python"
    done = subprocess.run([script], capture_output=True, text=True, env={}, check=True)
    assert done.stdout.strip() == str(built.prefix)


def test_usable_lists_what_conda_meta_and_pip_have(built: Built) -> None:
    usable = built.outcome.usable
    conda = {package.name for package in usable.packages if package.manager == "conda"}
    assert conda == {json.loads(path.read_text())["name"] for path in (built.prefix / "conda-meta").glob("*.json")}
    (pip,) = (package for package in usable.packages if package.manager == "pip")
    assert (pip.name, pip.version, pip.license) == ("tiny-pip", "1.2", "MIT")
    assert len(pip.sha256) == 64
    assert pip.url.endswith("/tiny-pip/tiny_pip-1.2-py3-none-any.whl")
    for package in usable.packages:
        assert package.sha256
        assert package.url.startswith("http://127.0.0.1:")
    (numpy,) = (package for package in usable.packages if package.name == "numpy")
    assert numpy.channel == built.request.channels[0]
    assert numpy.md5
    assert numpy.size > 0
    assert numpy.build.startswith("py3")


def test_sizes_are_those_on_disk(built: Built) -> None:
    own = shared = 0
    for folder, _, names in os.walk(built.prefix):
        for name in names:
            status = (Path(folder) / name).lstat()
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                own += status.st_blocks * 512
            elif stat.S_ISREG(status.st_mode):
                shared += status.st_blocks * 512
    assert abs(built.outcome.usable.size - own) < 20_000
    assert built.outcome.usable.shared_size == shared
    assert shared > 10 * own
    packages = sum(package.installed_size for package in built.outcome.usable.packages)
    bytecode = sum(path.lstat().st_blocks for path in built.prefix.rglob("*.pyc") if path.lstat().st_nlink > 1) * 512
    assert abs(packages + bytecode - shared) < shared / 20


def test_no_file_of_a_prefix_can_be_written_by_anybody(built: Built) -> None:
    for folder, _, names in os.walk(built.prefix):
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o755
        for name in names:
            path = Path(folder) / name
            if not path.is_symlink():
                assert stat.S_IMODE(path.stat().st_mode) in (0o444, 0o555), path


def test_nothing_tells_backup_tools_to_skip_the_prefix(built: Built) -> None:
    assert not (built.prefix / "CACHEDIR.TAG").exists()


def test_variables_stand_where_conda_reads_them(built: Built) -> None:
    state = json.loads((built.prefix / "conda-meta" / "state").read_text())
    assert state == {"version": 1, "env_vars": {"GREETING": "good day", "NUMBER": "1"}}


def test_kernels_are_told(built: Built) -> None:
    (kernel,) = built.outcome.usable.kernels
    assert kernel.raw == "python3"
    assert json.loads(kernel.spec)["language"] == "python"


def test_requested_dependencies_are_marked_as_such(built: Built) -> None:
    records = [json.loads(path.read_text()) for path in (built.prefix / "conda-meta").glob("*.json")]
    asked = {record["name"]: record["requested_specs"] for record in records if record["requested_specs"]}
    assert asked == {"python": ["python"], "numpy": ["numpy >=1"], "flask": ["flask"], "ipykernel": ["ipykernel"]}


def test_the_log_is_for_people(built: Built) -> None:
    log = built.outcome.log
    for words in ("Channels: http", "Solved: ", "numpy ", "Installing ", "downloaded", "tiny-pip==1.2", "Usable after"):
        assert words in log
    assert "Traceback" not in log
    assert "warning" not in log.lower()


def test_a_lock_skips_the_solve_and_gives_the_same_packages(workshop: Workshop, built: Built) -> None:
    unreachable = ("http://127.0.0.1:9/nothing-here",)
    again = workshop.build(
        "python", "numpy >=1", "flask", "ipykernel", records=built.outcome.lock.path, channels=unreachable
    )
    assert again.succeeded, again.log
    assert again.usable.packages == tuple(p for p in built.outcome.usable.packages if p.manager == "conda")
    assert Path(again.lock.path).read_text() == Path(built.outcome.lock.path).read_text()


def test_a_lock_that_cannot_be_read_is_said_so(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "records.json").write_text('[{"name": "numpy"}]')
    outcome = workshop.build("numpy", records=str(tmp_path / "records.json"))
    assert outcome.error.code == "invalid-request"
    assert "lock" in outcome.error.message


def test_an_environment_without_python_has_no_bytecode_and_no_kernel(workshop: Workshop) -> None:
    outcome = workshop.build("app")
    assert outcome.succeeded, outcome.log
    assert [package.name for package in outcome.usable.packages] == ["app", "base-lib"]
    assert outcome.usable.kernels == ()


def test_the_first_channel_that_has_a_name_wins(workshop: Workshop, sample: str, tiny: str) -> None:
    outcome = workshop.build("base-lib", channels=(tiny, sample))
    assert {package.channel for package in outcome.usable.packages} == {tiny}


def test_two_packages_with_one_file_are_told_of_and_the_archive_has_the_one_that_won(workshop: Workshop) -> None:
    request = workshop.request("clobbers-a", "clobbers-b", artifacts=(ArtifactType.CONDA_PACK,))
    outcome = run_builder(request)
    assert outcome.succeeded, outcome.log
    assert "more than one package has share/clobbered.txt" in outcome.log
    won = (Path(request.directories.prefix) / "share" / "clobbered.txt").read_bytes()
    with tarfile.open(outcome.artifacts[ArtifactType.CONDA_PACK].path) as archive:
        (name,) = (name for name in archive.getnames() if "clobbered" in name)
        assert archive.extractfile(name).read() == won  # type: ignore[union-attr]


def test_link_scripts_of_packages_do_not_run(workshop: Workshop) -> None:
    request = workshop.request("links", "links-badly")
    assert run_builder(request).succeeded
    assert not (Path(request.directories.prefix) / "post-link-ran").exists()
