"""Dry runs: what a specification would become, and what that changes, with nothing built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import Package
from conda_store_hub.core.reasons import Needing, Wanted, find_needing, key_of
from conda_store_hub.db import lifecycle, queries
from conda_store_hub.services import comparisons, rights
from conda_store_hub.services.processes import ProcessState
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.services.specifications import Plan

_KEPT = set(Package.model_fields) & set(schemas.SolvedPackage.model_fields)


@dataclass(frozen=True, kw_only=True, slots=True)
class Solved:
    """What a solve came to, after how many seconds; `reused` if an earlier one still holds."""

    packages: tuple[Package, ...]
    reused: bool
    seconds: float


class Solver(Protocol):
    """Solves without building."""

    async def solve(self, plan: Plan, rules: BuildRules, *, fresh: bool, who: str) -> Solved:
        """Return the packages of a plan; `fresh`: from the channels as they are now, whatever is known.

        `who` asks: one person does not take up all that can be solved at once.

        Raises BuildError, as a build would fail, and UnavailableError when too many wait. Cancelling ends the work.
        """
        ...

    def find_place(self, plan: Plan, rules: BuildRules) -> int:
        """Return at which place a solve that is under way waits for its turn; 0 where its turn has come."""
        ...

    async def stop(self) -> None:
        """End what is under way."""
        ...

    def describe(self) -> ProcessState:
        """Say how it stands."""
        ...


def describe(
    session: Session, identity: Identity, place: tuple[str, str] | None, wanted: Wanted, solved: Solved
) -> schemas.SolvedSpecification:
    """Return a solve as it goes out, with what it changes in the active build of the environment `place`."""
    packages = list(_describe(solved.packages, wanted))
    active = _find_active(session, identity, place) if place else None
    old = comparisons.list_versions(lifecycle.packages_of(session, active)) if active else None
    return schemas.SolvedSpecification(
        packages=packages,
        active_build_id=active,
        diff=None if old is None else comparisons.diff((item for item in old if item.manager == "conda"), packages),
        reused=solved.reused,
        seconds=round(solved.seconds, 3),
    )


def _find_active(session: Session, identity: Identity, place: tuple[str, str]) -> int | None:
    row = queries.find_environment(session, *place)
    visible = row is not None and rights.may(session, identity, Permission.ENVIRONMENT_READ, row.namespace, row)
    return row.current_build_id if row is not None and visible else None


def _describe(packages: tuple[Package, ...], wanted: Wanted) -> Iterator[schemas.SolvedPackage]:
    """Yield the packages with why each is there, as those of a build have it."""
    reasons, needing = wanted.explain(packages), find_needing(packages)
    for package in packages:
        needed = needing.get(key_of(package), Needing())
        values = package.model_dump(include=_KEPT)
        yield schemas.SolvedPackage(
            **values, reason=reasons[key_of(package)], needed_by=needed.names, needed_by_count=needed.count
        )
