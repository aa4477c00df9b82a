"""What is known of the packages of builds: why they are there, and which environments have them."""

from __future__ import annotations

import pytest

from conda_store_hub.core import reasons, source
from conda_store_hub.core.protocol import Package, PackageReason, UsableEvent
from conda_store_hub.core.reasons import Wanted
from conda_store_hub.db.session import Database
from conda_store_hub.services import builds, specifications, work
from conda_store_hub.services.rules import BuildRules
from tests.support import make
from tests.support.make import ALICE

ASKED, POLICY, NEEDED = PackageReason.ASKED, PackageReason.POLICY, PackageReason.NEEDED
TYPED = """
name: ml
dependencies:
  - Pandas >=2
  - python=3.11
  - pip:
      - Typing_Extensions>=4
"""
LOCK = "@EXPLICIT\nhttps://channels.example/main/noarch/pandas-2.0-0.conda#" + "a" * 32


def package(name: str, version: str = "1.0", *depends: str, manager: str = "conda") -> Package:
    kind = "pip" if manager == "pip" else "conda"
    return Package(manager=kind, name=name, version=version, depends=depends)


def event(*packages: Package) -> UsableEvent:
    return UsableEvent(packages=packages, kernels=(), size=1)


PACKAGES = (
    package("pandas", "2.0", "numpy >=1.22,<2", "python >=3.11", "__glibc >=2.17"),
    package("numpy", "1.26", "main::python"),
    package("python", "3.11.7", "not-here"),
    package("ipykernel", "6.29", "python", "ipykernel"),
    package("typing-extensions", "4.9", manager="pip"),
    package("beartype", "0.1", 'Typing.Extensions[x] >=4; python_version > "3"', "NumPy>=1", manager="pip"),
)


def wanted(text: str, rules: BuildRules) -> Wanted:
    return specifications.make_plan(source.read(text, "linux-64"), rules).wanted


def why(found: Wanted) -> dict[str, str]:
    return {name: reason for (_, name), reason in found.explain(PACKAGES).items()}


def test_a_package_was_asked_for_or_added_by_a_policy_or_is_needed() -> None:
    rules = make.rules(included_packages=["ipykernel", "pandas"])
    assert why(wanted(TYPED, rules)) == {
        "pandas": ASKED,
        "python": ASKED,
        "typing-extensions": ASKED,
        "ipykernel": POLICY,
        "numpy": NEEDED,
        "beartype": NEEDED,
    }


def test_what_a_specification_without_dependencies_gets_comes_from_a_policy() -> None:
    rules = make.rules(default_packages=["pandas", "python"])
    found = why(wanted("name: ml\ndependencies: []\n", rules))
    assert {name for name, reason in found.items() if reason is POLICY} == {"pandas", "python"}


def test_of_a_lock_file_that_is_asked_for_which_no_other_package_needs() -> None:
    assert why(wanted(LOCK, make.rules(channel_aliases={"main": "https://channels.example/main"}))) == {
        "pandas": ASKED,
        "ipykernel": ASKED,
        "beartype": ASKED,
        "python": NEEDED,
        "numpy": NEEDED,
        "typing-extensions": NEEDED,
    }


def test_who_needs_a_package_is_known_across_conda_and_pip() -> None:
    found = {name: (needing.names, needing.count) for (_, name), needing in reasons.find_needing(PACKAGES).items()}
    assert found == {
        "numpy": (("beartype", "pandas"), 2),
        "python": (("ipykernel", "numpy", "pandas"), 3),
        "typing-extensions": (("beartype",), 1),
    }
    many = [package("python"), *(package(f"p{number:02}", "1", "python") for number in range(30))]
    needing = reasons.find_needing(many)["conda", "python"]
    assert (needing.names[0], len(needing.names), needing.count) == ("p00", 20, 30)


def test_a_list_of_packages_says_why_and_on_demand_for_whom(db: Database) -> None:
    build_id = make.submit(db)
    ticket = make.claim(db, build_id)
    found = Wanted(asked=frozenset({("conda", "pandas")}))
    db.write_sync(work.mark_usable, ticket, event(*PACKAGES), None, found)
    rows, count = db.read_sync(builds.list_packages, ALICE, build_id, page=1, size=9)
    assert count == len(PACKAGES)
    assert {row.name for row in rows if row.reason is ASKED} == {"pandas"}
    assert {row.needed_by_count for row in rows} == {None}
    rows, _ = db.read_sync(builds.list_packages, ALICE, build_id, page=1, size=9, search="n", why=True)
    assert {row.name: row.needed_by for row in rows if row.needed_by} == {
        "numpy": ["beartype", "pandas"],
        "python": ["ipykernel", "numpy", "pandas"],
        "typing-extensions": ["beartype"],
    }


@pytest.mark.parametrize("reason", [None, NEEDED])
def test_what_nobody_knows_of_an_older_build_is_not_made_up(db: Database, reason: PackageReason | None) -> None:
    build_id = make.submit(db)
    ticket = make.claim(db, build_id)
    db.write_sync(work.mark_usable, ticket, make.usable("python=3.11"), None, Wanted() if reason else None)
    rows, _ = db.read_sync(builds.list_packages, ALICE, build_id, page=1, size=9, why=True)
    assert [(row.reason, row.needed_by) for row in rows] == [(reason, [])]
