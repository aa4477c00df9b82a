"""The statements about what builds contain: which packages there are of a name, and which builds have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import BindParameter, ScalarSelect, and_, bindparam, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import ColumnElement

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


def name_values(packages: Sequence[Sequence[int]]) -> dict[str, Sequence[int]]:
    """Return what the three below compare with."""
    return {_name(place): ids for place, ids in enumerate(packages)}


def find_each(build_id: BuildColumn, wanted: int) -> list[ScalarSelect[int]]:
    """Return columns: which package of each of `wanted` lots a build has; of several, the one known longest."""
    first = select(func.min(BuildPackage.package_id))
    return [first.where(_held(build_id, place)).scalar_subquery() for place in range(wanted)]


def has_each(build_id: BuildColumn, wanted: int) -> list[ColumnElement[bool]]:
    """Return the conditions that a build has one of each of `wanted` lots of packages: looked up build by build."""
    return [exists().where(_held(build_id, place)) for place in range(wanted)]


def _held(build_id: BuildColumn, place: int) -> ColumnElement[bool]:
    return and_(BuildPackage.build_id == build_id, BuildPackage.package_id.in_(_numbers(_name(place))))


def is_among_holders(build_id: BuildColumn, wanted: int) -> list[ColumnElement[bool]]:
    """Return the same conditions, where all builds that have the packages are looked up first: best if few do."""
    holders = select(BuildPackage.build_id)
    return [build_id.in_(holders.where(BuildPackage.package_id.in_(_numbers(_name(place))))) for place in range(wanted)]


def _name(place: int) -> str:
    return f"packages_{place}"
