"""Further platforms: what is locked for them, by which rules, and what is said of one that cannot be."""

from __future__ import annotations

import errno
import hashlib
import re
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from conda_store_hub.builder import elsewhere
from conda_store_hub.builder.provided import Provided
from conda_store_hub.core.errors import BuildDiskFullError
from conda_store_hub.core.lockfiles import parse_lock
from conda_store_hub.core.protocol import ArtifactType, BuildRequest, Package
from conda_store_hub.core.source import read
from conda_store_hub.demo.channel import index, make_package, serve_channel
from tests.support.builder import Outcome, Workshop, make_wheel, read_lockfile, run_builder, serve_index
from tests.support.channel import sample_channel_dir

ALSO = ("osx-arm64", "win-64")
LOCKS = (ArtifactType.LOCKFILE, ArtifactType.PIXI_LOCK)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Generator[Workshop]:
    """Python for three platforms, packages whose names mislead, and wheels that are not for everybody."""
    own, wheels = tmp_path_factory.mktemp("own"), tmp_path_factory.mktemp("wheels")
    _fill_channel(own)
    _fill_index(wheels)
    with (
        serve_channel(sample_channel_dir(also=ALSO)) as sample,
        serve_channel(own) as address,
        serve_index(wheels) as pip_index,
    ):
        yield Workshop(tmp_path_factory.mktemp("platforms"), [sample, address], pip_index=pip_index)


def _fill_channel(own: Path) -> None:
    info = "site-packages/real_name-1.5.dist-info"
    metadata = "Metadata-Version: 2.1\nName: real-name\nVersion: 1.5\nProvides-Extra: more\n"
    needs = "Requires-Dist: extra-need; extra == 'more'\n"
    files = {"site-packages/real_name.py": "", f"{info}/METADATA": metadata + needs, f"{info}/INSTALLER": "conda\n"}
    make_package(own, "another-name", "1.5", python=True, files=files)
    make_package(own, "for-cards", "1.0", build="cuda_0", depends=["__cuda >=12"], subdir="win-64")
    make_package(own, "on-linux-only", "1.0", depends=["__linux >=5"])
    make_package(own, "brings-more", "1.0", subdir="linux-64", depends=["python"])
    make_package(own, "brings-more", "1.0", subdir="win-64", depends=["python", "there-only"])
    make_package(own, "there-only", "3.0", subdir="win-64", depends=["python"])
    make_package(own, "twice-limited", "1.0", depends=["base >=1", "base <3"])
    make_package(own, "base", "2.0")
    index(own)


def _fill_index(wheels: Path) -> None:
    make_wheel(wheels, "real_name", "9.0", {"real_name.py": ""})
    make_wheel(wheels, "extra_need", "1.0", {"extra_need.py": ""})
    make_wheel(wheels, "wants_real_name", "1.0", {"wants_real_name.py": ""}, ["real-name>=1"])
    make_wheel(wheels, "there_only", "9.0", {"there_only.py": ""})
    make_wheel(wheels, "wants_there_only", "1.0", {"wtoo.py": ""}, ["there-only; sys_platform == 'win32'"])
    make_wheel(wheels, "for_windows", "1.0", {"for_windows.py": ""})
    make_wheel(wheels, "for_macs", "1.0", {"for_macs.py": ""})
    make_wheel(wheels, "for_old_python", "1.0", {"for_old_python.py": ""})
    marked = ["for-windows; sys_platform == 'win32'", "for-macs; platform_system == 'Darwin'"]
    make_wheel(wheels, "marked", "1.0", {"marked.py": ""}, [*marked, "for-old-python; python_version < '3'"])
    (wheels / "source-only").mkdir()
    (wheels / "source-only" / "source_only-2.0.tar.gz").write_bytes(b"a source")
    (wheels / "source-only" / "index.html").write_text('<a href="source_only-2.0.tar.gz">source_only-2.0.tar.gz</a>\n')
    make_wheel(wheels, "source_elsewhere", "1.0", {"source_elsewhere.py": ""})
    _rename_wheel(wheels, "source_elsewhere-1.0-py3-none-any", "source_elsewhere-1.0-py3-none-manylinux_2_17_x86_64")
    (wheels / "source-elsewhere" / "source_elsewhere-1.0.tar.gz").write_bytes(b"a source")
    with (wheels / "source-elsewhere" / "index.html").open("a") as page:
        page.write('<a href="source_elsewhere-1.0.tar.gz">source_elsewhere-1.0.tar.gz</a>\n')


