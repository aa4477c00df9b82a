"""Names of images on demand: what they mean, that order has no meaning, and what is no such name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rattler import Version, VersionSpec

from conda_store_hub.core import source
from conda_store_hub.core.errors import InvalidNameError, UnknownRepositoryError
from conda_store_hub.core.names import check_environment_name
from conda_store_hub.core.ondemand import (
    MOST_PACKAGES,
    Constraint,
    Operator,
    Order,
    Wish,
    WishedPackage,
    is_name_of_environment,
    unify_version,
)
from conda_store_hub.core.repositories import Repository, read_name

_NAMES = st.sampled_from(["python", "numpy", "r-base", "ruamel.yaml", "vs2015_runtime", "7zip", "a__b", "c--d"])
_VERSIONS = st.sampled_from(["0", "1", "1.0", "3.12", "2023c", "1.0_1", "9e", "1.0.post1", "202.10.1rc2"])
_CONSTRAINTS = st.builds(Constraint, st.sampled_from(Operator), _VERSIONS)
_PIECES = st.tuples(_NAMES, st.lists(_CONSTRAINTS, max_size=3))


MAIN = ("https://channels.example/main",)


def order(text: str, channels: tuple[str, ...] = MAIN, platform: str = "linux-64") -> Order:
    return Order(wish=Wish.parse(text), channels=channels, platform=platform)


def spell(pieces: list[tuple[str, list[Constraint]]]) -> str:
    return "/".join(name + "".join(map(str, constraints)) for name, constraints in pieces)


@pytest.mark.parametrize(
    ("text", "dependencies"),
    [
        ("python.lt.3.12/numpy.gt.1.0", ("numpy >1", "python <3.12")),
        ("python.ge.3.10.lt.3.12", ("python >=3.10,<3.12",)),
        ("python.lt.3.12/python.ge.3.10", ("python >=3.10,<3.12",)),
        ("a.eq.1/b.ne.2/c.le.3", ("a ==1", "b !=2", "c <=3")),
        ("jq", ("jq",)),
        ("numpy/numpy.gt.1", ("numpy >1",)),
        ("numpy.ge.1.0.lt.2/numpy.lt.2.0.0/numpy.ge.1", ("numpy >=1,<2",)),
        ("a.eq.1.0_01/b.eq.1.0.post1", ("a ==1.0.1", "b ==1.0.0post1")),
        ("ruamel.yaml.clib.ge.0.2.8", ("ruamel.yaml.clib >=0.2.8",)),
        ("libstdcxx-ng/vs2015_runtime.ge.14", ("libstdcxx-ng", "vs2015_runtime >=14")),
    ],
)
def test_a_name_says_which_packages(text: str, dependencies: tuple[str, ...]) -> None:
    assert Wish.parse(text).dependencies == dependencies


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("python.lt", "no version after “.lt.”"),
        ("python.ge.3.10.lt", "no version after “.lt.”"),
        ("python.lt.latest", "is no version"),
        ("python.lt.3-2", "is no version"),
        ("python.eq." + "1" * 41, "40 characters"),
        ("/".join(f"p{number}" for number in range(MOST_PACKAGES + 1)), f"at most {MOST_PACKAGES}"),
        ("", "does not begin with the name"),
        (".lt.3", "does not begin with the name"),
        ("Python.lt.3", "does not begin with the name"),
        ("a b", "does not begin with the name"),
        ("a/../b", "does not begin with the name"),
    ],
)
def test_what_names_no_packages_is_said_to_be_wrong(text: str, words: str) -> None:
    with pytest.raises(InvalidNameError, match=words):
        Wish.parse(text)


@pytest.mark.parametrize("text", ["python.ge.3.12.lt.3.10", "a.eq.1/a.eq.2", "a.gt.1.lt.1", "a.eq.1.0.ne.1"])
def test_versions_that_exclude_each_other_are_refused_in_words(text: str) -> None:
    with pytest.raises(InvalidNameError, match="No version of “(python|a)” can be"):
        Wish.parse(text).require_possible()


@given(low=st.integers(0, 300), high=st.integers(0, 300), strict=st.booleans())
def test_a_range_is_possible_where_something_lies_in_it(low: int, high: int, strict: bool) -> None:
    wish = Wish.parse(f"a.{'gt' if strict else 'ge'}.1.{low}.{'lt' if strict else 'le'}.1.{high}")
    if low < high or (low == high and not strict):
        wish.require_possible()
    else:
        with pytest.raises(InvalidNameError):
            wish.require_possible()


@given(pieces=st.lists(_PIECES, min_size=1, max_size=6), data=st.data())
def test_order_and_repetition_have_no_meaning(pieces: list[tuple[str, list[Constraint]]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations([*pieces, *pieces[:2]]))
    wish = Wish.parse(spell(pieces))
    assert Wish.parse(spell(shuffled)) == wish
    assert Wish.parse(str(wish)) == wish
    assert {each.name for each in wish.packages} == {name for name, _ in pieces}


_TYPED = st.from_regex(r"[0-2][0-2ab]{0,3}([._](0|1|00|01|[0-2ab]{1,3}|dev|post0|rc1)){0,4}", fullmatch=True)


@settings(deadline=None)
@given(one=_TYPED, other=_TYPED, data=st.data())
def test_versions_are_one_where_they_are_to_the_engine(one: str, other: str, data: st.DataObject) -> None:
    spelled = unify_version(one)
    assert Version(spelled) == Version(one)
    assert unify_version(spelled) == spelled
    assert (spelled == unify_version(other)) is (Version(one) == Version(other))
    symbol = data.draw(st.sampled_from(Operator)).symbol
    for tried in (other, one, f"{one}.0", f"{one}.1"):
        version = Version(tried)
        assert VersionSpec(symbol + one).matches(version) is VersionSpec(symbol + spelled).matches(version), tried


def test_wishes_of_equal_versions_are_one_order() -> None:
    for one, other in (
        ("numpy.eq.1.0", "numpy.eq.1.0.0"),
        ("numpy.ge.1.0/numpy.lt.2", "numpy.lt.2.0.ge.1"),
        ("numpy.ge.1.0.ge.1", "numpy.ge.1"),
    ):
        assert (order(one).key, order(one).name) == (order(other).key, order(other).name)
    assert order("numpy.eq.1.0a").key != order("numpy.eq.1a").key
    assert Wish.parse("numpy.eq.1.0.0").as_typed.dependencies == ("numpy ==1.0.0",)


@given(pieces=st.lists(_PIECES, min_size=1, max_size=6))
def test_an_order_has_a_name_of_an_environment_and_a_specification(pieces: list[tuple[str, list[Constraint]]]) -> None:
    wanted = order(spell(pieces))
    assert check_environment_name(wanted.name) == wanted.name
    assert is_name_of_environment(wanted.name)
    found = source.read(wanted.write(), "linux-64").specification
    assert found.name == wanted.name
    assert tuple(entry.text for entry in found.dependencies) == wanted.wish.dependencies
    assert tuple(entry.text for entry in found.channels) == wanted.channels


@given(text=st.text(alphabet="abz019._-/ltge", max_size=60))
def test_any_other_text_is_read_or_refused(text: str) -> None:
    try:
        wish = Wish.parse(text)
    except InvalidNameError:
        return
    assert Wish.parse(str(wish)) == wish


def test_what_else_decides_makes_another_order() -> None:
    one = order("python.lt.3.12/numpy")
    assert order("numpy/python.lt.3.12").key == one.key
    others = (order("numpy/python.lt.3.11"), order("numpy", ()), order("numpy/python.lt.3.12", platform="osx-64"))
    assert len({one.key, *(each.key for each in others)}) == 4
    assert len({one.name, *(each.name for each in others)}) == 4


def test_the_namespace_tells_wishes_from_environments() -> None:
    made = order("python.lt.3.12/numpy").name
    assert read_name(f"conda-store-dynamic/{made}") == Repository(namespace="conda-store-dynamic", environment=made)
    assert read_name("conda-store-dynamic/numpy") == Wish((WishedPackage("numpy"),))
    assert read_name("alice/numpy") == Repository(namespace="alice", environment="numpy")
    for name, error in (
        ("conda-store-dynamic", UnknownRepositoryError),
        ("conda-store-dynamic/", InvalidNameError),
        ("conda-store-dynamic/a//b", InvalidNameError),
        ("conda-store-dynamic/_a", InvalidNameError),
        ("conda-store-dynamic/a.eq.1!2", InvalidNameError),
        ("conda-store-dynamic/" + "/".join(["a" * 60] * 5), InvalidNameError),
    ):
        with pytest.raises(error):
            read_name(name)
