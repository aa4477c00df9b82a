"""Kernels of the active builds, and of one build, as a kernel spec manager takes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import ConflictError, GoneError
from conda_store_hub.core.names import DataDirectory, KernelName
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import BuildStatus, Kernel
from conda_store_hub.db import aliases, people, queries
from conda_store_hub.db.tables import Build
from conda_store_hub.services import builds, tokens
from conda_store_hub.services.changes import ALL_KERNELS, kernels_topic

MOST_ENVIRONMENTS = 1000
"""Whose kernels are listed: a picker with more is of no use, and an administrator sees all there are."""
_MOST_NAMESPACES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelAnswer:
    """A list of kernels, and the topics whose announcement may change it."""

    list: schemas.KernelList
    topics: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Names:
    """What an environment is called and was called, and what its kernels are called by that."""

    namespace: str
    environment: str
    before: Sequence[str]

    def of_kernel(self, raw: str) -> str:
        return str(KernelName(namespace=self.namespace, environment=self.environment, raw=raw))

    def of_kernel_before(self, raw: str) -> tuple[str, ...]:
        return tuple(replace(self, environment=name).of_kernel(raw) for name in self.before)


def list_kernels(session: Session, identity: Identity, *, data: DataDirectory) -> KernelAnswer:
    """Return the kernels of every active build that `identity` may see, one a kernel spec in its prefix."""
    tokens.require_live(session, identity)
    rows = queries.kernel_rows(session, identity, MOST_ENVIRONMENTS)
    kernels = _list_views(session, rows, data)
    digest = hashlib.sha256(repr([view.model_dump() for view in kernels]).encode()).hexdigest()[:32]
    return KernelAnswer(list=schemas.KernelList(etag=digest, kernels=kernels), topics=_topics(session, identity))


def list_build_kernels(
    session: Session, identity: Identity, build_id: int, *, data: DataDirectory
) -> list[schemas.KernelView]:
    """Return the kernels of one build, active or not, by what its environment is called now.

    Raises GoneError for one that was deleted, ConflictError for one that is not completed.
    """
    build = builds.require(session, identity, build_id, Permission.ENVIRONMENT_READ)
    if build.deleted_at is not None:
        raise GoneError(f"Build {build_id} was deleted.")
    if build.status is not BuildStatus.COMPLETED or build.prefix_name is None:
        raise ConflictError(f"Build {build_id} is {build.status}: only a completed one has kernels.")
    return _list_views(session, [(build.environment.namespace.name, build.environment.name, build)], data)


def _list_views(
    session: Session, rows: Sequence[tuple[str, str, Build]], data: DataDirectory
) -> list[schemas.KernelView]:
    before = aliases.names_that_were(session, [build.environment_id for _, _, build in rows])
    kernels: list[schemas.KernelView] = []
    for namespace, environment, build in rows:
        names = _Names(namespace=namespace, environment=environment, before=before.get(build.environment_id, ()))
        found = (_find_view(names, build, stored, data) for stored in build.kernels)
        kernels += [view for view in found if view is not None]
    return kernels


def _topics(session: Session, identity: Identity) -> tuple[str, ...]:
    if identity.admin:
        return (ALL_KERNELS,)
    visible = queries.first_namespaces(session, identity, _MOST_NAMESPACES, Permission.ENVIRONMENT_READ)
    single = people.single_environments(session, identity, _MOST_NAMESPACES)
    places = {row.id for row in visible} | {row.namespace_id for row in single}
    return (*map(kernels_topic, sorted(places)), *tokens.rights_topics(identity))


def _find_view(
    names: _Names, build: Build, stored: Mapping[str, str], data: DataDirectory
) -> schemas.KernelView | None:
    """Return a kernel as it goes out; None for one that would spoil the whole list for everybody who sees it."""
    try:
        raw = stored["raw"]
        return schemas.KernelView(
            name=names.of_kernel(raw),
            namespace=names.namespace,
            environment=names.environment,
            build_id=build.id,
            raw=raw,
            prefix=str(data.prefix(build.prefix_name or "")),
            spec=Kernel.parse_spec(stored["spec"]),
            aliases=names.of_kernel_before(raw),
            python=stored.get("python"),
        )
    except (ValueError, LookupError):
        return None
