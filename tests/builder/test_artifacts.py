"""The artifacts: pinned YAML, lockfile, and an archive that works elsewhere."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from conda_store_hub.core import spec
from conda_store_hub.core.matchspec import read_index_option
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.demo.channel import index, make_package, serve_channel
from tests.builder.conftest import Built
from tests.support.builder import Workshop, read_lockfile, run_builder

FILES = {
    ArtifactType.YAML: "environment.yaml",
    ArtifactType.EXPLICIT: "explicit.txt",
    ArtifactType.LOCKFILE: "conda-lock.yml",
    ArtifactType.PIXI_LOCK: "pixi.lock",
    ArtifactType.SBOM: "sbom.cdx.json",
    ArtifactType.CONDA_PACK: "environment.tar.gz",
}


@pytest.fixture(scope="module")
def unpacked(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, unpacked at another place as a user would."""
    place = tmp_path_factory.mktemp("elsewhere") / "env"
    place.mkdir()
    archive = built.outcome.artifacts[ArtifactType.CONDA_PACK].path
    subprocess.run(["tar", "-xzf", archive, "-C", place], check=True)
    done = subprocess.run(
        [place / "bin" / "python", place / "bin" / "conda-unpack"], capture_output=True, text=True, env={}, check=False
    )
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize("kind", FILES)
def test_each_lies_in_the_work_directory_with_its_digest(built: Built, kind: ArtifactType) -> None:
    event = built.outcome.artifacts[kind]
    path = Path(event.path)
    assert event.error == ""
    assert path == built.work / FILES[kind]
    assert event.size == path.stat().st_size > 0
    assert event.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_yaml_pins_everything_and_names_no_prefix(built: Built) -> None:
    text = Path(built.outcome.artifacts[ArtifactType.YAML].path).read_text()
    pinned = spec.parse(text)
    assert pinned.name == "an-environment"
    assert tuple(channel.text for channel in pinned.channels) == (*built.request.channels, "nodefaults")
    packages = built.outcome.usable.packages
    assert [entry.text for entry in pinned.dependencies] == [
        f"{package.name}={package.version}={package.build}" for package in packages if package.manager == "conda"
    ]
    assert [entry.text for entry in pinned.pip] == [f"--index-url {built.request.pip_index}", "tiny-pip==1.2"]
    assert pinned.variables == built.request.variables
    assert "prefix" not in text


def test_the_yaml_gives_our_own_reader_the_same_environment_again(workshop: Workshop, built: Built) -> None:
    pinned = spec.parse(Path(built.outcome.artifacts[ArtifactType.YAML].path).read_text())
    index, *pip = pinned.pip
    assert read_index_option(index) == workshop.pip_index
    request = workshop.request(pip=[entry.text for entry in pip], dependencies=pinned.dependencies)
    again = run_builder(request)
    assert again.succeeded, again.log
    assert again.usable.packages == built.outcome.usable.packages


def test_conda_lock_reads_the_lockfile(built: Built) -> None:
    lockfile = read_lockfile(built.outcome.artifacts[ArtifactType.LOCKFILE].path)
    assert lockfile.metadata.content_hash == {built.request.platform: built.request.sha256}
    assert [channel.url for channel in lockfile.metadata.channels] == list(built.request.channels)
    locked = {(each.manager, each.name): each for each in lockfile.package}
    packages = built.outcome.usable.packages
    assert set(locked) == {(package.manager, package.name) for package in packages}
    for package in packages:
        each = locked[package.manager, package.name]
        assert (each.version, each.url, each.hash.sha256) == (package.version, package.url, package.sha256)
        assert each.hash.md5 == (package.md5 or None)
        assert each.categories == {"main"}
    assert locked["conda", "flask"].dependencies["werkzeug"].startswith(">=")
    assert locked["pip", "tiny-pip"].dependencies == {"flask": ">=2"}


def test_the_lockfile_is_in_the_form_that_others_read(built: Built) -> None:
    text = Path(built.outcome.artifacts[ArtifactType.LOCKFILE].path).read_text()
    assert text.startswith("version: 1\n")


def test_a_channel_that_tells_no_md5_is_locked_all_the_same(workshop: Workshop, tmp_path: Path) -> None:
    path = make_package(tmp_path, "no-md5", "1.0")
    index(tmp_path)
    for indexed in (tmp_path / "noarch").glob("repodata?*.*zst"):
        indexed.unlink()
    repodata = tmp_path / "noarch" / "repodata.json"
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    assert md5 in repodata.read_text()
    repodata.write_text(repodata.read_text().replace(f'"md5":"{md5}",', "").replace(f'"md5": "{md5}",', ""))
    assert md5 not in repodata.read_text()
    with serve_channel(tmp_path) as address:
        outcome = workshop.build("no-md5", channels=(address,), artifacts=(ArtifactType.LOCKFILE,))
    (event,) = outcome.artifacts.values()
    assert event.error == "", outcome.log
    (locked,) = read_lockfile(event.path).package
    assert locked.hash.md5 == md5


