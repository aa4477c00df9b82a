"""Lists that people page through: rows of the columns they show, filters, and how many there are.

What a list asks the database is made once for a person and kept: making a statement takes longer than running it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, NamedTuple, Self, TypedDict, TypeVar, Unpack

from sqlalchemy import BigInteger, Select, String, bindparam, exists, func, literal, select, tuple_
from sqlalchemy.orm import Session, aliased

from conda_store_hub.core.names import NamespaceKind
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus, PackageReason
from conda_store_hub.db import contents
from conda_store_hub.db.contents import Lots
from conda_store_hub.db.tables import (
    NAMESPACE_NAMES,
    Artifact,
    Build,
    BuildPackage,
    Environment,
    Namespace,
    Package,
)
from conda_store_hub.db.visibility import MOST_KEPT, Condition, allows_on_environment, has_single_grants

R = TypeVar("R")

COUNT_LIMIT = 10_000
_SIZE = bindparam("size", type_=BigInteger())
_SKIPPED = bindparam("skipped", type_=BigInteger())


@dataclass(frozen=True, slots=True)
class Listing(Generic[R]):
    """The statements of a list, and what is made of a row.

    `many`: for a list of COUNT_LIMIT and more, where it is better to walk in its order until a page is full than to
    sort all that somebody may see.
    """

    rows: Select[*tuple[Any, ...]]
    count: Select[int]
    make: Callable[..., R]
    many: Select[*tuple[Any, ...]] | None = None
    entities: bool = False
    """Whether rows are objects, for which a session is needed: it takes a third longer."""

    @classmethod
    def of(cls, statement: Select[*tuple[Any, ...]], make: Callable[..., R], *, by_namespace: bool = False) -> Self:
        """Make a list of a statement.

        `by_namespace`: it is ordered by namespace, and is walked by its name until the page is full, instead of
        sorting all that somebody may see.
        """
        inner = statement.order_by(None).limit(COUNT_LIMIT).with_only_columns(literal(1)).subquery()
        rows = statement.limit(_SIZE).offset(_SKIPPED)
        if by_namespace:
            rows = rows.with_hint(Namespace, f"INDEXED BY {NAMESPACE_NAMES}", "sqlite")
        return cls(rows, select(func.count()).select_from(inner), make)

    def page(
        self, session: Session, *, page: int, size: int, values: Mapping[str, object] | None = None
    ) -> tuple[list[R], int]:
        """Return one page and how many there are, exact up to COUNT_LIMIT. A page that is not full tells that itself.

        `values`: what the filters in the statement compare with.
        """
        values, skipped = values or {}, (page - 1) * size
        known = None if self.many is None else self._count(session, values)
        statement = self.many if self.many is not None and known == COUNT_LIMIT else self.rows
        run = session.execute if self.entities else session.connection().execute
        rows = run(statement, {**values, "size": size, "skipped": skipped}).all()
        is_last = len(rows) < size and (len(rows) > 0 or page == 1)
        if known is None:
            known = min(skipped + len(rows), COUNT_LIMIT) if is_last else self._count(session, values)
        return [self.make(*row) for row in rows], known

    def _count(self, session: Session, values: Mapping[str, object]) -> int:
        return session.connection().scalar(self.count, values) or 0


def list_of_rows(statement: Select[R]) -> Listing[R]:
    """Make a list of whole rows of a table."""
    return replace(Listing[R].of(statement, _itself), entities=True)


def _itself(row: Any) -> Any:
    return row


def _given(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _kept(kind: ArtifactType | None) -> ArtifactType | None:
    """Return a kind of file that stands among the artifacts; a log does not, and each build has one."""
    return None if kind is ArtifactType.LOGS else kind


def _literally(text: str | None) -> str | None:
    """Return a text of which nothing is a pattern to LIKE with `/` as its escape; nothing of an empty one."""
    return text.lower().replace("/", "//").replace("%", "/%").replace("_", "/_") if text else None


# Environments


class EnvironmentRow(NamedTuple):
    """An environment in a list."""

    id: int
    name: str
    description: str
    current_build_id: int | None
    latest_build_id: int | None
    updated_at: datetime
    latest_status: BuildStatus | None
    namespace_id: int
    namespace: str
    kind: NamespaceKind
    hub_name: str | None
    current_size: int | None
    packages: tuple[int, ...] = ()
    """Which package it has of each lot that was asked for."""

    @classmethod
    def with_packages(cls, *columns: Any) -> EnvironmentRow:
        """Make one of columns that end with the packages."""
        own = len(_ENVIRONMENT_COLUMNS)
        return cls(*columns[:own], packages=columns[own:])


_ACTIVE = aliased(Build)
_CURRENT_SIZE = (
    select(_ACTIVE.size + _ACTIVE.shared_size).where(_ACTIVE.id == Environment.current_build_id).scalar_subquery()
)
_ENVIRONMENT_COLUMNS = (
    *(Environment.id, Environment.name, Environment.description),
    *(Environment.current_build_id, Environment.latest_build_id, Environment.updated_at),
    *(Build.status, Namespace.id, Namespace.name, Namespace.kind, Namespace.hub_name, _CURRENT_SIZE),
)


def _has_file(build_id: Any) -> Condition:
    """Return what holds for a build with a file of the kind `artifact`."""
    of_kind = (Artifact.build_id == build_id, Artifact.artifact_type == bindparam("artifact"))
    return exists().where(*of_kind, Artifact.state == ArtifactState.READY)


_SEARCHED = bindparam("search", type_=String())
_AFTER = tuple_(bindparam("after_namespace", type_=String()), bindparam("after_name", type_=String()))
_ENVIRONMENT_FILTERS: dict[str, Condition] = {
    "namespace": Namespace.name == bindparam("namespace"),
    "name": Environment.name_key == bindparam("name"),
    "search": (Namespace.name + "/" + Environment.name_key).contains(_SEARCHED, escape="/"),
    "status": Build.status == bindparam("status"),
    "artifact": _has_file(Environment.current_build_id),
    "after_namespace": Namespace.name >= bindparam("after_namespace"),
    "after_name": tuple_(Namespace.name, Environment.name_key) > _AFTER,
}


class EnvironmentFilters(TypedDict, total=False):
    """Which environments are meant; one that is None is as if it were not there."""

    namespace: str | None
    name: str | None
    search: str | None
    """A text in `NAMESPACE/NAME`."""
    status: BuildStatus | None
    """Of the latest build."""
    artifact: ArtifactType | None
    """A file that the active build has."""
    after: tuple[str, str] | None
    """Those behind a namespace and an environment, whether or not they are still there."""


def list_environments(
    session: Session,
    identity: Identity,
    *,
    page: int,
    size: int,
    packages: Lots = (),
    **filters: Unpack[EnvironmentFilters],
) -> tuple[list[EnvironmentRow], int]:
    """Return a page of the living environments that `identity` may see, by namespace and name, and their count.

    `packages`: only those whose active build has one of each.
    """
    after = filters.get("after")
    values = _given(
        namespace=filters.get("namespace"),
        name=_lower(filters.get("name")),
        search=_literally(filters.get("search")),
        status=filters.get("status"),
        artifact=_kept(filters.get("artifact")),
        after_namespace=after[0] if after else None,
        after_name=after[1].lower() if after else None,
    )
    single = has_single_grants(session, identity)
    listing = _environments(identity, frozenset(values), len(packages), single=single)
    return listing.page(session, page=page, size=size, values=values | contents.lot_values(packages))


@functools.lru_cache(MOST_KEPT)
def _environments(
    identity: Identity, filters: frozenset[str], packages: int, *, single: bool
) -> Listing[EnvironmentRow]:
    statement = (
        select(*_ENVIRONMENT_COLUMNS, *contents.find_each(Environment.current_build_id, packages))
        .select_from(Environment)
        .join(Environment.namespace)
        .outerjoin(Environment.latest_build)
        .where(
            allows_on_environment(identity, Permission.ENVIRONMENT_READ, single=single),
            Environment.deleted_at.is_(None),
            *(_ENVIRONMENT_FILTERS[name] for name in sorted(filters)),
            *contents.has_each(Environment.current_build_id, packages),
        )
        .order_by(Namespace.name, Environment.name_key)
    )
    make = EnvironmentRow.with_packages if packages else EnvironmentRow
    return Listing[EnvironmentRow].of(statement, make, by_namespace=True)


# Builds


class BuildRow(NamedTuple):
    """A build in a list."""

    id: int
    environment_id: int
    specification_id: int
    status: BuildStatus
    status_info: str | None
    error_code: str | None
    size: int
    shared_size: int
    scheduled_on: datetime
    started_on: datetime | None
    ended_on: datetime | None
    requested_by: str | None
    key: str
    pinned: bool
    deleted_at: datetime | None
    lock_build_id: int | None
    namespace: str
    environment: str
    current_build_id: int | None
    packages: tuple[int, ...] = ()
    """Which package it has of each lot that was asked for."""

    @classmethod
    def with_packages(cls, *columns: Any) -> BuildRow:
        """Make one of columns that end with the packages."""
        own = len(_BUILD_COLUMNS)
        return cls(*columns[:own], packages=columns[own:])


_BUILD_COLUMNS = (
    *(Build.id, Build.environment_id, Build.specification_id, Build.status, Build.status_info, Build.error_code),
    *(Build.size, Build.shared_size, Build.scheduled_on, Build.started_on, Build.ended_on, Build.requested_by),
    *(Build.key, Build.pinned, Build.deleted_at, Build.lock_build_id),
    *(Namespace.name, Environment.name, Environment.current_build_id),
)
_BUILD_FILTERS: dict[str, Condition] = {
    "environment_id": Build.environment_id == bindparam("environment_id"),
    "namespace": Namespace.name == bindparam("namespace"),
    "name": Environment.name_key == bindparam("name"),
    "status": Build.status == bindparam("status"),
    "artifact": _has_file(Build.id),
    "below": Build.id < bindparam("below"),
    "above": Build.id > bindparam("above"),
}


class BuildFilters(TypedDict, total=False):
    """Which builds are meant; one that is None is as if it were not there."""

    environment_id: int | None
    namespace: str | None
    name: str | None
    status: BuildStatus | None
    artifact: ArtifactType | None
    """A file that they have."""
    after: int | None
    """Those that follow the build of that number in the order asked for, however far that is from the first."""


def list_builds(
    session: Session,
    identity: Identity,
    *,
    page: int,
    size: int,
    ascending: bool = False,
    packages: Lots = (),
    **filters: Unpack[BuildFilters],
) -> tuple[list[BuildRow], int]:
    """Return a page of the builds of environments that `identity` may see, the newest first, and their count.

    `packages`: only those that have one of each.
    """
    values = _given(
        environment_id=filters.get("environment_id"),
        namespace=filters.get("namespace"),
        name=_lower(filters.get("name")),
        status=filters.get("status"),
        artifact=_kept(filters.get("artifact")),
        **{"above" if ascending else "below": filters.get("after")},
    )
    single = has_single_grants(session, identity)
    listing = _builds(identity, frozenset(values), len(packages), single=single, ascending=ascending)
    return listing.page(session, page=page, size=size, values=values | contents.lot_values(packages))


@functools.lru_cache(MOST_KEPT)
def _builds(
    identity: Identity, filters: frozenset[str], packages: int, *, single: bool, ascending: bool
) -> Listing[BuildRow]:
    statement = (
        select(*_BUILD_COLUMNS, *contents.find_each(Build.id, packages))
        .select_from(Build)
        .join(Build.environment)
        .join(Environment.namespace)
        .where(
            allows_on_environment(identity, Permission.ENVIRONMENT_READ, single=single),
            Environment.deleted_at.is_(None),
            *(_BUILD_FILTERS[name] for name in sorted(filters)),
        )
        .order_by(Build.id if ascending else Build.id.desc())
    )
    make = BuildRow.with_packages if packages else BuildRow
    listing = Listing[BuildRow].of(statement.where(*contents.is_among_holders(Build.id, packages)), make)
    if "environment_id" in filters:
        return listing  # an index has the order of one environment's
    walked = Listing[BuildRow].of(statement.where(*contents.has_each(Build.id, packages)), make).rows
    return replace(listing, many=walked.with_hint(Build, "NOT INDEXED", "sqlite"))


# Packages


class PackageRow(NamedTuple):
    """A package in a list."""

    id: int
    manager: str
    name: str
    version: str
    build: str
    channel: str
    license: str
    size: int
    reason: PackageReason | None


_PACKAGES = (
    select(
        *(Package.id, Package.manager, Package.name, Package.version),
        *(Package.build, Package.channel, Package.license, Package.size, BuildPackage.reason),
    )
    .join(BuildPackage, BuildPackage.package_id == Package.id)
    .where(BuildPackage.build_id == bindparam("build_id"))
    .order_by(BuildPackage.name, Package.manager)
)
_ALL_PACKAGES = Listing[PackageRow].of(_PACKAGES, PackageRow)
_FOUND_PACKAGES = Listing[PackageRow].of(_PACKAGES.where(BuildPackage.name.contains(_SEARCHED, escape="/")), PackageRow)


def list_packages(
    session: Session, build_id: int, *, page: int, size: int, search: str | None = None
) -> tuple[list[PackageRow], int]:
    """Return a page of the packages of a build, by name, and their count."""
    listing = _FOUND_PACKAGES if search else _ALL_PACKAGES
    return listing.page(session, page=page, size=size, values=_given(build_id=build_id, search=_literally(search)))