def _rename_wheel(wheels: Path, name: str, new: str) -> None:
    folder = wheels / name.partition("-")[0].replace("_", "-")
    (folder / f"{name}.whl").rename(folder / f"{new}.whl")
    page = folder / "index.html"
    page.write_text(page.read_text().replace(name, new))


def build(shop: Workshop, *dependencies: str, platforms: tuple[str, ...], **more: object) -> Outcome:
    outcome = shop.build(*dependencies, platforms=platforms, artifacts=(ArtifactType.LOCKFILE,), **more)
    assert outcome.succeeded, outcome.log
    assert outcome.artifacts[ArtifactType.LOCKFILE].error == "", outcome.log
    return outcome


def note_of(outcome: Outcome) -> str:
    return outcome.artifacts[ArtifactType.LOCKFILE].note


def locked(outcome: Outcome, platform: str, manager: str = "pip") -> dict[str, str]:
    """Return the version by name of what is locked for a platform."""
    lockfile = read_lockfile(outcome.artifacts[ArtifactType.LOCKFILE].path)
    return {
        each.name: each.version for each in lockfile.package if (each.platform, each.manager) == (platform, manager)
    }


def test_markers_count_for_the_platform_and_the_python_that_is_locked(shop: Workshop) -> None:
    outcome = build(shop, "python", platforms=ALSO, pip=["marked"])
    assert locked(outcome, "linux-64").keys() == {"marked"}
    assert locked(outcome, "win-64").keys() == {"marked", "for-windows"}
    assert locked(outcome, "osx-arm64").keys() == {"marked", "for-macs"}
    assert note_of(outcome) == ""
    for name in ("for-windows==1.0", "for-macs==1.0"):
        assert f"  {name} from {shop.pip_index}/" in outcome.log


def test_a_pip_line_for_another_platform_alone_is_locked_there_alone(shop: Workshop) -> None:
    outcome = build(shop, "python", platforms=ALSO, pip=["for-windows; sys_platform == 'win32'"])
    assert [locked(outcome, each).keys() for each in ("linux-64", *ALSO)] == [set(), set(), {"for-windows"}]


def test_what_exists_only_as_source_there_leaves_that_platform_out_and_no_other(shop: Workshop) -> None:
    outcome = build(shop, "python", platforms=ALSO, pip=["source-elsewhere"])
    notes = note_of(outcome)
    for platform in ALSO:
        assert f"{platform} is not in it. source-elsewhere 1.0 of the pip part is there only as source for it." in notes
        assert f"nothing is locked for {platform}" in outcome.log
    assert locked(outcome, "linux-64") == {"source-elsewhere": "1.0"}


def test_what_exists_only_as_source_here_fails_with_its_line(shop: Workshop) -> None:
    outcome = shop.build("python", pip=["marked", "source-only"])
    assert (outcome.error.code, outcome.error.line) == ("pip-failed", 51)
    assert outcome.error.message.startswith("source-only 2.0 is there only as source, and nothing is built of sources")
    assert "Because source-only==2.0 has no usable wheels" in outcome.log


def test_the_log_tells_where_each_package_of_pip_comes_from(shop: Workshop) -> None:
    outcome = build(shop, "python", pip=["marked"], platforms=())
    assert f"  marked==1.0 from {shop.pip_index}/marked/marked-1.0-py3-none-any.whl\n" in outcome.log


def test_a_distribution_is_provided_there_by_the_package_that_it_is_in_here(shop: Workshop) -> None:
    outcome = build(shop, "python", "another-name", platforms=("win-64",), pip=["wants-real-name"])
    assert locked(outcome, "linux-64").keys() == locked(outcome, "win-64").keys() == {"wants-real-name"}


def test_extras_of_what_conda_provides_are_locked_there_as_here(shop: Workshop) -> None:
    outcome = build(shop, "python", "another-name", platforms=("win-64",), pip=["real-name[more]"])
    assert locked(outcome, "linux-64").keys() == locked(outcome, "win-64").keys() == {"extra-need"}


def test_what_only_condas_packages_there_provide_is_not_locked_for_pip(shop: Workshop) -> None:
    outcome = build(shop, "python", "brings-more", platforms=("win-64",), pip=["wants-there-only"])
    assert locked(outcome, "win-64", "conda")["there-only"] == "3.0"
    assert locked(outcome, "win-64").keys() == {"wants-there-only"}


