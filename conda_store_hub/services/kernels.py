"""Kernels of the active builds, as a kernel spec manager takes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.names import DataDirectory, KernelName
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import Kernel
from conda_store_hub.db import aliases, people, queries
from conda_store_hub.db.tables import Build
from conda_store_hub.services import tokens
from conda_store_hub.services.changes import ALL_KERNELS, kernels_topic

_MOST_NAMESPACES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelAnswer:
    """A list of kernels, and the topics whose announcement may change it."""

    list: schemas.KernelList
    topics: tuple[str, ...]


def list_kernels(session: Session, identity: Identity, *, data: DataDirectory) -> KernelAnswer:
    """Return the kernels of every active build that `identity` may see, one a kernel spec in its prefix."""
    tokens.require_live(session, identity)
    now = datetime.now(UTC)
    before = aliases.names_that_were(session, identity, now)
    kernels = [
        view
        for namespace, environment, build in queries.kernel_rows(session, identity, now)
        for view in _views(namespace, environment, build, data, before.get(build.environment_id, ()))
    ]
    digest = hashlib.sha256(repr([view.model_dump() for view in kernels]).encode()).hexdigest()[:32]
    return KernelAnswer(list=schemas.KernelList(etag=digest, kernels=kernels), topics=_topics(session, identity))


def _topics(session: Session, identity: Identity) -> tuple[str, ...]:
    if identity.admin:
        return (ALL_KERNELS,)
    now = datetime.now(UTC)
    visible = queries.first_namespaces(session, identity, _MOST_NAMESPACES, Permission.ENVIRONMENT_READ, now)
    single = people.single_environments(session, identity, now, _MOST_NAMESPACES)
    places = {row.id for row in visible} | {row.namespace_id for row in single}
    return (*map(kernels_topic, sorted(places)), *tokens.rights_topics(identity))


def _views(
    namespace: str, environment: str, build: Build, data: DataDirectory, before: Sequence[str]
) -> list[schemas.KernelView]:
    found = (_find_view(namespace, environment, build, kernel, data, before) for kernel in build.kernels)
    return [view for view in found if view is not None]


def _find_view(
    namespace: str,
    environment: str,
    build: Build,
    stored: Mapping[str, str],
    data: DataDirectory,
    before: Sequence[str],
) -> schemas.KernelView | None:
    """Return a kernel as it goes out; None for one that would spoil the whole list for everybody who sees it."""
    try:
        return schemas.KernelView(
            name=str(KernelName(namespace=namespace, environment=environment, raw=stored["raw"])),
            namespace=namespace,
            environment=environment,
            build_id=build.id,
            raw=stored["raw"],
            prefix=str(data.prefix(build.prefix_name or "")),
            spec=Kernel.parse_spec(stored["spec"]),
            aliases=tuple(str(KernelName(namespace=namespace, environment=name, raw=stored["raw"])) for name in before),
        )
    except (ValueError, LookupError):
        return None