def test_the_archive_activates_and_computes_elsewhere(unpacked: Path, tmp_path: Path) -> None:
    decoy = tmp_path / "python"
    decoy.write_text("#!/bin/sh\necho decoy\n")
    decoy.chmod(0o755)
    script = "import sys, numpy, flask, tiny_pip; print(sys.prefix, numpy.arange(3).sum() + tiny_pip.ANSWER)"
    done = subprocess.run(
        ["bash", "-c", f'source "{unpacked}/bin/activate" && python -c "{script}" && flask --version'],
        capture_output=True,
        text=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{unpacked} 45\nPython ")


def test_the_archive_has_nothing_of_this_machine_in_it(built: Built) -> None:
    folders = (built.request.directories.packages, built.request.directories.work, str(built.prefix))
    with tarfile.open(built.outcome.artifacts[ArtifactType.CONDA_PACK].path) as archive:
        for member in archive:
            assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
            assert not any(folder in member.linkname for folder in folders)
            content = archive.extractfile(member).read() if member.isfile() else b""  # type: ignore[union-attr]
            assert not any(folder.encode() in content for folder in folders), member.name


def test_what_names_its_prefix_names_the_new_one(built: Built, unpacked: Path) -> None:
    named = [
        path.relative_to(built.prefix)
        for path in built.prefix.rglob("*")
        if path.is_file() and not path.is_symlink() and str(built.prefix).encode() in path.read_bytes()
    ]
    kept = [path for path in named if path.parts[0] not in ("bin", "conda-meta")]
    assert any("sysconfigdata" in path.name for path in kept)
    for path in kept:
        ours = (built.prefix / path).read_bytes().replace(str(built.prefix).encode(), str(unpacked).encode())
        assert (unpacked / path).read_bytes() == ours, path
    assert not any(
        str(built.prefix).encode() in path.read_bytes()
        for path in unpacked.rglob("*")
        if path.is_file() and not path.is_symlink()
    )


def test_the_archives_new_owner_can_write(unpacked: Path) -> None:
    for folder, _, names in os.walk(unpacked):
        for name in names:
            path = Path(folder) / name
            assert path.is_symlink() or path.stat().st_mode & 0o200, path


def test_the_archive_has_what_the_prefix_has(built: Built, unpacked: Path) -> None:
    """Shared bytecode stays behind: conda-pack leaves out what belongs to a package's source."""
    added = {f"bin/{name}" for name in ("activate", "activate.fish", "deactivate", "conda-unpack")}
    theirs = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if not path.is_dir()}
    ours = {str(path.relative_to(built.prefix)) for path in built.prefix.rglob("*") if not path.is_dir()}
    added.add("bin/conda_unpack_progress.py")
    assert {path for path in theirs - ours if not path.endswith(".pyc")} == added
    assert {path for path in ours - theirs if not path.endswith(".pyc")} == set()


def test_a_ready_prefix_yields_the_same_artifacts(built: Built, workshop: Workshop, tmp_path: Path) -> None:
    directories = built.request.directories.model_copy(update={"work": str(tmp_path / "work")})
    request = built.request.model_copy(update={"prefix_ready": True, "directories": directories})
    before = built.prefix.stat().st_mtime_ns
    outcome = run_builder(request)
    assert outcome.succeeded, outcome.log
    assert {event.type for event in outcome.events} == {"phase", "artifact", "blob", "result"}
    for kind in FILES:
        assert outcome.artifacts[kind].sha256 == built.outcome.artifacts[kind].sha256, kind
    assert built.prefix.stat().st_mtime_ns == before


def test_only_what_was_asked_for_is_written(workshop: Workshop) -> None:
    outcome = workshop.build("app", artifacts=(ArtifactType.YAML, ArtifactType.RECORDS, ArtifactType.LOGS))
    assert list(outcome.artifacts) == [ArtifactType.YAML]


def test_one_artifacts_failure_does_not_stop_the_others(workshop: Workshop) -> None:
    artifacts = (ArtifactType.YAML, ArtifactType.LOCKFILE, ArtifactType.CONDA_PACK)
    request = workshop.request("app", artifacts=artifacts)
    # A folder stands where the archive would go.
    (Path(request.directories.work) / FILES[ArtifactType.CONDA_PACK]).mkdir(parents=True)
    outcome = run_builder(request)
    assert outcome.succeeded, outcome.log
    assert outcome.code == 0
    assert outcome.artifacts[ArtifactType.CONDA_PACK].error
    assert outcome.artifacts[ArtifactType.CONDA_PACK].path == ""
    assert outcome.artifacts[ArtifactType.LOCKFILE].error == ""
    assert outcome.artifacts[ArtifactType.YAML].error == ""
    assert "CONDA_PACK failed" in outcome.log


def test_an_archive_can_be_made_when_the_package_cache_is_gone(workshop: Workshop, tmp_path: Path) -> None:
    elsewhere = Workshop(tmp_path, workshop.channels)
    request = elsewhere.request("app", "has-prefix", artifacts=(ArtifactType.CONDA_PACK,))
    assert run_builder(request).succeeded
    shutil.rmtree(elsewhere.data.packages)
    outcome = run_builder(request.model_copy(update={"prefix_ready": True}))
    assert outcome.succeeded, outcome.log
    assert outcome.artifacts[ArtifactType.CONDA_PACK].error == ""
