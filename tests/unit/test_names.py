from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conda_store_hub.core import names
from conda_store_hub.core.errors import ConfigurationError, InvalidNameError
from conda_store_hub.core.names import BuildKey, DataDirectory, KernelName, NamespaceKind


@pytest.mark.parametrize("name", ["ml", "Data-Science", "a.b_c-d", "x" * 64, "3d"])
def test_ordinary_environment_names_are_taken_as_they_are(name: str) -> None:
    assert names.check_environment_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", ".a", "a..b", "a b", "x" * 65, "x" * 300, "naïve", "a-", "-a", "a\n", "a\0", "%2e"]
)
def test_environment_names_that_could_be_paths_or_patterns_are_refused(name: str) -> None:
    with pytest.raises(InvalidNameError, match="letters and digits"):
        names.check_environment_name(name)


@pytest.mark.parametrize("name", ["", "Alice", "a/b", "..", "a b", "x" * 64, "é"])
def test_namespace_names_outside_the_grammar_are_refused(name: str) -> None:
    with pytest.raises(InvalidNameError):
        names.check_namespace_name(name)


def test_a_hub_name_that_fits_is_the_namespace() -> None:
    assert names.namespace_name(NamespaceKind.USER, "alice") == "alice"
    assert names.namespace_name(NamespaceKind.GROUP, "physics") == "group.physics"


@pytest.mark.parametrize("raw", ["Alice", "a@b.org", "default", "shared", "group.physics", "x" * 64, "日本", "a/../b"])
def test_a_hub_name_that_does_not_fit_gets_a_name_of_its_own(raw: str) -> None:
    name = names.namespace_name(NamespaceKind.USER, raw)
    assert name != raw
    assert names.check_namespace_name(name) == name


@given(st.text(min_size=1, max_size=100), st.sampled_from([NamespaceKind.USER, NamespaceKind.GROUP]))
def test_every_hub_name_has_a_namespace_within_the_grammar(raw: str, kind: NamespaceKind) -> None:
    assert names.check_namespace_name(names.namespace_name(kind, raw))
    assert all(names.check_namespace_name(name) == name for name in names.list_namespace_names(kind, raw))


def test_users_whose_names_differ_only_by_case_do_not_share_a_namespace() -> None:
    assert names.namespace_name(NamespaceKind.USER, "Alice") != names.namespace_name(NamespaceKind.USER, "ALICE")


def test_a_user_cannot_take_the_namespace_of_a_group() -> None:
    group = names.namespace_name(NamespaceKind.GROUP, "physics")
    assert names.namespace_name(NamespaceKind.USER, group) != group


KEY = BuildKey(
    spec_sha256="ab" * 32, scheduled_on=datetime(2021, 8, 25, 18, 2, 11, 244815, UTC), build_id=3, environment="a-1-b"
)


def test_a_build_key_is_written_as_the_seed_writes_it() -> None:
    assert str(KEY) == "ab" * 32 + "-20210825-180211-244815-3-a-1-b"


def test_a_build_key_is_read_from_the_left_because_names_hold_dashes() -> None:
    assert BuildKey.parse(str(KEY)) == KEY


def test_a_build_without_a_prefix_has_no_path() -> None:
    with pytest.raises(ValueError, match="has a name"):
        DataDirectory(Path("/data")).prefix("")


@pytest.mark.parametrize("text", ["", "latest", "ab" * 32 + "-20211399-180211-244815-3-x", str(KEY) + "\n"])
def test_what_is_no_build_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidNameError):
        BuildKey.parse(text)


@given(
    st.from_regex(r"[a-z0-9]+([._-][a-z0-9]+)*", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*", fullmatch=True),
    st.text(min_size=1, max_size=20),
    st.none() | st.integers(1, 10**12),
)
def test_a_kernel_name_can_be_taken_apart(namespace: str, environment: str, raw: str, build: int | None) -> None:
    name = KernelName(namespace=namespace, environment=environment, raw=raw, build_id=build)
    assert KernelName.find(str(name)) == name
    assert set(str(name)) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")


@given(st.text(max_size=40))
def test_a_foreign_kernel_name_is_not_ours(text: str) -> None:
    found = KernelName.find(text)
    assert found is None or str(found) == text


def test_prefix_names_are_random_and_short_enough_for_shebang_lines() -> None:
    made = {names.new_prefix_name() for _ in range(100)}
    assert len(made) == 100
    assert {len(name) for name in made} == {names.PREFIX_NAME_LENGTH}


def test_a_data_directory_that_is_too_deep_is_refused_with_the_length_that_fits() -> None:
    DataDirectory(Path("/srv/conda")).check()
    with pytest.raises(ConfigurationError, match="at most 55 characters"):
        DataDirectory(Path("/" + "x" * 60)).check()
