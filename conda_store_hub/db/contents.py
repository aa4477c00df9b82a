"""The statements about what builds contain: which packages there are of a name, and which builds have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import BindParameter, bindparam, exists, select
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


def _numbers(name: str) -> BindParameter[Sequence[int]]:
    """Return numbers that are written into the statement: how many can be bound is limited."""
    return bindparam(name, expanding=True, literal_execute=True)


_HELD = select(BuildPackage.build_id, BuildPackage.package_id).where(
    BuildPackage.build_id.in_(_numbers("build_ids")), BuildPackage.package_id.in_(_numbers("package_ids"))
)


def list_needs(session: Session, build_id: int) -> list[NeedsRow]:
    """Return what each package of a build needs."""
    return [NeedsRow(*row) for row in session.connection().execute(_NEEDS, {"build_id": build_id})]


def list_named(session: Session, names: Iterable[str]) -> list[NamedRow]:
    """Return the packages of some names."""
    return [NamedRow(*row) for row in session.connection().execute(_NAMED, {"names": sorted(set(names))})]


def list_held(session: Session, build_ids: Sequence[int], package_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Return which of some builds have which of some packages."""
    values = {"build_ids": build_ids, "package_ids": package_ids}
    return [(build_id, package_id) for build_id, package_id in session.connection().execute(_HELD, values)]


def name_values(packages: Sequence[Sequence[int]]) -> dict[str, Sequence[int]]:
    """Return what `has_each` and `is_among_holders` compare with."""
    return {_name(place): ids for place, ids in enumerate(packages)}


def has_each(
    build_id: InstrumentedAttribute[int] | InstrumentedAttribute[int | None], wanted: int
) -> list[ColumnElement[bool]]:
    """Return the conditions that a build has one of each of `wanted` lots of packages: looked up build by build."""
    of_build = BuildPackage.build_id == build_id
    return [exists().where(of_build, BuildPackage.package_id.in_(_numbers(_name(place)))) for place in range(wanted)]


def is_among_holders(build_id: InstrumentedAttribute[int], wanted: int) -> list[ColumnElement[bool]]:
    """Return the same conditions, where all builds that have the packages are looked up first: best if few do."""
    holders = select(BuildPackage.build_id)
    return [build_id.in_(holders.where(BuildPackage.package_id.in_(_numbers(_name(place))))) for place in range(wanted)]


def _name(place: int) -> str:
    return f"packages_{place}"
