"""Lock files are read by the tools that they are for, and give back the same packages, on every platform asked for."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from rattler import BuildString, LockFile, PackageRecord, PrefixRecord, RepoDataRecord, VersionWithSource
from rattler.explicit_environment import ExplicitEnvironmentSpec

from conda_store_hub.core.errors import InvalidSpecificationError
from conda_store_hub.core.lockfiles import parse_lock
from conda_store_hub.core.protocol import ArtifactEvent, ArtifactType, Package
from conda_store_hub.demo.channel import serve_channel
from tests.builder.conftest import Built
from tests.support.builder import Outcome, Workshop, make_wheel, read_lockfile, run_builder, serve_index
from tests.support.channel import install, sample_channel_dir

ALSO = ("osx-arm64", "win-64")


def _find(packages: tuple[Package, ...], manager: str) -> list[Package]:
    return sorted((each for each in packages if each.manager == manager), key=lambda each: each.name)


def test_the_engine_reads_the_explicit_list(built: Built) -> None:
    text = Path(built.outcome.artifacts[ArtifactType.EXPLICIT].path).read_text()
    conda = _find(built.outcome.usable.packages, "conda")
    listed = ExplicitEnvironmentSpec.from_str(text)
    assert str(listed.platform) == built.request.platform
    assert sorted(str(each.url) for each in listed.packages) == sorted(f"{each.url}#{each.md5}" for each in conda)


def test_the_explicit_list_gives_the_same_packages_of_conda_again(built: Built, workshop: Workshop) -> None:
    text = Path(built.outcome.artifacts[ArtifactType.EXPLICIT].path).read_text()
    with pytest.raises(InvalidSpecificationError, match="has a package of pip as a comment"):
        parse_lock(text)
    text = re.sub(r"^# pip .*\n", "", text, flags=re.MULTILINE)
    request = workshop.request(locked=parse_lock(text).list_packages(built.request.platform))
    again = run_builder(request)
    assert again.succeeded, again.log
    assert _find(again.usable.packages, "conda") == _find(built.outcome.usable.packages, "conda")


def test_what_the_explicit_list_names_makes_the_same_packages_in_the_order_of_the_list(
    built: Built, tmp_path: Path
) -> None:
    text = Path(built.outcome.artifacts[ArtifactType.EXPLICIT].path).read_text()
    listed = [str(each.url) for each in ExplicitEnvironmentSpec.from_str(text).packages]
    names = [url.rpartition("/")[2].rsplit("-", 2)[0] for url in listed]
    for each in _find(built.outcome.usable.packages, "conda"):
        needs = {need.split()[0] for need in each.depends}
        assert all(names.index(need) < names.index(each.name) for need in needs if need in names), each.name
    install([_read_address(url) for url in listed], tmp_path / "p", tmp_path)
    assert _describe_prefix(tmp_path / "p") == _describe_prefix(built.prefix)


def test_conda_lock_writes_the_same_explicit_list_from_its_own_file(built: Built) -> None:
    lockfile = read_lockfile(built.outcome.artifacts[ArtifactType.LOCKFILE].path)
    from conda_lock.conda_lock import render_lockfile_for_platform

    lines = render_lockfile_for_platform(
        lockfile=lockfile,
        include_dev_dependencies=False,
        extras=set(),
        kind="explicit",
        platform=built.request.platform,
        suppress_warning_for_pip_and_explicit=True,
    )
    ours = Path(built.outcome.artifacts[ArtifactType.EXPLICIT].path).read_text().splitlines()

    def packages(text: list[str]) -> list[str]:
        return sorted(line for line in text if line.startswith(("http", "# pip ")))

    assert packages(lines) == packages(ours)
    (pip,) = [line.removeprefix("# pip ") for line in ours if line.startswith("# pip ")]
    (wheel,) = _find(built.outcome.usable.packages, "pip")
    assert Requirement(pip).url == f"{wheel.url}#sha256={wheel.sha256}"


def test_pixi_reads_of_condas_packages_what_the_prefix_says_of_them(built: Built) -> None:
    lock = LockFile.from_path(Path(built.outcome.artifacts[ArtifactType.PIXI_LOCK].path))
    ((_, environment),) = lock.environments()
    (platform,) = environment.platforms()
    found = environment.conda_repodata_records_for_platform(platform)
    assert found is not None
    assert {_tell(record)[0]: _tell(record) for record in found} == {
        _tell(record)[0]: _tell(record) for record in _read_prefix(built.prefix)
    }


def test_pixi_reads_its_lock_with_the_hashes_of_both_kinds(built: Built) -> None:
    found = _read_pixi_lock(built.outcome.artifacts[ArtifactType.PIXI_LOCK])[built.request.platform]
    assert found == {(each.name, each.version, each.url, each.sha256) for each in built.outcome.usable.packages}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Generator[Outcome]:
    """A build whose locks are for three more platforms, of which one cannot be solved for."""
    wheels = tmp_path_factory.mktemp("many-wheels")
    make_wheel(wheels, "tiny_pip", "1.2", {"tiny_pip.py": "ANSWER = 42\n"}, ["flask>=2"])
    with serve_channel(sample_channel_dir(also=ALSO)) as address, serve_index(wheels) as index:
        workshop = Workshop(tmp_path_factory.mktemp("many"), [address], pip_index=index)
        yield workshop.build(
            "python",
            "flask",
            pip=["tiny-pip"],
            platforms=(*ALSO, "linux-s390x"),
            artifacts=(ArtifactType.LOCKFILE, ArtifactType.PIXI_LOCK),
        )


def test_further_platforms_are_locked_with_conda_and_pip_packages_and_hashes(many: Outcome) -> None:
    lockfile = read_lockfile(many.artifacts[ArtifactType.LOCKFILE].path)
    here = {(each.manager, each.name) for each in many.usable.packages}
    for platform in ALSO:
        there = [each for each in lockfile.package if each.platform == platform]
        assert platform in lockfile.metadata.platforms, many.log
        assert {("conda", "python"), ("conda", "flask"), ("pip", "tiny-pip")} <= {
            (each.manager, each.name) for each in there
        }
        assert all(each.hash.sha256 or each.hash.md5 for each in there)
        assert all(f"/{platform}/" in each.url or "/noarch/" in each.url for each in there if each.manager == "conda")
    assert set(lockfile.metadata.platforms) == {"linux-64", *ALSO}
    assert {(each.manager, each.name) for each in lockfile.package if each.platform == "linux-64"} == here


def test_what_conda_provides_is_not_locked_for_pip_elsewhere(many: Outcome) -> None:
    lockfile = read_lockfile(many.artifacts[ArtifactType.LOCKFILE].path)
    assert {each.name for each in lockfile.package if each.manager == "pip"} == {"tiny-pip"}


def test_conda_lock_renders_the_list_of_each_platform(many: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    lockfile = read_lockfile(many.artifacts[ArtifactType.LOCKFILE].path)
    from conda_lock.conda_lock import render_lockfile_for_platform

    for platform in ALSO:
        lines = render_lockfile_for_platform(
            lockfile=lockfile, include_dev_dependencies=False, extras=set(), kind="explicit", platform=platform
        )
        conda = [each for each in lockfile.package if each.platform == platform and each.manager == "conda"]
        assert "@EXPLICIT" in lines
        assert sum(line.startswith("http") for line in lines) == len(conda)


def test_pixi_reads_all_platforms(many: Outcome) -> None:
    found = _read_pixi_lock(many.artifacts[ArtifactType.PIXI_LOCK])
    assert found.keys() == {"linux-64", *ALSO}
    for platform in ALSO:
        assert {"python", "flask", "tiny-pip"} <= {name for name, *_ in found[platform]}


def test_a_platform_that_cannot_be_solved_for_is_left_out_and_said_to_be(many: Outcome) -> None:
    for kind in (ArtifactType.LOCKFILE, ArtifactType.PIXI_LOCK):
        event = many.artifacts[kind]
        assert event.error == ""
        assert event.note.startswith("linux-s390x is not in it. ")
    assert "nothing is locked for linux-s390x" in many.log


def test_a_platform_for_which_there_is_no_wheel_is_left_out_whole(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "only_here", "1.0", {"only_here.py": ""})
    folder = wheels / "only-here"
    pure, bound = "only_here-1.0-py3-none-any.whl", "only_here-1.0-py3-none-manylinux_2_17_x86_64.whl"
    (folder / pure).rename(folder / bound)
    page = folder / "index.html"
    page.write_text(page.read_text().replace(pure, bound))
    with serve_channel(sample_channel_dir(also=ALSO)) as address, serve_index(wheels) as index:
        workshop = Workshop(tmp_path / "w", [address], pip_index=index)
        outcome = workshop.build("python", pip=["only-here"], platforms=("win-64",), artifacts=(ArtifactType.LOCKFILE,))
    event = outcome.artifacts[ArtifactType.LOCKFILE]
    assert event.error == "", outcome.log
    assert event.note == "win-64 is not in it. only-here 1.0 of the pip part has no wheel for it."
    assert {each.platform for each in read_lockfile(event.path).package} == {"linux-64"}


def _read_prefix(prefix: Path) -> list[PrefixRecord]:
    return [PrefixRecord.from_path(path) for path in sorted((prefix / "conda-meta").glob("*.json"))]


def _describe_prefix(prefix: Path) -> set[tuple[str, str, str, str]]:
    """Return name, version, build and address of each package."""
    return {(each.name.normalized, str(each.version), str(each.build), each.url) for each in _read_prefix(prefix)}


def _read_address(url: str) -> RepoDataRecord:
    """Return a record of no more than an explicit list says."""
    address, _, md5 = url.partition("#")
    channel, subdir, file_name = address.rsplit("/", 2)
    name, version, build = re.sub(r"\.(conda|tar\.bz2)$", "", file_name).rsplit("-", 2)
    record = PackageRecord(name, VersionWithSource(version), BuildString(build), 0, subdir)
    record.md5 = bytes.fromhex(md5)
    return RepoDataRecord(record, file_name, address, f"{channel}/")


def _tell(record: PackageRecord) -> tuple[object, ...]:
    return (
        record.name.normalized,
        str(record.version),
        str(record.build),
        record.build_number,
        record.subdir,
        sorted(record.depends),
        sorted(record.constrains),
        record.sha256,
        record.md5,
        record.size,
        record.license,
        str(record.noarch),
        record.timestamp,
        record.python_site_packages_path,
    )


def _read_pixi_lock(event: ArtifactEvent) -> dict[str, set[tuple[str, str, str, str]]]:
    """Return name, version, address and SHA-256 of the packages of each platform."""
    ((_, environment),) = LockFile.from_path(Path(event.path)).environments()
    return {
        platform.name: {
            (each.name, str(each.version), each.location, each.hashes.sha256.hex())
            for each in environment.packages(platform) or ()
        }
        for platform in environment.platforms()
    }
