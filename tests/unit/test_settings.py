"""What an administrator sets, as the policy that everything begins with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from traitlets import TraitError

from conda_store_hub.core.errors import ConfigurationError
from conda_store_hub.core.policy import PolicyValues, Scope
from conda_store_hub.settings import CondaStore


def test_without_a_file_the_defaults_of_the_keys_count() -> None:
    rules = CondaStore().build_rules(None)
    defaults = PolicyValues.model_validate({}).model_dump() | {"allowed_channels": ("https://conda.anaconda.org",)}
    assert rules.values.model_dump() == defaults
    assert rules.hook is None
    assert {source for _, source in rules.policy.sources} == {Scope.CONFIGURATION}


def test_only_what_is_set_is_said_to_come_from_the_configuration() -> None:
    policy = CondaStore(conda_forbidden_packages=["scipy"], keep_builds=7).build_rules(None, build_seconds=9).policy
    given = {key: [one.source for one in policy.given(key)] for key in PolicyValues.model_fields}
    set_there = ("forbidden_packages", "keep_builds", "build_seconds")
    assert {key: sources for key, sources in given.items() if sources} == {
        key: [Scope.CONFIGURATION] for key in set_there
    }


def test_each_trait_has_its_key() -> None:
    store = CondaStore(
        conda_allowed_channels=["conda-forge", "ours"],
        conda_channel_aliases={"ours": "https://x.example/ours/"},
        conda_required_packages=["python"],
        conda_included_packages=["ipykernel"],
        conda_default_packages=["python"],
        conda_forbidden_packages=["numpy<2"],
        pypi_allowed=False,
        pypi_index="https://i.example/simple",
        pypi_allowed_indexes=["https://j.example"],
        conda_max_solve_time=1,
        build_memory=2,
        build_disk=3,
        build_files=4,
        quota_builds=5,
        quota_bytes=6,
        keep_builds=7,
        keep_days=8,
        build_artifacts=[],
    )
    values = store.build_rules(None, build_seconds=9).values
    assert values.allowed_channels == ("https://conda.anaconda.org/conda-forge", "https://x.example/ours")
    assert values.pip_indexes == ("https://i.example/simple", "https://j.example")
    assert (values.required_packages, values.included_packages) == (("python",), ("ipykernel",))
    assert (values.default_packages, values.forbidden_packages) == (("python",), ("numpy<2",))
    assert values.pip_allowed is False
    assert (values.solve_seconds, values.memory_bytes, values.disk_bytes, values.file_count) == (1, 2, 3, 4)
    assert (values.quota_builds, values.quota_bytes, values.keep_builds, values.keep_days) == (5, 6, 7, 8)
    assert (values.build_seconds, values.artifacts) == (9, ())


@pytest.mark.parametrize(
    ("traits", "says"),
    [
        ({"conda_forbidden_packages": ["num py"]}, "`c.CondaStore.conda_forbidden_packages` takes"),
        ({"keep_builds": 0}, "`c.CondaStore.keep_builds` takes"),
        ({"pypi_index": "pypi"}, "`c.CondaStore.pypi_index` or"),
        ({"validate_specification": "nowhere.check"}, "cannot be imported"),
        ({"validate_specification": "os.path.sep"}, "is no function"),
        ({"image_base": "layout"}, "c.CondaStore.image_base: “layout” is no reference of an image"),
        ({"image_base": "/usr"}, "c.CondaStore.image_base: there is no OCI image layout, and no archive"),
        ({"image_base_credentials": "/nowhere"}, "c.CondaStore.image_base_credentials: “/nowhere” is no"),
        ({"image_base_credentials": "config.json"}, "“config.json” is no absolute path"),
    ],
)
def test_what_cannot_be_names_its_trait(traits: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        CondaStore(**traits).build_rules(None)
    assert says in caught.value.message


@pytest.mark.parametrize("hook", ["os.path.basename", print])
def test_a_check_is_a_function_or_its_name(hook: Any) -> None:
    assert callable(CondaStore(validate_specification=hook).build_rules(None).hook)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["environments"], "“environments” is not an absolute path"),
        (["/srv/a", "/srv/a/"], "“/srv/a” is the same as another path there"),
        (["/srv/a/b/c.yaml", "/srv/a"], "“/srv/a/b/c.yaml” is the same as another path there, or lies in one"),
    ],
)
def test_watched_paths_are_absolute_and_apart(paths: list[str], words: str) -> None:
    with pytest.raises(TraitError, match=re.escape(words)):
        CondaStore(watch_paths=paths)
    assert CondaStore(watch_paths=["/srv/ab", "/srv/a/"]).watch_paths == ["/srv/ab", "/srv/a"]


def test_a_base_for_images_is_a_layout_an_archive_a_reference_or_none(tmp_path: Path) -> None:
    assert CondaStore().build_rules(None).image_base == "docker.io/library/debian:stable-slim"
    layout, archive = tmp_path / "layout", tmp_path / "base.tar"
    layout.mkdir()
    for path in (layout / "oci-layout", layout / "index.json", archive):
        path.touch()
    for base in (str(layout), str(archive), "localhost:5000/base", ""):
        assert CondaStore(image_base=base).build_rules(None).image_base == base


def test_credentials_are_those_of_the_account_unless_others_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert CondaStore().build_rules(None).image_credentials == ""
    usual = tmp_path / ".docker" / "config.json"
    usual.parent.mkdir()
    usual.touch()
    assert CondaStore().build_rules(None).image_credentials == str(usual)
    (other := tmp_path / "auth.json").touch()
    assert CondaStore(image_base_credentials=str(other)).build_rules(None).image_credentials == str(other)
