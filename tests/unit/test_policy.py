from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rattler import Version, VersionSpec

from conda_store_hub.core import matchspec, packages, policy
from conda_store_hub.core.errors import InvalidRequestError, PolicyRefusedError
from conda_store_hub.core.exclusions import make_constraint
from conda_store_hub.core.layers import Effective, Layer, merge, require_tighter
from conda_store_hub.core.policy import PolicyValues, Scope
from conda_store_hub.core.protocol import MADE_OF_PREFIXES
from conda_store_hub.core.spec import Entry

ALIAS = "https://channels.example"
INNER = (Scope.NAMESPACE, Scope.ENVIRONMENT)
NAMES = st.sampled_from(["a", "b", "c"])
CHANNELS = st.sampled_from(
    ["main", "other", "ours", "main/label/dev", ALIAS, f"{ALIAS}/main", "https://x.example", "https://x.example/y"]
)
NUMBERS = st.integers(1, 50)


def lists(of: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, min_size=least, max_size=3)


STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "default_channels": lists(CHANNELS, 1),
    "allowed_channels": lists(CHANNELS, 1),
    "channel_aliases": st.dictionaries(NAMES | st.just("ours"), st.sampled_from([f"{ALIAS}/z", "https://x.example"])),
    "required_packages": lists(NAMES),
    "included_packages": lists(NAMES),
    "default_packages": lists(NAMES),
    "forbidden_packages": lists(NAMES),
    "pip_allowed": st.booleans(),
    "pip_indexes": lists(st.sampled_from([policy.PYPI, "https://i.example", "https://j.example"]), 1),
    "artifacts": lists(st.sampled_from(list(MADE_OF_PREFIXES))),
    **dict.fromkeys(
        [key for key, known in policy.KEYS.items() if known.merge in (policy.Merge.LEAST, policy.Merge.CAPPED)], NUMBERS
    ),
}
GIVEN = st.fixed_dictionaries({}, optional=STRATEGIES)


def layer(scope: Scope, **given: Any) -> Layer:
    return Layer(scope=scope, values=policy.read_values(given))


def start(**given: Any) -> Effective:
    return merge((layer(Scope.CONFIGURATION, **given),), channel_alias=ALIAS)


def inner(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if Scope.NAMESPACE in policy.KEYS[key].scopes}


def may_use(effective: Effective, channel: str) -> bool:
    values = effective.values
    try:
        matchspec.resolve_channel(
            Entry(text=channel, line=1, column=1),
            alias=effective.channel_alias,
            aliases=dict(values.channel_aliases),
            allowed=values.allowed_channels or (),
        )
    except PolicyRefusedError:
        return False
    return True


def is_at_most(small: int | None, large: int | None) -> bool:
    return large is None or (small is not None and small <= large)


def test_every_key_is_tried() -> None:
    assert set(STRATEGIES) == set(policy.KEYS) == set(PolicyValues.model_fields)


@settings(deadline=None)
@given(GIVEN, GIVEN, st.lists(GIVEN, max_size=2), CHANNELS)
def test_what_is_further_in_is_never_looser(
    file: dict[str, Any], service: dict[str, Any], places: list[dict[str, Any]], channel: str
) -> None:
    base = start(**file)
    layers = [layer(Scope.SERVICE, **service)]
    top = around = base.at(tuple(layers))
    for scope, given_there in zip(INNER, places, strict=False):
        layers.append(layer(scope, **inner(given_there)))
        here = base.at(tuple(layers))
        for key, known in policy.KEYS.items():
            outside, inside = getattr(around.values, key), getattr(here.values, key)
            match known.merge:
                case policy.Merge.LEAST:
                    assert is_at_most(inside, outside), key
                case policy.Merge.CAPPED:
                    assert is_at_most(inside, getattr(top.values, key)), key
                case policy.Merge.ALL:
                    assert set(inside) >= set(outside), key
                case policy.Merge.BOTH:
                    assert outside or not inside
                case policy.Merge.COMMON | policy.Merge.NEAREST:
                    pass
        assert set(here.values.pip_indexes) <= set(around.values.pip_indexes)
        assert here.values.channel_aliases == around.values.channel_aliases
        assert may_use(around, channel) or not may_use(here, channel)
        around = here
    assert base == start(**file), "nothing is changed in place"


@settings(deadline=None)
@given(GIVEN, GIVEN, GIVEN)
def test_what_may_be_set_counts(file: dict[str, Any], service: dict[str, Any], own: dict[str, Any]) -> None:
    around = start(**file).at((layer(Scope.SERVICE, **service),))
    wanted = policy.read_change(inner(own))
    try:
        require_tighter(around, wanted, Scope.NAMESPACE)
    except PolicyRefusedError:
        return
    here = around.at((*around.layers[1:], Layer(scope=Scope.NAMESPACE, values=wanted.values)))
    for key in wanted.values.model_fields_set:
        if policy.KEYS[key].merge not in (policy.Merge.ALL, policy.Merge.COMMON):
            assert getattr(here.values, key) == getattr(wanted.values, key), key


