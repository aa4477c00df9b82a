"""Exclusions turned around: what is excluded does not fit the constraint, everything else does."""

from __future__ import annotations

import pytest
from rattler import BuildString, MatchSpec, VersionWithSource
from rattler import PackageRecord as Record

from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.exclusions import make_constraint

VERSIONS = ("0.9", "1.0", "1.0.1", "1.4", "1.4.5", "1.5", "2.0a1", "2.0", "2.9.9", "3.0", "3.1", "10", "1!1.0")


@pytest.mark.parametrize(
    "versions",
    [
        *("", "<3", "<=3", ">2", ">=2", "==2.0", "!=2.0", "2.0", "1.*", "=1.4", "!=1.*", "~=1.4", "~=1.4.1"),
        *(">=1,<2", ">=1,<2|3.*", "<1|>=2,!=3.0", "(>=1,<2)|(>=3,!=3.1)", "1.0|2.0|3.0", "~=1.4|>2,<3", "==1!1.0"),
    ],
)
def test_a_package_fits_the_constraint_if_it_is_not_excluded(versions: str) -> None:
    excluded = MatchSpec(f"thing {versions}")
    constraint = MatchSpec(make_constraint(f"thing {versions}"))
    for version in VERSIONS:
        record = Record("thing", VersionWithSource(version), BuildString("0"), 0, "noarch")
        assert constraint.matches(record) is not excluded.matches(record), (version, make_constraint(f"x {versions}"))


@pytest.mark.parametrize("text", ["thing 1.0 py3", "thing[build=py3]", "thing[build_number=3]", "c::thing", "", "a>"])
def test_what_cannot_be_turned_around_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        make_constraint(text)
