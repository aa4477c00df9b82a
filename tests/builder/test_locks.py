"""Builds that take a lock instead of solving: reused, brought as a file, or the pip part's own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from conda_store_hub.builder.piplock import find_breach, format_pip_lock, read_pins
from conda_store_hub.core.lockfiles import LockedPackage, parse_lock
from conda_store_hub.core.protocol import (
    ArtifactType,
    BuildRequest,
    Directories,
    LockReuse,
    Package,
    Phase,
    PhaseEvent,
)
from conda_store_hub.demo.channel import index, make_package, serve_channel
from tests.builder.conftest import Built
from tests.support.builder import Outcome, Workshop, make_wheel, run_builder, serve_index
from tests.support.bytecode import link_bytecode


def reuse(outcome: Outcome) -> LockReuse:
    """Return what a later build of the same request is given."""
    assert outcome.lock.channel_state is not None
    pip = outcome.artifacts.get(ArtifactType.PIP_LOCK)
    return LockReuse(
        records=outcome.lock.path, channel_state=outcome.lock.channel_state, pip_lock=pip.path if pip else None
    )


def lock_from(outcome: Outcome, **changes: str) -> tuple[LockedPackage, ...]:
    """Return the packages of a build as a lock file would give them."""
    return tuple(_locked(package).model_copy(update=changes) for package in outcome.lock.packages)


def _locked(package: Package) -> LockedPackage:
    names = ("name", "version", "build", "subdir", "channel", "url", "sha256", "md5")
    return LockedPackage(manager="conda", **{name: getattr(package, name) for name in names})


# Dry runs.


def test_a_dry_run_tells_the_packages_and_touches_nothing(workshop: Workshop, tmp_path: Path) -> None:
    shop = Workshop(tmp_path / "fresh", workshop.channels)
    request = shop.request("python", "numpy", solve_only=True, artifacts=(ArtifactType.YAML,))
    directories = request.directories.model_copy(update={"prefix": ""})
    outcome = run_builder(request.model_copy(update={"directories": directories}))
    assert outcome.succeeded, outcome.log
    assert [event.type for event in outcome.events] == ["phase", "lock", "phase", "result"]
    assert {"python", "numpy"} <= {package.name for package in outcome.lock.packages}
    assert Path(outcome.lock.path).is_file()
    left = [path for path in shop.data.root.rglob("*") if path.is_file()]
    mine = (shop.data.work, shop.data.repodata, shop.data.packages_lock)
    assert [path for path in left if not any(path.is_relative_to(folder) for folder in mine)] == []


def test_a_dry_run_fails_as_a_build_does(workshop: Workshop) -> None:
    outcome = workshop.build("numpyy", solve_only=True)
    assert (outcome.error.code, outcome.error.line) == ("package-not-found", 5)


def test_a_build_that_is_no_dry_run_needs_a_prefix(workshop: Workshop) -> None:
    request = workshop.request("app")
    directories = request.directories.model_copy(update={"prefix": ""})
    outcome = run_builder(request.model_copy(update={"directories": directories}))
    assert outcome.error.code == "invalid-request"


# Reuse.


def test_a_lock_is_reused_while_no_channel_changed(workshop: Workshop, built: Built) -> None:
    again = workshop.build("python", "numpy >=1", "flask", "ipykernel", pip=["tiny-pip"], reuse=reuse(built.outcome))
    assert again.succeeded, again.log
    assert again.lock.reused
    assert not built.outcome.lock.reused
    assert again.lock.channel_state == built.outcome.lock.channel_state
    assert again.usable.packages == built.outcome.usable.packages
    assert "Solved" not in again.log
    assert "tiny-pip==1.2" in again.log
    assert again.artifacts[ArtifactType.PIP_LOCK].sha256 == built.outcome.artifacts[ArtifactType.PIP_LOCK].sha256


def test_a_channel_that_changed_is_solved_from_anew(workshop: Workshop, tmp_path: Path) -> None:
    make_package(tmp_path, "thing", "1.0")
    index(tmp_path)
    with serve_channel(tmp_path) as address:
        first = workshop.build("thing", channels=(address,), solve_only=True)
        same = workshop.build("thing", channels=(address,), solve_only=True, reuse=reuse(first))
        make_package(tmp_path, "thing", "2.0")
        index(tmp_path)
        later = workshop.build("thing", channels=(address,), solve_only=True, reuse=reuse(first))
        forced = workshop.build("thing", channels=(address,), solve_only=True, records=first.lock.path)
    assert same.lock.reused
    assert (later.lock.reused, [each.version for each in later.lock.packages]) == (False, ["2.0"])
    assert later.lock.channel_state != first.lock.channel_state
    assert [each.version for each in forced.lock.packages] == ["1.0"], "an exact lock counts, whatever channels say"
    assert forced.lock.channel_state is None


def test_the_order_of_channels_is_part_of_their_state(workshop: Workshop, sample: str, tiny: str) -> None:
    states = {
        workshop.build("app", channels=channels, solve_only=True).lock.channel_state
        for channels in ((sample, tiny), (tiny, sample), (tiny,))
    }
    assert len(states) == 3


def test_a_lock_that_cannot_be_read_is_not_reused(workshop: Workshop, tmp_path: Path) -> None:
    first = workshop.build("app", solve_only=True)
    (tmp_path / "broken.json").write_text("{")
    broken = reuse(first).model_copy(update={"records": str(tmp_path / "broken.json")})
    outcome = workshop.build("app", solve_only=True, reuse=broken)
    assert outcome.succeeded, outcome.log
    assert not outcome.lock.reused
    assert "cannot be read" in outcome.log


def test_a_lock_is_not_reused_against_the_policy(workshop: Workshop) -> None:
    first = workshop.build("base-lib", solve_only=True)
    outcome = workshop.build("base-lib", solve_only=True, reuse=reuse(first), excluded=("base-lib >=2",))
    assert (outcome.lock.reused, [each.version for each in outcome.lock.packages]) == (False, ["1.0"])


# The pip part.


def test_the_lock_of_the_pip_part_is_an_artifact(built: Built) -> None:
    event = built.outcome.artifacts[ArtifactType.PIP_LOCK]
    data = Path(event.path).read_bytes()
    assert (event.path, event.size) == (str(built.work / "pylock.toml"), len(data))
    assert event.sha256 == hashlib.sha256(data).hexdigest()
    (package,) = tomllib.loads(data.decode())["packages"]
    assert (package["name"], package["version"]) == ("tiny-pip", "1.2")
    assert data == (built.prefix / "conda-meta" / "pylock.toml").read_bytes()


def test_a_pip_part_without_packages_has_a_lock_too(workshop: Workshop) -> None:
    first = workshop.build("python", "flask", pip=["flask"])
    assert first.succeeded, first.log
    path = first.artifacts[ArtifactType.PIP_LOCK].path
    assert tomllib.loads(Path(path).read_text())["packages"] == []
    again = workshop.build("python", "flask", pip=["flask"], pip_lock=path)
    assert again.succeeded, again.log


def test_a_pip_lock_is_installed_without_asking_an_index(workshop: Workshop, built: Built) -> None:
    outcome = workshop.build(
        "python",
        "flask",
        pip=["tiny-pip"],
        pip_lock=built.outcome.artifacts[ArtifactType.PIP_LOCK].path,
        pip_index="http://127.0.0.1:9/nothing-here",
    )
    assert outcome.succeeded, outcome.log
    assert [each.version for each in outcome.usable.packages if each.manager == "pip"] == ["1.2"]


def test_a_wheel_that_is_not_what_its_lock_says_is_refused(workshop: Workshop, built: Built, tmp_path: Path) -> None:
    event = built.outcome.artifacts[ArtifactType.PIP_LOCK]
    text = Path(event.path).read_text()
    sha256 = tomllib.loads(text)["packages"][0]["wheels"][0]["hashes"]["sha256"]
    (tmp_path / "pylock.toml").write_text(text.replace(sha256, "ab" * 32))
    outcome = workshop.build("python", "flask", pip=["tiny-pip"], pip_lock=str(tmp_path / "pylock.toml"))
    assert outcome.error.code == "package-corrupt"
    assert "tiny-pip" in outcome.error.message


def test_a_pip_lock_cannot_replace_what_conda_installed(workshop: Workshop, built: Built, tmp_path: Path) -> None:
    text = Path(built.outcome.artifacts[ArtifactType.PIP_LOCK].path).read_text()
    (tmp_path / "pylock.toml").write_text(text.replace('name = "tiny-pip"', 'name = "Flask"'))
    outcome = workshop.build("python", "flask", pip=["flask"], pip_lock=str(tmp_path / "pylock.toml"))
    assert outcome.error.code == "pip-conflict"


@pytest.mark.parametrize(
    "text",
    [
        "packages = 5",
        "not toml",
        '[[packages]]\nname = "x"\nversion = "1"\n',
        '[[packages]]\nname = "x"\nversion = "1"\nwheels = [{url = "http://h/x-1-py3-none-any.whl"}]\n',
        '[[packages]]\nname = "x"\nversion = "1"\nwheels = [{url = "file:///x.whl", hashes = {sha256 = "ab"}}]\n',
        '[[packages]]\nname = "x"\nversion = "1"\nwheels = []\n',
    ],
)
def test_what_is_no_pip_lock_is_refused(workshop: Workshop, tmp_path: Path, text: str) -> None:
    (tmp_path / "pylock.toml").write_text(text)
    outcome = workshop.build("python", pip=["x"], pip_lock=str(tmp_path / "pylock.toml"))
    assert outcome.error.code == "invalid-request"
    assert outcome.error.message == "The lock of the pip part cannot be read."


# Lock files.


def test_a_conda_lock_that_a_build_wrote_makes_the_same_environment(workshop: Workshop, built: Built) -> None:
    text = Path(built.outcome.artifacts[ArtifactType.LOCKFILE].path).read_text()
    request = workshop.request("python", locked=parse_lock(text).list_packages(built.request.platform), pip_index=None)
    outcome = run_builder(request)
    assert outcome.succeeded, outcome.log
    assert outcome.usable.packages == built.outcome.usable.packages
    python = Path(request.directories.prefix) / "bin" / "python"
    done = subprocess.run([python, "-c", "import numpy, tiny_pip"], check=False, env={})
    assert done.returncode == 0
    assert "Not in the index" not in outcome.log


def test_an_explicit_list_makes_the_same_environment(workshop: Workshop, built: Built) -> None:
    lines = [f"{each.url}#sha256:{each.sha256}" for each in built.outcome.lock.packages]
    packages = parse_lock("\n".join(["@EXPLICIT", *lines])).list_packages(built.request.platform)
    outcome = workshop.build(locked=packages)
    assert outcome.succeeded, outcome.log
    assert "Not in the index" not in outcome.log
    assert outcome.usable.packages == tuple(p for p in built.outcome.usable.packages if p.manager == "conda")


def test_a_list_whose_channel_has_no_index_any_more_makes_a_working_environment(
    workshop: Workshop, tmp_path: Path
) -> None:
    """Only the addresses are left: nobody knows which packages need Python, but the packages themselves."""
    first = workshop.build("python", "flask", solve_only=True)
    shop = Workshop(tmp_path / "fresh", workshop.channels)
    link_bytecode(shop.data)
    gone = {channel: f"{channel}/gone" for channel in workshop.channels}
    packages = tuple(each.model_copy(update={"channel": gone[each.channel], "md5": ""}) for each in lock_from(first))
    request = shop.request(locked=packages)
    outcome = run_builder(request)
    assert outcome.succeeded, outcome.log
    assert "could not be read" in outcome.log
    prefix = Path(request.directories.prefix)
    flask = subprocess.run([prefix / "bin" / "flask", "--version"], capture_output=True, text=True, check=False, env={})
    assert "Flask" in flask.stdout, flask.stderr
    assert next((prefix / "lib").glob("python3*/site-packages/flask/__pycache__/app.*.pyc")).is_file()


def test_a_package_that_left_the_index_is_installed_from_its_address(workshop: Workshop, tmp_path: Path) -> None:
    kept = make_package(tmp_path, "old", "1.0", files={"share/old.txt": "old\n"})
    index(tmp_path)
    with serve_channel(tmp_path) as address:
        first = workshop.build("old", channels=(address,), solve_only=True)
        data = kept.read_bytes()
        kept.unlink()
        make_package(tmp_path, "old", "2.0")
        index(tmp_path)
        kept.write_bytes(data)
        request = workshop.request(locked=lock_from(first, sha256=""), channels=(address,))
        outcome = run_builder(request)
    assert outcome.succeeded, outcome.log
    assert "Not in the index of its channel: 1 package" in outcome.log
    assert (Path(request.directories.prefix) / "share" / "old.txt").read_text() == "old\n"


def test_a_locked_package_of_another_hash_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    make_package(tmp_path, "pinned", "1.0", files={"share/pinned.txt": "one\n"})
    index(tmp_path)
    with serve_channel(tmp_path) as address:
        first = workshop.build("pinned", channels=(address,), solve_only=True)
        of_index = workshop.build(locked=lock_from(first, sha256="ab" * 32), channels=(address,))
        for path in (tmp_path / "noarch").glob("repodata*"):
            path.unlink()
        of_md5 = workshop.build(locked=lock_from(first, sha256="", md5="ab" * 16), channels=(address,))
        of_sha256 = workshop.build(locked=lock_from(first, sha256="ab" * 32, md5=""), channels=(address,))
    for outcome in (of_index, of_md5, of_sha256):
        assert outcome.error.code == "package-corrupt", outcome.log
        assert "pinned" in outcome.error.message


def test_a_locked_package_for_another_platform_is_refused(workshop: Workshop) -> None:
    first = workshop.build("app", solve_only=True)
    outcome = workshop.build(locked=lock_from(first, subdir="osx-arm64"))
    assert outcome.error.code == "invalid-request"


def test_a_lock_has_to_keep_the_policy(workshop: Workshop) -> None:
    first = workshop.build("base-lib", solve_only=True)
    for lock in ({"locked": lock_from(first)}, {"records": first.lock.path}):
        outcome = workshop.build("base-lib", excluded=("base-lib >=2",), **lock)
        assert outcome.error.code == "unsatisfiable"
        message = "The policy of this service excludes “base-lib >=2”, and the lock has base-lib 2.0."
        assert outcome.error.message == message


@pytest.mark.parametrize(
    ("demanded", "words"),
    [("app", "demands “app”, and the lock lacks it"), ("base-lib <2", "and the lock has base-lib 2.0")],
)
def test_a_lock_has_to_have_what_the_policy_demands(workshop: Workshop, demanded: str, words: str) -> None:
    first = workshop.build("base-lib", solve_only=True, demanded=("Base-Lib >=2", "__glibc"))
    assert first.succeeded, first.log
    outcome = workshop.build("base-lib", solve_only=True, demanded=(demanded,), records=first.lock.path)
    assert outcome.error.code == "unsatisfiable"
    assert words in outcome.error.message


def test_a_pip_part_may_bring_nothing_that_is_excluded_along(workshop: Workshop, tmp_path: Path) -> None:
    make_wheel(tmp_path, "wanted", "1.0", {"wanted.py": ""}, requires=["Along_It"])
    make_wheel(tmp_path, "along_it", "1.5", {"along_it.py": ""})
    with serve_index(tmp_path) as address:
        fine = workshop.build("python", pip=["wanted"], pip_index=address, excluded=("along-it >=2",))
        outcome = workshop.build("python", pip=["wanted"], pip_index=address, excluded=("along-it <2",))
    assert fine.succeeded, fine.log
    assert outcome.error.code == "pip-failed"
    assert "excludes “along-it <2”, and the pip part has along-it 1.5" in outcome.error.message
    (lock,) = [Path(fine.artifacts[ArtifactType.PIP_LOCK].path).read_text()]
    assert {source for pin in read_pins(lock) for source in pin.sources} == {address}


def read(**changes: object) -> BuildRequest:
    places = Directories(packages="/x", bytecode="/x", repodata="/x", pip_cache="/x", work="/x")
    request = BuildRequest(build_id=1, name="x", channels=(), dependencies=(), platform="linux-64", directories=places)
    return request.model_copy(update=changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"excluded": ("tiny.pip >=2", "other")}, None),
        ({"excluded": ("Tiny_Pip <2",)}, "excludes “Tiny_Pip <2”, and the pip part has tiny-pip 1.2+cpu"),
        ({"excluded": ("tiny-pip ==1.2",)}, "excludes “tiny-pip ==1.2”"),
        ({"excluded": ("tiny-pip",)}, "excludes “tiny-pip”"),
        ({"wheel_places": ("https://art.example/pypi/ours",)}, None),
        ({"wheel_places": ("https://art.example/pypi/other",)}, "has tiny-pip from https://art.example/pypi/ours/f/"),
        ({"wheel_places": ()}, "which is below no index that is allowed here"),
    ],
)
def test_a_pip_lock_has_to_keep_the_policy(changes: dict[str, object], words: str | None) -> None:
    wheel = LockedPackage(
        manager="pip", name="tiny_pip", version="1.2+cpu", url="https://art.example/pypi/ours/f/w.whl", sha256="a" * 64
    )
    breach = find_breach(read_pins(format_pip_lock([wheel])), read(**changes))
    assert (breach is None) if words is None else (breach is not None and words in breach.message)


def test_records_of_a_lock_file_are_a_lock_that_counts(workshop: Workshop) -> None:
    first = workshop.build("app", solve_only=True)
    outcome = workshop.build(locked=lock_from(first))
    assert json.loads(Path(outcome.lock.path).read_text()) == json.loads(Path(first.lock.path).read_text())
    assert not any(isinstance(event, PhaseEvent) and event.name is Phase.PIP for event in outcome.events)
