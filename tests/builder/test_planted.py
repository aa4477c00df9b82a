"""Packages that bring what tells of their environment: a record's files are read and given to who has the image."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from conda_store_hub.builder.prefix import read_conda_packages, require_no_way_out, require_own_records
from conda_store_hub.core.errors import ActivationError, PackageCorruptError
from conda_store_hub.core.package_variables import read_variables
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.demo.channel import index, serve_channel
from conda_store_hub.demo.packages import Package, PackageFile, write_package
from tests.builder.conftest import Built
from tests.builder.test_failures import require_one_error
from tests.builder.test_image import added, ask_image
from tests.support.builder import Outcome, Workshop, run_builder

RECORD = "conda-meta/planted-1.0-0.json"


def forge(*paths: str) -> str:
    """Return a record that names files as if a package had brought them."""
    record = {
        "name": "planted",
        "version": "1.0",
        "build": "0",
        "build_number": 0,
        "subdir": "noarch",
        "fn": "planted-1.0-0.conda",
        "url": "https://channel.test/noarch/planted-1.0-0.conda",
        "paths_data": {"paths_version": 1, "paths": [{"_path": path, "path_type": "softlink"} for path in paths]},
    }
    return json.dumps(record)


def build_with(workshop: Workshop, folder: Path, file: PackageFile) -> Outcome:
    """Build an environment of a package that brings a file."""
    write_package(Package(name="planting", version="1.0", files=[file]), folder)
    index(folder)
    with serve_channel(folder) as address:
        return workshop.build("planting", channels=(address,), variables=(("A", "b"),))


@pytest.mark.parametrize(
    "file",
    [
        PackageFile(path="conda-meta/pylock.toml", content=b"x"),
        PackageFile(path="conda-meta/state", link_to="../../secret"),
        PackageFile(path="conda-meta/else", link_to="../../secret"),
    ],
    ids=["what is written to", "a link that is written to", "another link"],
)
def test_a_package_brings_nothing_that_stands_beside_the_records(
    workshop: Workshop, tmp_path: Path, file: PackageFile
) -> None:
    message = require_one_error(build_with(workshop, tmp_path, file), "package-corrupt")
    assert f"in `conda-meta`: {file.path.removeprefix('conda-meta/')}." in message


def test_a_package_has_no_link_where_bytecode_is_written(workshop: Workshop, tmp_path: Path) -> None:
    link = PackageFile(path="lib/python3.11/site-packages/mine/__pycache__", link_to=str(tmp_path))
    message = require_one_error(build_with(workshop, tmp_path / "c", link), "package-corrupt")
    assert "planting has a link in the place of a folder that is written to" in message


def test_a_package_brings_no_records(workshop: Workshop, tmp_path: Path) -> None:
    for number, path in enumerate(("../secret", "conda-meta/history")):
        record = PackageFile(path=RECORD, content=forge(path).encode())
        assert not build_with(workshop, tmp_path / str(number), record).succeeded


def test_records_are_those_of_the_packages_that_were_installed(built: Built, tmp_path: Path) -> None:
    packages = read_conda_packages(built.prefix)
    names = [each.package.name for each in packages]
    (tmp_path / "conda-meta").mkdir()
    require_own_records(tmp_path, packages, names)
    for others in (names[1:], [*names, names[0]], []):
        with pytest.raises(PackageCorruptError, match="brings what tells of the environment"):
            require_own_records(tmp_path, packages, others)


def test_nor_does_a_wheel(workshop: Workshop) -> None:
    outcome = workshop.build("python", pip=["plants-records"])
    assert "brings what tells of conda's packages" in require_one_error(outcome, "pip-failed")


@pytest.mark.parametrize("number", range(4))
def test_a_wheel_brings_nothing_that_python_takes_for_its_own(workshop: Workshop, number: int) -> None:
    outcome = workshop.build("python", pip=[f"plants-python-{number}"])
    assert "brings a file among those of Python itself" in require_one_error(outcome, "pip-failed")
    assert "compiling ended early" not in outcome.log, "which would have run it"


@pytest.mark.parametrize("kind", ["folder", "file", "nothing"])
def test_a_wheel_writes_nothing_through_a_link_that_leads_out(
    workshop: Workshop, sample: str, tmp_path: Path, kind: str
) -> None:
    outside = tmp_path / "outside"
    if kind == "folder":
        outside.mkdir()
    elif kind == "file":
        outside.write_text("as it was")
    link = PackageFile(path="share/out" if kind == "folder" else "share/out/planted", link_to=str(outside))
    write_package(Package(name="linking", version="1.0", files=[link]), tmp_path / "c")
    index(tmp_path / "c")
    with serve_channel(tmp_path / "c") as address:
        outcome = workshop.build("python", "linking", channels=(sample, address), pip=["plants-elsewhere"])
    assert "linking has a link that leads out" in require_one_error(outcome, "pip-failed")
    if kind == "folder":
        assert list(outside.iterdir()) == []
    else:
        assert not outside.exists() if kind == "nothing" else outside.read_text() == "as it was"


def test_links_within_an_environment_and_to_what_nobody_writes_are_fine(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a").touch()
    links = {"within": "lib/a", "dangling": "lib/none", "loop": "loop", "device": "/proc/self/status"}
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / RECORD).write_text(forge(*links))
    packages = read_conda_packages(tmp_path)
    if os.geteuid() != 0:  # who may write everything
        require_no_way_out(tmp_path, packages)
    (tmp_path / RECORD).write_text(forge("loop/file"))
    assert read_conda_packages(tmp_path), "there is nothing to be read of that"
    del links["device"]
    (tmp_path / RECORD).write_text(forge(*links))
    require_no_way_out(tmp_path, read_conda_packages(tmp_path))


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "share/out/secret", "share/./x", "share//x", ".."])
def test_what_a_record_names_elsewhere_is_in_no_image_and_no_archive(built: Built, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("a secret")
    out = built.prefix / "share" / "out"
    out.parent.chmod(0o755)
    out.symlink_to(tmp_path)
    kinds = (ArtifactType.DOCKER_MANIFEST, ArtifactType.CONDA_PACK)
    try:
        with added(built.prefix, RECORD, forge(path)):
            outcome = run_builder(ask_image(built, tmp_path / "w").model_copy(update={"artifacts": kinds}))
    finally:
        out.unlink()
    for kind in kinds:
        assert "names a file that is not in it" in outcome.artifacts[kind].error, outcome.log


def test_variables_are_read_of_the_environments_own_files(tmp_path: Path) -> None:
    prefix, secret = tmp_path / "prefix", tmp_path / "auth.json"
    folder = prefix / "etc" / "conda" / "env_vars.d"
    folder.mkdir(parents=True)
    secret.write_text(json.dumps({"auths": "a secret"}))
    (folder / "own.json").write_text(json.dumps({"OWN": "1"}))
    link = tmp_path / "link"
    link.symlink_to(prefix)
    assert read_variables(link) == {"OWN": "1"}, "by a link to the environment as a whole"
    (folder / "round.json").symlink_to("round.json")
    with pytest.raises(ActivationError, match=r"round.json"):
        read_variables(prefix)
    (folder / "round.json").unlink()
    (folder / "planted.json").symlink_to(secret)
    with pytest.raises(ActivationError, match="planted.json: it is elsewhere"):
        read_variables(prefix)