def test_what_a_specification_says_of_its_machines_counts_where_there_can_be_such(shop: Workshop) -> None:
    virtual = ["__linux=6.1", "__cuda=12.6", "__archspec=1=zen4"]
    outcome = build(shop, "on-linux-only", platforms=("win-64", "linux-aarch64"), virtual=virtual)
    assert "win-64 is not in it." in note_of(outcome)
    assert locked(outcome, "linux-aarch64", "conda") == {"on-linux-only": "1.0"}


def test_two_limits_of_one_need_are_both_in_the_lockfile(shop: Workshop) -> None:
    outcome = build(shop, "twice-limited", platforms=())
    (found,) = [
        each
        for each in read_lockfile(outcome.artifacts[ArtifactType.LOCKFILE].path).package
        if each.name == "twice-limited"
    ]
    assert found.dependencies == {"base": ">=1,<3"}


@pytest.mark.parametrize("damage", ["missing", "half", "empty", "other"])
def test_an_index_that_is_missing_or_half_leaves_its_platform_out(damage: str, tmp_path: Path) -> None:
    for subdir in ("linux-64", *ALSO):
        make_package(tmp_path / "c", "everywhere", "1.0", subdir=subdir)
    index(tmp_path / "c")
    folder = tmp_path / "c" / "win-64"
    whole = (folder / "repodata.json").read_text()
    for each in list(folder.iterdir()):
        if each.is_file() and not each.name.endswith(".conda"):
            each.unlink()
    text = {"missing": None, "half": whole[: len(whole) // 2], "empty": "", "other": "<html>Not found</html>"}[damage]
    if text is not None:
        (folder / "repodata.json").write_text(text)
    with serve_channel(tmp_path / "c") as address:
        outcome = build(Workshop(tmp_path / "w", [address]), "everywhere", platforms=ALSO)
    assert note_of(outcome).startswith("win-64 is not in it. "), note_of(outcome)
    assert "osx-arm64" not in note_of(outcome)
    assert locked(outcome, "osx-arm64", "conda") == {"everywhere": "1.0"}
    assert locked(outcome, "linux-64", "conda") == {"everywhere": "1.0"}


def test_a_platform_whose_packages_cannot_be_hashed_is_left_out_of_the_file_that_needs_it(tmp_path: Path) -> None:
    paths = {subdir: make_package(tmp_path / "c", "a-b", "1.0", subdir=subdir) for subdir in ("linux-64", *ALSO)}
    index(tmp_path / "c")
    for folder in (tmp_path / "c" / subdir for subdir in ALSO):
        for each in [each for each in folder.iterdir() if each.is_file() and "repodata" in each.name]:
            each.unlink() if each.name != "repodata.json" else _forget_md5(each)
    paths["win-64"].unlink()
    with serve_channel(tmp_path / "c") as address:
        outcome = Workshop(tmp_path / "w", [address]).build("a-b", platforms=ALSO, artifacts=LOCKS)
    assert note_of(outcome) == (
        "win-64 is not in it. a-b has no MD5 in its channel, and could not be fetched to find it."
    ), outcome.log
    found = read_lockfile(outcome.artifacts[ArtifactType.LOCKFILE].path).package
    md5 = {each.platform: each.hash.md5 for each in found}
    assert md5 == {each: hashlib.md5(paths[each].read_bytes()).hexdigest() for each in ("linux-64", "osx-arm64")}
    pixi = outcome.artifacts[ArtifactType.PIXI_LOCK]
    assert (pixi.note, "win-64:" in Path(pixi.path).read_text()) == ("", True)


def _forget_md5(repodata: Path) -> None:
    text = repodata.read_text()
    assert '"md5"' in text
    repodata.write_text(re.sub(r'"md5": ?"[0-9a-f]{32}",?', "", text))


class _Panic(BaseException):
    """What the engine's panics are: no Exception."""


@pytest.mark.parametrize("failure", [_Panic("deep inside"), KeyError("odd"), OSError(errno.EIO, "Input/output error")])
def test_a_platform_at_which_the_engine_fails_is_left_out(
    failure: BaseException, shop: Workshop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(request: BuildRequest) -> None:
        raise failure

    monkeypatch.setattr(elsewhere, "Solver", explode)
    found = elsewhere.Elsewhere(shop.request("python", platforms=ALSO), Provided(here=(), owned=()))
    found.lock()
    assert found.notes == [f"{each} is not in it. Its packages could not be found." for each in ALSO]
    assert type(failure).__name__ in capsys.readouterr().out


def test_a_full_disk_is_no_word_about_a_platform(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(request: BuildRequest) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(elsewhere, "Solver", explode)
    with pytest.raises(BuildDiskFullError):
        elsewhere.Elsewhere(shop.request("python", platforms=ALSO), Provided(here=(), owned=())).lock()


def test_a_lock_file_brings_its_other_platforms_along_as_they_are(shop: Workshop) -> None:
    first = shop.build("python", "flask", pip=["marked"], platforms=ALSO, artifacts=LOCKS)
    text = Path(first.artifacts[ArtifactType.LOCKFILE].path).read_text()
    found = read(text, "linux-64")
    brought = (*found.locked, *found.elsewhere)
    assert {each.platform for each in found.elsewhere} == set(ALSO)
    again = shop.build(locked=brought, platforms=ALSO, artifacts=LOCKS)
    assert again.succeeded, again.log
    assert note_of(again) == ""
    assert _rows(again) == _rows(first)
    assert [each.name for each in again.usable.packages] == [each.name for each in first.usable.packages]


def test_what_a_lock_file_has_for_another_platform_is_held_against_the_policy(shop: Workshop) -> None:
    first = build(shop, "python", pip=["marked"], platforms=("win-64",))
    brought = parse_lock(Path(first.artifacts[ArtifactType.LOCKFILE].path).read_text()).packages
    more = {"locked": brought, "platforms": ("win-64",), "excluded": ("for-windows",)}
    outcome = build(shop, **more)  # type: ignore[arg-type]
    assert note_of(outcome).startswith("win-64 is not in it. The policy of this service excludes “for-windows”")
    assert locked(outcome, "linux-64").keys() == {"marked"}


def test_of_several_wheels_that_fit_the_one_that_is_installed_is_locked(tmp_path: Path) -> None:
    python = f"cp3{sys.version_info.minor}"
    stable, own = (f"which-1.0-{python}-{abi}-manylinux_2_17_x86_64" for abi in ("abi3", python))
    for name in ("which-1.0-py3-none-any", stable, own):
        _add_wheel(tmp_path / "wheels", name)
    with serve_channel(sample_channel_dir(also=ALSO)) as sample, serve_index(tmp_path / "wheels") as pip_index:
        shop = Workshop(tmp_path / "w", [sample], pip_index=pip_index)
        request = shop.request("python", pip=["which"], platforms=("win-64",), artifacts=(ArtifactType.LOCKFILE,))
        outcome = run_builder(request)
    assert outcome.succeeded, outcome.log
    (module,) = Path(request.directories.prefix).glob("lib/python3*/site-packages/which.py")
    assert module.read_text() == f"NAME = '{own}'\n"
    assert [_file(each) for each in outcome.usable.packages if each.manager == "pip"] == [f"{own}.whl"]
    rows = read_lockfile(outcome.artifacts[ArtifactType.LOCKFILE].path).package
    files = {each.platform: each.url.rpartition("/")[2] for each in rows if each.manager == "pip"}
    assert files == {"linux-64": f"{own}.whl", "win-64": "which-1.0-py3-none-any.whl"}


def _add_wheel(wheels: Path, name: str) -> None:
    """Add a wheel with its own name in it, of a package of which there may be others."""
    scratch = wheels.with_name("scratch")
    make_wheel(scratch, "which", "1.0", {"which.py": f"NAME = '{name}'\n"})
    if name != "which-1.0-py3-none-any":
        _rename_wheel(scratch, "which-1.0-py3-none-any", name)
    made = scratch / "which"
    (wheels / "which").mkdir(parents=True, exist_ok=True)
    (made / f"{name}.whl").rename(wheels / "which" / f"{name}.whl")
    with (wheels / "which" / "index.html").open("a") as page:
        page.write((made / "index.html").read_text())
    (made / "index.html").unlink()


def _file(package: Package) -> str:
    return package.url.rpartition("/")[2]


def _rows(outcome: Outcome) -> set[tuple[str, str, str, str, str | None]]:
    rows = read_lockfile(outcome.artifacts[ArtifactType.LOCKFILE].path).package
    return {(each.platform, each.manager, each.name, each.url, each.hash.sha256) for each in rows}
