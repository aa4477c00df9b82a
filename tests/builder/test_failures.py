"""Builds that cannot succeed: each ends in one error that says why, with the line at fault."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tarfile
from pathlib import Path

import pytest

from conda_store_hub.core.protocol import ArtifactType, BuildRequest, PhaseEvent
from conda_store_hub.demo.channel import index, make_package, serve_channel
from tests.support.builder import Outcome, Workshop, run_builder


def require_one_error(outcome: Outcome, code: str) -> str:
    """Return the message of the only error, which is the last event and is in the log."""
    assert not outcome.succeeded
    assert outcome.events[-1] is outcome.error
    assert outcome.error.code == code, outcome.log
    assert outcome.error.message in outcome.log
    assert "Traceback" not in outcome.log
    return outcome.error.message


def test_a_package_that_does_not_exist_is_named_with_its_line_and_near_names(workshop: Workshop) -> None:
    outcome = workshop.build("python", "numpyy")
    message = require_one_error(outcome, "package-not-found")
    assert message == "There is no package numpyy in the channels. Did you mean numpy?"
    assert (outcome.error.line, outcome.error.column) == (6, 5)
    assert outcome.code == 10


def test_a_version_that_does_not_exist_is_answered_with_those_that_do(workshop: Workshop) -> None:
    outcome = workshop.build("app", "base-lib >=7")
    message = require_one_error(outcome, "unsatisfiable")
    assert message == "No package base-lib in the channels fits “base-lib >=7”; there is 2.0, 1.0."
    assert outcome.error.line == 6


def test_an_impossible_pair_is_named_and_the_solvers_tree_is_the_detail(workshop: Workshop) -> None:
    outcome = workshop.build("python", "app >=2", "old-app")
    message = require_one_error(outcome, "unsatisfiable")
    assert message == "“app >=2” and “old-app” cannot be installed together."
    assert outcome.error.line in (6, 7)
    assert "└─" in (outcome.error.detail or "")
    assert "base-lib" in outcome.log


def test_a_need_that_no_channel_has_is_told(workshop: Workshop) -> None:
    outcome = workshop.build("needs-nothing-real")
    message = require_one_error(outcome, "unsatisfiable")
    assert "needs-nothing-real" in message
    assert "no-such-package" in (outcome.error.detail or "")
    assert outcome.error.line == 5


def test_what_this_machine_lacks_is_named(workshop: Workshop, tmp_path: Path) -> None:
    make_package(tmp_path, "fast", "1.0", depends=["__cuda >=99"])
    index(tmp_path)
    with serve_channel(tmp_path) as address:
        outcome = workshop.build("fast", channels=(address,))
    assert "This machine does not offer __cuda >=99." in require_one_error(outcome, "unsatisfiable")


def test_the_newest_processor_is_not_counted_on(workshop: Workshop, tmp_path: Path) -> None:
    make_package(tmp_path, "fast", "1.0", depends=["__archspec * x86_64_v*"])
    index(tmp_path)
    with serve_channel(tmp_path) as address:
        outcome = workshop.build("fast", channels=(address,))
    assert "__archspec" in require_one_error(outcome, "unsatisfiable")


def test_a_channel_at_which_nothing_answers_is_named(workshop: Workshop, sample: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/gone"
        outcome = workshop.build("python", channels=(sample, address))
    message = require_one_error(outcome, "channel-unavailable")
    assert message == f"The channel {address} could not be read: nothing answers at this address."


def test_a_channel_without_noarch_is_named(workshop: Workshop, sample: str) -> None:
    outcome = workshop.build("python", channels=(f"{sample}/no-such-channel", sample))
    message = require_one_error(outcome, "channel-unavailable")
    assert f"The channel {sample}/no-such-channel could not be read" in message
    assert "noarch/repodata.json" in message


@pytest.mark.parametrize("form", ["repodata.json.zst", "repodata_shards.msgpack.zst"])
def test_a_channel_whose_newer_index_is_broken_is_read_from_its_oldest(
    workshop: Workshop, tmp_path: Path, form: str
) -> None:
    make_package(tmp_path, "here", "1.0")
    index(tmp_path)
    for newer in (tmp_path / "noarch").glob("repodata*.zst"):
        newer.unlink()
    broken = tmp_path / "noarch" / form
    broken.write_bytes(b"\x28\xb5\x2f\xfdrubbish")
    os.utime(broken, (0, 0))  # old enough to tell a state
    with serve_channel(tmp_path) as address:
        outcome = workshop.build("here", channels=(address,))
    assert outcome.succeeded, outcome.log
    assert "so the oldest is read" in outcome.log
    assert outcome.lock.channel_state is None


def test_a_channel_cannot_lead_to_a_channel_that_nobody_allowed(workshop: Workshop, tmp_path: Path) -> None:
    for channel, package in (("allowed", "here"), ("other", "elsewhere")):
        make_package(tmp_path / channel, package, "1.0")
        index(tmp_path / channel)
    for path in (tmp_path / "allowed" / "noarch").glob("repodata?*.*zst"):
        path.unlink()
    repodata = tmp_path / "allowed" / "noarch" / "repodata.json"
    value = json.loads(repodata.read_text())
    value["info"]["channel_relations"] = {"base": "../other"}
    repodata.write_text(json.dumps(value))
    with serve_channel(tmp_path) as address:
        outcome = workshop.build("elsewhere", channels=(f"{address}/allowed",))
    require_one_error(outcome, "package-not-found")


def test_a_package_that_is_not_what_its_channel_says_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    make_package(tmp_path, "changed", "1.0", files={"share/changed.txt": "as indexed\n"})
    index(tmp_path)
    make_package(tmp_path, "changed", "1.0", files={"share/changed.txt": "as of now\n"})
    with serve_channel(tmp_path) as address:
        outcome = workshop.build("changed", channels=(address,))
    message = require_one_error(outcome, "package-corrupt")
    assert "The package changed-1.0-0 is not what its channel says it is" in message


def test_a_package_that_changes_between_solve_and_install_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    make_package(tmp_path, "swapped", "1.0", files={"share/swapped.txt": "as solved\n"})
    index(tmp_path)
    with serve_channel(tmp_path) as address:
        solved = workshop.build("swapped", channels=(address,), solve_only=True)
        make_package(tmp_path, "swapped", "1.0", files={"share/swapped.txt": "as installed\n"})
        index(tmp_path)
        outcome = workshop.build("swapped", channels=(address,), records=solved.lock.path)
    message = require_one_error(outcome, "package-corrupt")
    assert "The package swapped-1.0-0 is not what its channel says it is" in message


def test_packages_of_one_name_from_two_channels_are_kept_apart(workshop: Workshop, tmp_path: Path) -> None:
    outcomes: dict[str, tuple[Path, Outcome]] = {}
    requests: dict[str, BuildRequest] = {}
    for channel in ("one", "two"):
        make_package(tmp_path / channel, "same-name", "1.0", files={"share/from.txt": channel})
        index(tmp_path / channel)
        with serve_channel(tmp_path / channel) as address:
            requests[channel] = workshop.request("same-name", channels=(address,))
            outcomes[channel] = (Path(requests[channel].directories.prefix), run_builder(requests[channel]))
    for channel, (prefix, outcome) in outcomes.items():
        assert outcome.succeeded, outcome.log
        assert (prefix / "share" / "from.txt").read_text() == channel
    # The cache has the second one now; the archive of the first is right all the same.
    late = requests["one"].model_copy(update={"prefix_ready": True, "artifacts": (ArtifactType.CONDA_PACK,)})
    outcome = run_builder(late)
    with tarfile.open(outcome.artifacts[ArtifactType.CONDA_PACK].path) as archive:
        assert archive.extractfile("share/from.txt").read() == b"one"  # type: ignore[union-attr]


def test_a_package_that_is_gone_is_named(workshop: Workshop, tmp_path: Path) -> None:
    path = make_package(tmp_path, "gone", "1.0")
    index(tmp_path)
    path.unlink()
    with serve_channel(tmp_path) as address:
        outcome = workshop.build("gone", channels=(address,))
    message = require_one_error(outcome, "install-failed")
    assert "The package gone-1.0-0 could not be downloaded" in message
    assert "404" in message


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_damaged_entry_of_the_package_cache_is_fetched_anew(workshop: Workshop, damage: str, tmp_path: Path) -> None:
    make_package(tmp_path, damage, "1.0", files={"share/whole.txt": "whole\n", "share/other.txt": "other\n"})
    index(tmp_path)
    with serve_channel(tmp_path) as address:
        assert workshop.build(damage, channels=(address,)).succeeded
        cached = workshop.data.packages / f"{damage}-1.0-0" / "share" / "whole.txt"
        cached.unlink()
        if damage == "short":
            cached.write_text("")
        request = workshop.request(damage, channels=(address,))
        outcome = run_builder(request)
    assert outcome.succeeded, outcome.log
    assert "in pieces; downloading again" in outcome.log
    assert (Path(request.directories.prefix) / "share" / "whole.txt").read_text() == "whole\n"
    assert cached.read_text() == "whole\n"
    assert not list(workshop.data.packages.glob(".damaged-*"))


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
def test_a_full_disk_is_said_so(tmp_path: Path) -> None:
    make_package(tmp_path / "channel", "large", "1.0", files={"share/large": os.urandom(3_000_000)})
    index(tmp_path / "channel")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
    try:
        with serve_channel(tmp_path / "channel") as address:
            outcome = Workshop(disk, [address]).build("large")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
    require_one_error(outcome, "disk-full")


def test_a_prefix_that_holds_something_is_left_alone(workshop: Workshop) -> None:
    request = workshop.request("app")
    prefix = Path(request.directories.prefix)
    prefix.mkdir(parents=True)
    (prefix / "precious").write_text("mine")
    require_one_error(run_builder(request), "install-failed")
    assert [path.name for path in prefix.iterdir()] == ["precious"]


def test_another_machines_platform_is_refused_before_the_solve(workshop: Workshop) -> None:
    outcome = workshop.build("app", platform="osx-arm64")
    assert "osx-arm64" in require_one_error(outcome, "invalid-request")
    assert not any(isinstance(event, PhaseEvent) for event in outcome.events)


@pytest.mark.parametrize("text", [b"", b"{}", b"not json", b'{"v": 2}'])
def test_what_is_no_request_is_said_so(text: bytes) -> None:
    outcome = run_builder(text)
    require_one_error(outcome, "invalid-request")
    assert outcome.code == 2


# The pip part.


def test_the_pip_part_needs_python_among_the_dependencies(workshop: Workshop) -> None:
    outcome = workshop.build("app", pip=["tiny-pip"])
    assert "add `python` to the dependencies" in require_one_error(outcome, "pip-failed")
    assert outcome.error.line == 50


def test_pip_cannot_replace_what_conda_installed(workshop: Workshop) -> None:
    outcome = workshop.build("python", "flask", pip=["tiny-pip", "flask==99.0"])
    message = require_one_error(outcome, "pip-conflict")
    flask = next(package for package in outcome.lock.packages if package.name == "flask")
    assert f"conda installs flask {flask.version}, and the pip part wants flask 99.0" in message
    assert outcome.error.line == 51


def test_nor_can_a_need_of_a_pip_package(workshop: Workshop) -> None:
    outcome = workshop.build("python", "flask", pip=["wants-flask-99"])
    assert "flask 99.0" in require_one_error(outcome, "pip-conflict")


@pytest.mark.parametrize("wheel", ["replaces-files", "plants-bytecode"])
def test_nor_can_a_file_of_a_wheel(workshop: Workshop, wheel: str) -> None:
    request = workshop.request("python", "flask", pip=[wheel])
    outcome = run_builder(request)
    message = require_one_error(outcome, "pip-conflict")
    assert "replaces a file of conda's package flask" in message
    (cached,) = workshop.data.packages.glob("flask-*/site-packages/flask/app.py")
    assert "REPLACED" not in cached.read_text()


def test_a_pip_package_that_does_not_exist_is_told_in_uvs_words(workshop: Workshop) -> None:
    outcome = workshop.build("python", pip=["tiny-pip", "no-such-thing-at-all"])
    assert "no-such-thing-at-all was not found" in require_one_error(outcome, "pip-failed")
    assert outcome.error.line == 51
    assert str(workshop.data.root) not in outcome.log


@pytest.mark.parametrize("line", ["-r /etc/passwd", "./local", "git+https://example.org/x", "--index-url http://x"])
def test_a_pip_line_that_is_more_than_a_requirement_is_refused(workshop: Workshop, line: str) -> None:
    outcome = workshop.build("python", pip=[line])
    require_one_error(outcome, "policy-refused")


def test_what_conda_provides_needs_no_pip(workshop: Workshop) -> None:
    outcome = workshop.build("python", "flask", pip=["flask"])
    assert outcome.succeeded, outcome.log
    assert all(package.manager == "conda" for package in outcome.usable.packages)