def test_each_value_says_where_it_comes_from() -> None:
    here = start(forbidden_packages=["a"]).at(
        (
            layer(Scope.SERVICE, build_seconds=100, forbidden_packages=["b"]),
            layer(Scope.NAMESPACE, build_seconds=200, forbidden_packages=["c"]),
            layer(Scope.ENVIRONMENT, keep_builds=3),
        )
    )
    assert (here.values.build_seconds, here.source("build_seconds")) == (100, Scope.SERVICE)
    assert (here.values.forbidden_packages, here.source("forbidden_packages")) == (("b", "c"), Scope.NAMESPACE)
    assert (here.values.keep_builds, here.source("keep_builds")) == (3, Scope.ENVIRONMENT)
    assert here.source("solve_seconds") is Scope.CONFIGURATION
    assert [(one.source, one.value) for one in here.given("build_seconds")] == [
        (Scope.SERVICE, 100),
        (Scope.NAMESPACE, 200),
    ]


def test_what_no_one_allows_together_is_nothing_and_not_everything() -> None:
    here = start().at((layer(Scope.SERVICE, allowed_channels=["main"]), layer(Scope.NAMESPACE, allowed_channels=["x"])))
    assert here.values.allowed_channels == ()
    assert not may_use(here, "main")
    assert not may_use(here, "x")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"quota_build": 1}, "There is no setting “quota_build”. Did you mean quota_builds?"),
        ({"conda_allowed_channels": ["a"]}, "Did you mean allowed_channels?"),
        ({"?": 1}, "There are: default_channels"),
        ({"x" * 100_000: 1}, "…"),
        ({"quota_builds": -1}, "`quota_builds` takes a whole number from 0 to 1000000000"),
        ({"quota_builds": "5"}, '“"5"”'),
        ({"quota_builds": True}, "`quota_builds` takes"),
        ({"quota_builds": 10**300}, "`quota_builds` takes"),
        ({"solve_seconds": 1.5}, "a whole number of seconds"),
        ({"allowed_channels": []}, "not an empty one"),
        ({"allowed_channels": ["a", "file:///etc"]}, "entry 2: “file:///etc” is neither"),
        ({"allowed_channels": ["https://user:secret@x.example"]}, "neither the name"),
        ({"allowed_channels": "main"}, "`allowed_channels` takes a list"),
        ({"forbidden_packages": ["a"] * 10_000}, "at most 1000"),
        ({"forbidden_packages": ["numpy=1.2=py_0"]}, "more than a name with versions"),
        ({"forbidden_packages": ["num py"]}, "is not a dependency"),
        ({"forbidden_packages": ["conda-forge::numpy"]}, "channels"),
        ({"forbidden_packages": ["n" * 100_000]}, "more than 200 characters"),
        ({"included_packages": ["https://x.example/a.conda"]}, "not an address"),
        ({"pip_indexes": ["pypi"]}, "is not an http(s) address"),
        ({"channel_aliases": {"a": "file:///x"}}, "is not an http(s) address"),
        ({"channel_aliases": ["a"]}, "`channel_aliases` takes an object"),
        ({"artifacts": ["LOGS"]}, "a list of LOCKFILE, YAML, EXPLICIT, PIXI_LOCK, SBOM, CONDA_PACK, DOCKER_MANI"),
        ({"pip_allowed": 1}, "`true` or `false`"),
        ({"keep_days": [[[[{}]]]]}, "a whole number of days"),
    ],
)
def test_what_cannot_be_is_refused_with_the_key_and_what_it_takes(given: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        policy.read_change(given)
    assert says in caught.value.message
    assert len(caught.value.message) < 600


VERSIONS = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))
ATOMS = st.one_of(
    st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), VERSIONS).map("".join),
    VERSIONS.map(lambda version: f"{version}.*"),
    VERSIONS.map(lambda version: f"!={version}.*"),
    VERSIONS.filter(lambda version: "." in version).map(lambda version: f"~={version}"),
)
RANGES = st.lists(st.lists(ATOMS, min_size=1, max_size=2).map(",".join), min_size=1, max_size=2).map("|".join)
EXACT = st.tuples(VERSIONS, st.sampled_from(["", "dev", "a1", "post", ".0.1"])).map("".join)


@settings(deadline=None, max_examples=400)
@given(RANGES, EXACT)
def test_what_is_excluded_is_what_is_not_meant(versions: str, version: str) -> None:
    assert packages.check_package(f"p {versions}")
    opposite = make_constraint(f"p {versions}").removeprefix("p ")
    meant = VersionSpec(versions).matches(Version(version))
    assert VersionSpec(opposite).matches(Version(version)) is not meant


@settings(deadline=None, max_examples=400)
@given(RANGES, RANGES, EXACT)
def test_only_what_is_wholly_forbidden_is_refused_at_once(wanted: str, forbidden: str, version: str) -> None:
    tried = Version(version)
    if VersionSpec(wanted).matches(tried) and not VersionSpec(forbidden).matches(tried):
        assert not packages.is_all_forbidden(wanted, forbidden)


@pytest.mark.parametrize(
    ("wanted", "forbidden", "expected"),
    [
        ("1.26.*", "<2", True),
        ("==1.26", "<2", True),
        ("<2", "<2", True),
        (">=1,<1.5", "1.*", True),
        ("~=1.4", "1.*", True),
        ("==2.0", "!=2.0", False),
        (">=1", "<2", False),
        (None, "<2", False),
        (None, None, True),
        ("==1", None, True),
    ],
)
def test_a_range_in_another_is_seen(wanted: str | None, forbidden: str | None, expected: bool) -> None:
    assert packages.is_all_forbidden(wanted, forbidden) is expected
