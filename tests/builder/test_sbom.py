"""The SBOM is what CycloneDX says one is, and has every package of the environment."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from conda_store_hub.builder.sbom import format_sbom
from conda_store_hub.core.indexes import PYPI_FILES
from conda_store_hub.core.policy import PYPI
from conda_store_hub.core.protocol import ArtifactType, BuildRequest, Directories, Package
from conda_store_hub.core.spec import Entry
from tests.builder.conftest import Built
from tests.support.builder import Workshop, run_builder

SHA256, MD5, MADE = "ab" * 32, "cd" * 16, 1_700_000_000
FOLDERS = Directories(packages="/p", bytecode="/c", repodata="/r", pip_cache="/u", work="/w")


def request(*dependencies: str, pip: tuple[str, ...] = (), **more: Any) -> BuildRequest:
    values: dict[str, Any] = {
        "build_id": 12,
        "name": "plain",
        "namespace": "team",
        "channels": ("https://conda.anaconda.org/conda-forge",),
        "dependencies": tuple(Entry(text=text, line=1, column=1) for text in dependencies),
        "pip": tuple(Entry(text=text, line=1, column=1) for text in pip),
        "platform": "linux-64",
        "directories": FOLDERS,
    }
    return BuildRequest(**(values | more))


def conda(name: str, **more: Any) -> Package:
    values = {
        "version": "1.0",
        "build": "h0_0",
        "subdir": "linux-64",
        "channel": "https://conda.anaconda.org/conda-forge",
        "url": f"https://conda.anaconda.org/conda-forge/linux-64/{name}-1.0-h0_0.conda",
        "sha256": SHA256,
        "md5": MD5,
    }
    return Package(manager="conda", name=name, **(values | more))


def pip(name: str, **more: Any) -> Package:
    url = f"{PYPI_FILES}/packages/aa/bb/{name}-1.0-py3-none-any.whl"
    return Package(manager="pip", name=name, **({"version": "1.0", "url": url, "sha256": SHA256} | more))


def make(asked: BuildRequest, *packages: Package) -> dict[str, Any]:
    """Return what is written of some packages, held against the schema."""
    return check(format_sbom(asked, packages, MADE))


def check(text: str) -> dict[str, Any]:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert error is None, error
    return json.loads(text)


def describe(package: Package, asked: BuildRequest | None = None) -> dict[str, Any]:
    (component,) = make(asked or request(), package)["components"]
    return component


def list_needs(document: dict[str, Any]) -> dict[str, set[str]]:
    """Return what needs what, by names."""
    names = {one["bom-ref"]: one["name"] for one in (*document["components"], document["metadata"]["component"])}
    assert len(names) == len(document["components"]) + 1
    entries = document["dependencies"]
    assert {one["ref"] for one in entries} == set(names), "each says what it needs, if that is nothing"
    return {names[one["ref"]]: {names[each] for each in one.get("dependsOn", ())} for one in entries}


@pytest.fixture(scope="module")
def document(built: Built) -> dict[str, Any]:
    return check(Path(built.outcome.artifacts[ArtifactType.SBOM].path).read_text())


def test_each_package_of_a_build_is_a_component_with_its_hashes(built: Built, document: dict[str, Any]) -> None:
    packages = built.outcome.usable.packages
    found = {(PackageURL.from_string(one["purl"]).type, one["name"]): one for one in document["components"]}
    kinds = {"conda": "conda", "pip": "pypi"}
    assert set(found) == {(kinds[each.manager], each.name) for each in packages}
    for each in packages:
        one = found[kinds[each.manager], each.name]
        digests = {"MD5": each.md5, "SHA-256": each.sha256}
        assert {hash_["alg"]: hash_["content"] for hash_ in one["hashes"]} == {k: v for k, v in digests.items() if v}
        assert (one["version"], one["externalReferences"]) == (
            each.version,
            [{"type": "distribution", "url": each.url}],
        )
        assert ("licenses" in one) == (each.license not in ("", "UNKNOWN")), one


def test_the_package_urls_of_a_build_name_build_channel_and_index(built: Built, document: dict[str, Any]) -> None:
    found = {one["name"]: PackageURL.from_string(one["purl"]) for one in document["components"]}
    (numpy,) = [each for each in built.outcome.usable.packages if each.name == "numpy"]
    assert found["numpy"].qualifiers == {
        "build": numpy.build,
        "channel": numpy.channel,
        "subdir": numpy.subdir,
        "type": "conda",
    }
    assert found["tiny-pip"].qualifiers == {"repository_url": built.request.pip_index}


def test_what_packages_need_is_told_across_conda_and_pip(document: dict[str, Any]) -> None:
    needs = list_needs(document)
    assert "python" in needs["numpy"]
    assert {"werkzeug", "jinja2"} <= needs["flask"]
    assert needs["tiny-pip"] == {"flask"}
    assert {"python", "numpy", "flask", "ipykernel", "tiny-pip"} <= needs["an-environment"]
    assert "werkzeug" not in needs["an-environment"]


def test_the_environment_is_the_root_at_the_time_of_its_packages(built: Built, document: dict[str, Any]) -> None:
    root = document["metadata"]["component"]
    assert (root["name"], root["version"]) == ("an-environment", str(built.request.build_id))
    installed = (built.prefix / "conda-meta" / "history").stat().st_mtime
    assert datetime.fromisoformat(document["metadata"]["timestamp"]) == datetime.fromtimestamp(int(installed), UTC)


def test_nothing_of_this_machine_is_in_it(built: Built, document: dict[str, Any]) -> None:
    text = json.dumps(document)
    folders = (built.request.directories.packages, built.request.directories.work, str(built.prefix))
    assert not any(folder in text for folder in folders)


def test_it_is_made_when_the_package_cache_is_gone(workshop: Workshop, tmp_path: Path) -> None:
    elsewhere = Workshop(tmp_path, workshop.channels)
    asked = elsewhere.request("app", artifacts=(ArtifactType.SBOM,))
    first = run_builder(asked)
    shutil.rmtree(elsewhere.data.packages)
    again = run_builder(asked.model_copy(update={"prefix_ready": True}))
    assert again.artifacts[ArtifactType.SBOM].error == "", again.log
    assert again.artifacts[ArtifactType.SBOM].sha256 == first.artifacts[ArtifactType.SBOM].sha256


def test_the_same_packages_at_the_same_time_give_the_same_text_and_others_another_number() -> None:
    packages = (conda("a", depends=("b", "c", "d")), conda("b"), conda("c"), conda("d"))
    text = format_sbom(request("a"), packages, MADE)
    assert text == format_sbom(request("a"), packages, MADE)
    others = (
        format_sbom(request("a"), packages, MADE + 1),
        format_sbom(request("a"), packages[:-1], MADE),
        format_sbom(request("a", build_id=13), packages, MADE),
        format_sbom(request("a", namespace="others"), packages, MADE),
    )
    assert len({check(each)["serialNumber"] for each in (text, *others)}) == 5


def test_an_environment_without_packages_is_a_document_too() -> None:
    document = make(request(namespace=""))
    assert document["components"] == []
    assert document["metadata"]["component"]["bom-ref"] == "plain:12"


@pytest.mark.parametrize(
    ("package", "purl"),
    [
        (conda("numpy"), "pkg:conda/numpy@1.0?build=h0_0&channel=conda-forge&subdir=linux-64&type=conda"),
        (
            conda("r-base", version="1!4.3+x", channel="https://repo.anaconda.com/pkgs/r", url="https://x/r.tar.bz2"),
            "pkg:conda/r-base@1%214.3%2Bx?build=h0_0&channel=r&subdir=linux-64&type=tar.bz2",
        ),
        (
            conda("_libgcc_mutex", build="", channel="https://mirror.example/conda%20forge"),
            "pkg:conda/_libgcc_mutex@1.0?channel=https://mirror.example/conda%2520forge&subdir=linux-64&type=conda",
        ),
        (pip("Foo_Bar.baz"), "pkg:pypi/foo-bar-baz@1.0"),
        (
            pip("mine", url="https://i.example/files/mine-1.0-py3-none-any.whl"),
            "pkg:pypi/mine@1.0?repository_url=https://i.example/simple",
        ),
        (pip("elsewhere", url="https://e.example/elsewhere-1.0-py3-none-any.whl"), "pkg:pypi/elsewhere@1.0"),
    ],
)
def test_a_package_url_is_written_as_others_write_it(package: Package, purl: str) -> None:
    found = describe(package, request(pip_index="https://i.example/simple"))
    assert found["purl"] == found["bom-ref"] == purl
    assert PackageURL.from_string(purl).to_string() == purl


def test_who_supplies_a_package_is_told_without_credentials() -> None:
    asked = request(pip_index="https://alice:secret@i.example/simple")
    wheel = pip("mine", url="https://i.example/mine-1.0-py3-none-any.whl")
    document = make(asked, conda("a"), pip("b"), wheel)
    assert [one["supplier"] for one in document["components"]] == [
        {"name": "conda-forge", "url": ["https://conda.anaconda.org/conda-forge"]},
        {"name": "PyPI", "url": [PYPI]},
        {"name": "https://i.example/simple", "url": ["https://i.example/simple"]},
    ]
    assert "secret" not in json.dumps(document)


@pytest.mark.parametrize(
    ("text", "licenses"),
    [
        ("mit", [{"license": {"id": "MIT", "acknowledgement": "declared"}}]),
        ("GPL-2.0+", [{"expression": "GPL-2.0+", "acknowledgement": "declared"}]),
        ("MIT and Apache-2.0", [{"expression": "MIT AND Apache-2.0", "acknowledgement": "declared"}]),
        ("LicenseRef-Ours", [{"expression": "LicenseRef-Ours", "acknowledgement": "declared"}]),
        ("BSD 3-Clause", [{"license": {"name": "BSD 3-Clause", "acknowledgement": "declared"}}]),
        ("(", [{"license": {"name": "(", "acknowledgement": "declared"}}]),
        ("Lizenz für „alle“", [{"license": {"name": "Lizenz für „alle“", "acknowledgement": "declared"}}]),
        (" ", None),
        ("UNKNOWN", None),
    ],
)
def test_a_license_is_one_of_spdx_or_the_name_that_the_package_gives(text: str, licenses: object) -> None:
    assert describe(conda("a", license=text)).get("licenses") == licenses


def test_addresses_with_a_space_are_written_as_addresses_are() -> None:
    channel = "file:///srv/our channel"
    found = describe(conda("a", channel=channel, url=f"{channel}/linux-64/a-1.0-h0_0.conda"))
    assert found["supplier"] == {"name": channel, "url": ["file:///srv/our%20channel"]}
    assert found["externalReferences"] == [
        {"type": "distribution", "url": "file:///srv/our%20channel/linux-64/a-1.0-h0_0.conda"}
    ]
    assert PackageURL.from_string(found["purl"]).qualifiers["channel"] == channel
    written = "https://i.example/a%20b/x-1.0+cu-py3-none-any.whl?k=(v)&l=1#sha256=0"
    assert describe(pip("x", url=written))["externalReferences"][0]["url"] == written


def test_what_is_not_known_of_a_package_is_left_out() -> None:
    bare = Package(manager="conda", name="a", version="1")
    assert describe(bare) == {
        "type": "library",
        "bom-ref": "pkg:conda/a@1?type=conda",
        "name": "a",
        "version": "1",
        "purl": "pkg:conda/a@1?type=conda",
    }


def test_a_package_that_needs_itself_or_the_machine_or_what_is_not_there_needs_nothing() -> None:
    package = conda("a", depends=("a >=1", "__glibc >=2.17", "gone"))
    assert list_needs(make(request("a"), package)) == {"plain": {"a"}, "a": set()}


def test_one_name_of_conda_and_of_pip_are_two_components() -> None:
    packages = (conda("flask"), pip("flask"), pip("app", depends=("flask>=2",)), conda("web", depends=("flask >=2",)))
    needs = {one["ref"]: one.get("dependsOn") for one in make(request(), *packages)["dependencies"]}
    assert needs["pkg:pypi/app@1.0"] == ["pkg:pypi/flask@1.0"]
    (web,) = [needed for reference, needed in needs.items() if reference.startswith("pkg:conda/web@")]
    assert web is not None
    assert web[0].startswith("pkg:conda/flask@")


def test_of_a_lock_the_environment_needs_what_nothing_in_it_needs() -> None:
    packages = (conda("app", depends=("lib",)), conda("lib"), pip("tool", depends=("lib",)))
    assert list_needs(make(request(), *packages))["plain"] == {"app", "tool"}
    asked = request("lib >=1", pip=("Tool",))
    assert list_needs(make(asked, *packages))["plain"] == {"app", "lib", "tool"}
