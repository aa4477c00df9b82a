"""The statements about what builds contain: which packages there are of a name, and which builds have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import BindParameter, Integer, ScalarSelect, UnaryExpression, and_, bindparam, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.operators import custom_op

from conda_store_hub.db.tables import BuildPackage, Package


class NeedsRow(NamedTuple):
    """What a package needs."""

    manager: str
    name: str
    depends: list[str]


class NamedRow(NamedTuple):
    """A package that some build has."""

    id: int
    manager: str
    name: str
    version: str
    build: str


Lots = Sequence[Sequence[NamedRow]]
"""Lots of packages, each of one name or two: what is listed has one of each lot."""


_NEEDS = (
    select(Package.manager, Package.name, Package.depends)
    .join(BuildPackage, BuildPackage.package_id == Package.id)
    .where(BuildPackage.build_id == bindparam("build_id"))
)
_NAMED = (
    select(Package.id, Package.manager, Package.name, Package.version, Package.build)
    .where(Package.name.in_(bindparam("names", expanding=True)))
    .order_by(Package.manager, Package.id)
)


BuildColumn = InstrumentedAttribute[int] | InstrumentedAttribute[int | None]


def _numbers(name: str) -> BindParameter[Sequence[int]]:
    """Return numbers that are written into the statement: how many can be bound is limited."""
    return bindparam(name, expanding=True, literal_execute=True)


def list_needs(session: Session, build_id: int) -> list[NeedsRow]:
    """Return what each package of a build needs."""
    return [NeedsRow(*row) for row in session.connection().execute(_NEEDS, {"build_id": build_id})]


def list_named(session: Session, names: Iterable[str]) -> list[NamedRow]:
    """Return the packages of some names."""
    return [NamedRow(*row) for row in session.connection().execute(_NAMED, {"names": sorted(set(names))})]


def lot_values(lots: Lots) -> dict[str, Sequence[object]]:
    """Return what the three below compare with."""
    values: dict[str, Sequence[object]] = {}
    for place, lot in enumerate(lots):
        values[_names(place)] = sorted({row.name for row in lot})
        values[_ids(place)] = [row.id for row in lot]
    return values


def find_each(build_id: BuildColumn, wanted: int) -> list[ScalarSelect[int]]:
    """Return columns: which package of each of `wanted` lots a build has; of several, the one known longest."""
    first = select(func.min(BuildPackage.package_id))
    return [first.where(_held(build_id, place)).scalar_subquery() for place in range(wanted)]


def has_each(build_id: BuildColumn, wanted: int) -> list[ColumnElement[bool]]:
    """Return the conditions that a build has one of each of `wanted` lots of packages: looked up build by build."""
    any_of = [select(BuildPackage.package_id).where(_held(build_id, place)).limit(1) for place in range(wanted)]
    return [found.scalar_subquery().is_not(None) for found in any_of]


def _held(build_id: BuildColumn, place: int) -> ColumnElement[bool]:
    """Return the condition that a row is a build's and one of a lot: found by its name, of which a build has few.

    The plus is for the database: with the bare column it would look the build up for each number of the lot.
    """
    named = BuildPackage.name.in_(bindparam(_names(place), expanding=True))
    number = UnaryExpression[int](BuildPackage.package_id.expression, operator=custom_op("+"), type_=Integer())
    return and_(BuildPackage.build_id == build_id, named, number.in_(_numbers(_ids(place))))


def is_among_holders(build_id: BuildColumn, wanted: int) -> list[ColumnElement[bool]]:
    """Return the same conditions, where all builds that have the packages are looked up first: best if few do."""
    holders = select(BuildPackage.build_id)
    return [build_id.in_(holders.where(BuildPackage.package_id.in_(_numbers(_ids(place))))) for place in range(wanted)]


def _names(place: int) -> str:
    return f"names_{place}"


def _ids(place: int) -> str:
    return f"packages_{place}"
