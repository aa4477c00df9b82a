"""What is written of packages, whatever their names, versions and addresses are."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.licenses import canonicalize_license_expression
from packaging.requirements import Requirement
from rattler import LockFile, MatchSpec
from rattler.explicit_environment import ExplicitEnvironmentSpec

from conda_store_hub.builder.classifiers import LICENSES
from conda_store_hub.builder.distributions import Distributions
from conda_store_hub.builder.explicit import format_explicit
from conda_store_hub.builder.lockfile import LockedPlatform, format_pinned, list_needs
from conda_store_hub.builder.piplock import format_pip_lock
from conda_store_hub.builder.pixi import format_pixi_lock
from conda_store_hub.builder.provided import Provided, make_stubs
from conda_store_hub.builder.records import RecordDetails
from conda_store_hub.builder.stubs import Stub
from conda_store_hub.builder.targets import find_target
from conda_store_hub.builder.uvtool import Wheelless, find_wheelless
from conda_store_hub.builder.wheels import rank_wheel
from conda_store_hub.core import spec
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.errors import PipError
from conda_store_hub.core.lockfiles import LockedPackage
from conda_store_hub.core.matchspec import parse_dependency
from conda_store_hub.core.protocol import MADE_OF_PREFIXES, ArtifactType, BuildRequest, Directories, Package
from conda_store_hub.core.spec import Entry
from tests.support.builder import Workshop, run_builder

SHA256, MD5 = "ab" * 32, "cd" * 16
FOLDERS = Directories(packages="/p", bytecode="/c", repodata="/r", pip_cache="/u", work="/w")


def request(**more: Any) -> BuildRequest:
    values: dict[str, Any] = {
        "build_id": 1,
        "name": "plain",
        "channels": ("https://c.example/main", "https://c.example/more"),
        "dependencies": (),
        "platform": "linux-64",
        "directories": FOLDERS,
    }
    return BuildRequest(**(values | more))


def conda(name: str, version: str = "1.0", build: str = "h0_0", **more: Any) -> Package:
    values = {"subdir": "linux-64", "md5": MD5, "sha256": SHA256, "channel": "https://c.example/main"}
    url = f"https://c.example/main/linux-64/{name}-{version}-{build}.conda"
    return Package(manager="conda", name=name, version=version, build=build, url=url, **(values | more))


def pip(name: str, version: str = "1.0", **more: Any) -> Package:
    url = f"https://i.example/{name}/{name}-{version}-py3-none-any.whl"
    return Package(manager="pip", name=name, version=version, url=url, sha256=SHA256, **more)


# The pinned YAML.


@pytest.mark.parametrize("name", ["1.10", "null", "true", "2024-01-01", "0x10", "on", "a.b_c-d", "1e3"])
def test_a_name_that_looks_like_something_else_is_read_back_as_it_is(name: str) -> None:
    text = format_pinned(request(name=name), [conda("python")], [])
    assert yaml.safe_load(text)["name"] == name
    assert spec.parse(text).name == name


@pytest.mark.parametrize(
    ("name", "version", "build"),
    [
        ("_libgcc_mutex", "0.1", "conda_forge"),
        ("_openmp_mutex", "4.5", "2_gnu"),
        ("tzdata", "2024a", "h0c530f3_0"),
        ("r-base", "1!4.3.2", "h_1"),
        ("thing", "1.0+cu121", "py311_0"),
        ("lib_2", "1.0.0_rc1", "0"),
        ("on", "1.10", "0"),
    ],
)
def test_a_pinned_package_is_read_by_the_engine_as_that_one_and_no_other(name: str, version: str, build: str) -> None:
    (entry,) = spec.parse(format_pinned(request(), [conda(name, version, build)], [])).dependencies
    found = parse_dependency(entry)
    assert str(found.name.normalized) == name  # type: ignore[union-attr]
    assert (str(found.version), str(found.build)) == (f"=={version}", build)


def test_a_package_without_a_build_string_is_pinned_to_its_version() -> None:
    text = format_pinned(request(), [conda("thing", "1.1", "")], [])
    (entry,) = spec.parse(text).dependencies
    assert entry.text == "thing==1.1"
    assert str(MatchSpec(entry.text).version) == "==1.1"


def test_the_index_of_the_pip_part_is_named_unless_it_is_the_usual_one() -> None:
    usual = spec.parse(format_pinned(request(), [conda("python")], [pip("one", "1.0+local")]))
    assert [entry.text for entry in usual.pip] == ["one==1.0+local"]
    own = request(pip_index="https://u:p@i.example/simple")
    assert [entry.text for entry in spec.parse(format_pinned(own, [conda("python")], [pip("one")])).pip] == [
        "--index-url https://i.example/simple",
        "one==1.0",
    ]
    assert "index" not in format_pinned(own, [conda("python")], [])


def test_variables_are_texts_however_they_look() -> None:
    variables = (("A", "1"), ("B", "no"), ("C", ""), ("D", "x: {y} # z"), ("E", "ä “ü”"), ("F", "2024-01-01"))
    text = format_pinned(request(variables=variables), [conda("python")], [])
    assert yaml.safe_load(text)["variables"] == dict(variables)
    assert spec.parse(text).variables == variables


# Needs.


def test_every_need_of_a_package_is_in_its_lock_once() -> None:
    depends = (
        "numpy >=1.19,<3",
        "numpy !=2.0.1",
        "python_abi 3.11.* *_cp311",
        "libgcc",
        "libgcc >=13",
        "glued>=2",
        "bracketed[version='>=1']",
        "https://c.example/main::named >=2",
        "__glibc >=2.17",
    )
    assert list_needs(conda("thing", depends=depends)) == {
        "numpy": ">=1.19,<3,!=2.0.1",
        "python_abi": "3.11.* *_cp311",
        "libgcc": ">=13",
        "glued": ">=2",
        "bracketed": "[version='>=1']",
        "named": ">=2",
        "__glibc": ">=2.17",
    }
    assert list_needs(pip("thing", depends=("Foo.Bar>=1", "x", "foo-bar<3"))) == {"foo-bar": ">=1,<3", "x": "*"}


# The explicit list.


def test_the_explicit_list_has_the_hash_that_there_is() -> None:
    packages = (conda("both"), conda("new", md5=""), conda("none", md5="", sha256=""), pip("wheel"))
    text = format_explicit(LockedPlatform(platform="linux-64", packages=packages))
    listed = [str(each.url) for each in ExplicitEnvironmentSpec.from_str(text).packages]
    assert sorted(url.partition("#")[2] for url in listed) == ["", MD5, f"sha256:{SHA256}"]
    (line,) = [line for line in text.splitlines() if "wheel" in line]
    assert Requirement(line.removeprefix("# pip ")).url == f"{packages[-1].url}#sha256={SHA256}"


def test_packages_that_need_each_other_are_listed() -> None:
    packages = (conda("pip", depends=("python",)), conda("python", depends=("pip",)), conda("app", depends=("pip",)))
    text = format_explicit(LockedPlatform(platform="linux-64", packages=packages))
    names = [line.rpartition("/")[2].partition("-")[0] for line in text.splitlines() if line.startswith("https")]
    assert sorted(names) == ["app", "pip", "python"]
    assert names[-1] == "app"


# pixi.lock.


def test_one_package_for_two_platforms_is_described_once(tmp_path: Path) -> None:
    both = conda("both", subdir="noarch").model_copy(
        update={"url": "https://c.example/main/noarch/both-1.0-h0_0.conda"}
    )
    details = {both.url: RecordDetails(noarch="python", constrains=("other <2",), timestamp=1_700_000_000_123)}
    platforms = [
        LockedPlatform(platform=platform, packages=(both,), details=details) for platform in ("linux-64", "win-64")
    ]
    text = format_pixi_lock(["https://c.example/main"], "https://i.example", platforms)
    assert text.count("timestamp") == 1
    assert "indexes" not in text
    (tmp_path / "pixi.lock").write_text(text)
    ((_, environment),) = LockFile.from_path(tmp_path / "pixi.lock").environments()
    for platform in environment.platforms():
        (record,) = environment.conda_repodata_records_for_platform(platform) or ()
        assert (record.constrains, record.noarch.python) == (["other <2"], True)
        assert record.timestamp is not None
        assert int(record.timestamp.timestamp() * 1000) == 1_700_000_000_123


# Wheels.


def test_the_wheel_that_was_made_for_a_platform_is_closest() -> None:
    tags = [
        "py3-none-any",
        "py2.py3-none-any",
        "cp311-none-any",
        "py3-none-manylinux_2_17_x86_64",
        "cp39-abi3-manylinux2014_x86_64",
        "cp311-abi3-manylinux_2_28_x86_64",
        "cp310-cp310-manylinux_2_5_x86_64",
        "cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64",
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp311-cp311-macosx_11_0_universal2",
        "cp311-cp311-macosx_11_0_arm64",
    ]
    # Of two rows only those are compared that one platform could take both.
    assert sorted(tags[:9], key=_rank) == [tags[i] for i in (1, 0, 2, 3, 4, 5, 6, 7, 8)]
    assert sorted(tags[9:], key=_rank) == tags[9:]
    first, second = (f"https://i.example/x-1.0-{build}-py3-none-any.whl#sha256=ab" for build in ("2", "10"))
    assert max(first, second, "https://i.example/no-wheel.zip", key=rank_wheel) == second


def _rank(tag: str) -> object:
    return rank_wheel(f"https://i.example/some%2Dwhere/x-1.0-{tag}.whl")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (
            "Because x.y==1.0 has no wheels with a matching platform tag (e.g., `manylinux_2_28_x86_64`) and only\n"
            "  x.y==1.0 is available, we can conclude that all versions of x.y cannot be used.",
            Wheelless(name="x.y", version="1.0", has_source=False),
        ),
        (
            "Because x==1.0 has no usable\n  wheels and you require x==1.0, we can conclude that",
            Wheelless(name="x", version="1.0", has_source=True),
        ),
        ("Because x==1.0 has no usable wheels and x==2.0 depends on y>3, we can conclude that", None),
        ("Because x was not found in the package registry and you require x, we can conclude that", None),
    ],
)
def test_a_missing_wheel_is_the_reason_only_if_nothing_else_is(said: str, found: Wheelless | None) -> None:
    assert find_wheelless(f"error: No solution found\n  cause: {said}") == found


@pytest.mark.parametrize(
    ("platform", "virtual", "name", "environment"),
    [
        ("linux-64", ("__glibc=2.35",), "x86_64-manylinux_2_35", {}),
        ("linux-aarch64", (), "aarch64-manylinux_2_28", {}),
        ("linux-aarch64", ("__glibc=2.12",), "aarch64-manylinux_2_17", {}),
        ("linux-aarch64", ("__glibc=2.99",), "aarch64-manylinux_2_40", {}),
        ("osx-arm64", ("__glibc=2.17",), "aarch64-apple-darwin", {"MACOSX_DEPLOYMENT_TARGET": "13.0"}),
        ("osx-64", ("__osx=14.2",), "x86_64-apple-darwin", {"MACOSX_DEPLOYMENT_TARGET": "14.2"}),
        ("win-64", ("__osx=14.2",), "x86_64-pc-windows-msvc", {}),
    ],
)
def test_wheels_may_need_what_condas_packages_may(
    platform: str, virtual: tuple[str, ...], name: str, environment: dict[str, str]
) -> None:
    target = find_target(platform, [Entry(text=text, line=1, column=1) for text in virtual])
    assert (target.name, target.environment) == (name, environment)


def test_a_platform_without_wheels_is_said_to_be_one() -> None:
    with pytest.raises(PipError, match="knows no wheels for zos-z"):
        find_target("zos-z")


def test_a_package_whose_metadata_cannot_be_read_stands_in_the_way_of_no_other(tmp_path: Path) -> None:
    for name, author in (("old", "J\xfcrgen".encode("latin-1")), ("new", "J\xfcrgen".encode())):
        folder = tmp_path / "lib" / f"{name}-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_bytes(f"Name: {name}\nVersion: 1.0\nAuthor: ".encode() + author + b"\n")
    assert Distributions(tmp_path, "lib").versions == {"new": "1.0"}


_OSI = "License :: OSI Approved"


@pytest.mark.parametrize(
    ("lines", "license_"),
    [
        (("License-Expression: Apache-2.0", f"Classifier: {_OSI} :: MIT License"), "Apache-2.0"),
        (("License: BSD", f"Classifier: {_OSI} :: MIT License"), "BSD"),
        ((f"Classifier: {_OSI} :: MIT License",), "MIT"),
        (("License: UNKNOWN", f"Classifier: {_OSI}", f"Classifier: {_OSI} :: ISC License (ISCL)"), "ISC"),
        ((f"License: {'x' * 200}", f"Classifier: {_OSI} :: Mozilla Public License 2.0 (MPL 2.0)"), "MPL-2.0"),
        ((f"Classifier: {_OSI} :: BSD License",), "BSD License"),
        ((f"Classifier: {_OSI} :: Apache Software License",), "Apache Software License"),
        ((f"Classifier: {_OSI} :: GNU General Public License v3 (GPLv3)",), "GNU General Public License v3 (GPLv3)"),
        ((f"Classifier: {_OSI} :: GNU General Public License v3 or later (GPLv3+)",), "GPL-3.0-or-later"),
        (
            (f"Classifier: {_OSI} :: MIT License", f"Classifier: {_OSI} :: Apache Software License"),
            "MIT License, Apache Software License",
        ),
        (("Classifier: License :: Other/Proprietary License",), "Other/Proprietary License"),
        (("Classifier: License", f"Classifier: {_OSI}", "Classifier: Topic :: Games"), ""),
        ((), ""),
    ],
)
def test_a_license_that_classifiers_alone_tell_is_the_one_of_spdx_where_that_is_beyond_doubt(
    tmp_path: Path, lines: tuple[str, ...], license_: str
) -> None:
    folder = tmp_path / "lib" / "tiny-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("\n".join(("Metadata-Version: 2.1", "Name: tiny", "Version: 1.0", *lines, "")))
    lock = tmp_path / "conda-meta" / "pylock.toml"
    lock.parent.mkdir()
    address = "https://i.example/tiny-1.0-py3-none-any.whl"
    tiny = LockedPackage(manager="pip", name="tiny", version="1.0", url=address, sha256=SHA256)
    lock.write_text(format_pip_lock([tiny]))
    assert [each.license for each in Distributions(tmp_path, "lib").read_pip_packages()] == [license_]


def test_each_license_of_a_classifier_is_one_that_spdx_knows() -> None:
    assert [canonicalize_license_expression(each) for each in LICENSES.values()] == [*LICENSES.values()]


def test_stubs_have_the_versions_that_are_there() -> None:
    torch = Stub(name="torch", version="2.1.0", extras=("Provides-Extra: x",))
    provided = Provided(here=(conda("pytorch", "2.1"), conda("gone")), owned=((conda("pytorch", "2.1"), torch),))
    there = [conda("pytorch", "2.2"), conda("new_one", "3", depends=("python >=3",)), conda("lib", depends=("zlib",))]
    assert make_stubs(provided, there) == [
        Stub(name="torch", version="2.2", extras=torch.extras),
        Stub(name="new-one", version="3"),
    ]
    assert make_stubs(provided, [conda("pytorch", "2.1")]) == [torch]


# Credentials.


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("https://i.example/packages/t/tqdm/tqdm-4-py3-none-any.whl", None),
        ("https://h/t/tk-1/a/noarch/x.conda https://h/t/tk-2/b", "https://h/a/noarch/x.conda https://h/b"),
        ('url = "https://u:p@h/a.whl", "https://other/@x"', 'url = "https://h/a.whl", "https://other/@x"'),
        ("https://u:p@ss@h/a", "https://h/a"),
        ("https://tk@h/t/tk-1/simple/x/", "https://h/simple/x/"),
    ],
)
def test_credentials_go_and_nothing_else(text: str, plain: str | None) -> None:
    assert strip_credentials(text) == (text if plain is None else plain)


def test_no_artifact_has_the_credentials_of_a_channel_or_an_index(workshop: Workshop) -> None:
    def with_password(address: str) -> str:
        return address.replace("://", "://someone:secret-word@")

    outcome = run_builder(
        workshop.request(
            "python",
            "flask",
            pip=["tiny-pip"],
            channels=tuple(map(with_password, workshop.channels)),
            pip_index=with_password(workshop.pip_index or ""),
            artifacts=MADE_OF_PREFIXES,
        )
    )
    assert outcome.succeeded, outcome.log
    assert {event.error for event in outcome.artifacts.values()} == {""}
    assert "secret-word" not in outcome.log
    for kind, event in outcome.artifacts.items():
        assert "secret-word" not in event.model_dump_json()
        if kind is not ArtifactType.CONDA_PACK:
            assert b"secret-word" not in Path(event.path).read_bytes(), kind
    with tarfile.open(outcome.artifacts[ArtifactType.CONDA_PACK].path) as archive:
        for member in archive:
            content = archive.extractfile(member).read() if member.isfile() else b""  # type: ignore[union-attr]
            assert b"secret-word" not in content, member.name
