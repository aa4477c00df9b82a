"""What is known of the packages of builds: why they are there, and which environments have them."""

from __future__ import annotations

import re

import pytest

from conda_store_hub.core import packages, reasons, source
from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.protocol import Package, PackageReason, UsableEvent
from conda_store_hub.core.reasons import Wanted
from conda_store_hub.db.session import Database
from conda_store_hub.services import builds, environments, specifications, work
from conda_store_hub.services.rules import BuildRules
from tests.support import make
from tests.support.make import ADMIN, ALICE, BOB

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


# Which environments contain what


@pytest.fixture
def world(db: Database) -> Database:
    """Environments of alice's: `new` and `old` by their python, `mixed` with pip's packages, `bare` without a build."""
    for name, there in {
        "new": (package("python", "3.12.1"), package("numpy", "2.1")),
        "old": (package("python", "3.9"), package("numpy", "1.26")),
        "mixed": (
            *(package("python", "3.12.1"), package("typing_extensions", "4.1")),
            *(package("torch", "2.0+cpu", manager="pip"), package("typing-extensions", "4.9", manager="pip")),
            package("odd", "no version!", manager="pip"),
        ),
    }.items():
        make.complete(db, make.submit(db, yaml=make.text(name)), event(*there))
    make.submit(db, yaml=make.text("bare"))
    return db


def search(db: Database, *asked: str, who: Identity = ALICE) -> dict[str, list[str]]:
    rows, count = db.read_sync(environments.list_environments, who, page=1, size=9, packages=asked)
    assert count == len(rows)
    listed, _ = db.read_sync(builds.list_builds, who, page=1, size=9, ascending=True, packages=asked)
    assert {row.environment: row.matching for row in listed} == {row.name: row.matching for row in rows}
    return {row.name: [f"{one.name} {one.version}" for one in row.matching or []] for row in rows}


SEARCHES: list[tuple[list[str], dict[str, list[str]]]] = [
    (["python"], {"mixed": ["python 3.12.1"], "new": ["python 3.12.1"], "old": ["python 3.9"]}),
    (["python>=3.10"], {"mixed": ["python 3.12.1"], "new": ["python 3.12.1"]}),
    (["python=3.9", "NumPy >=1.20,<2"], {"old": ["python 3.9", "numpy 1.26"]}),
    (["python=3.9", "numpy>=2"], {}),
    (["python<3.10"], {"old": ["python 3.9"]}),
    (["typing_extensions<4.5"], {"mixed": ["typing_extensions 4.1"]}),
    (["Typing-Extensions>=4.5"], {"mixed": ["typing-extensions 4.9"]}),
    (["torch==2.0"], {"mixed": ["torch 2.0+cpu"]}),
    (["odd"], {"mixed": ["odd no version!"]}),
    (["odd>=0"], {}),
    (["nobody-has"], {}),
]


def test_environments_are_found_by_what_their_active_build_has(world: Database) -> None:
    for asked, found in SEARCHES:
        assert search(world, *asked) == found, asked


def test_nobody_finds_what_they_may_not_see(world: Database) -> None:
    assert search(world, "python", who=BOB) == {}
    assert len(search(world, "python", who=ADMIN)) == 3


def test_an_environment_is_found_by_what_is_active_and_builds_by_what_they_have(world: Database) -> None:
    make.complete(world, 4, event(package("pandas")))
    second = make.submit(world, yaml=make.text("new"))
    make.complete(world, second, event(package("python", "3.13.0")))
    found, _ = world.read_sync(environments.list_environments, ALICE, page=1, size=9, packages=["python=3.12"])
    assert [row.name for row in found] == ["mixed"]
    listed, count = world.read_sync(builds.list_builds, ALICE, page=1, size=1, packages=["python>=3.12"])
    assert ([row.id for row in listed], count) == ([second], 3)
    after = ("alice", "mixed")
    found, count = world.read_sync(
        environments.list_environments, ALICE, page=1, size=1, after=after, packages=["python"]
    )
    assert ([row.name for row in found], count) == (["new"], 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("num py", "“num py” is not a dependency: what follows the name is no version"),
        ("numpy>=", "“numpy>=” is not a dependency"),
        ("numpy=1.0=py3*", "more than a name with versions"),
        ("https://x/y", "not an address"),
        ("x" * 201, "more than 200 characters"),
        ("*", "Write a name, with versions or without: `numpy`"),
    ],
)
def test_what_is_no_package_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(says)):
        packages.read_range(text)
