"""Rows as the wire shows them."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from conda_store_hub.core import schemas, source
from conda_store_hub.core.artifacts import FILES, artifact_address
from conda_store_hub.core.names import NamespaceKind
from conda_store_hub.core.permissions import Identity, SubjectKind
from conda_store_hub.core.protocol import ArtifactType, BuildStatus
from conda_store_hub.core.reasons import Needing
from conda_store_hub.db.lists import BuildRow, EnvironmentRow, PackageRow
from conda_store_hub.db.records import ArtifactRow, PhaseRow
from conda_store_hub.db.tables import (
    Build,
    Environment,
    Grant,
    Namespace,
    Specification,
    Token,
    TokenLimit,
)
from conda_store_hub.db.usage import Usage

S = TypeVar("S", bound=schemas.BuildSummary)


def namespace(row: Namespace) -> schemas.Namespace:
    """Show a namespace."""
    return schemas.Namespace(id=row.id, name=row.name, kind=row.kind, hub_name=row.hub_name)


def namespace_summary(row: Namespace, environments: int) -> schemas.NamespaceSummary:
    """Show a namespace in a list."""
    return schemas.NamespaceSummary(**dict(namespace(row)), environments=environments)


def usage(held: Usage) -> schemas.Usage:
    """Show what a namespace holds."""
    return schemas.Usage(num_environments=held.environments, num_builds=held.builds, storage=held.storage)


def member(row: Grant) -> schemas.Member:
    """Show a grant; its user is loaded. One to somebody whose name is another's now names nobody."""
    kind = SubjectKind(row.subject.partition(":")[0])
    user = row.user.name if row.user is not None and row.user.replaced_at is None else None
    return schemas.Member(
        id=row.id,
        subject=kind,
        name=row.subject.partition(":")[2] if kind is SubjectKind.GROUP else user,
        role=row.role,
        expires_on=row.expires_at,
        granted_by=row.granted_by,
        created_on=row.created_at,
    )


def token(row: Token, seen: frozenset[int]) -> schemas.TokenView:
    """Show a token; its user, its limits and their names are loaded. `seen`: the limits whose names may be told."""
    return schemas.TokenView(
        id=row.id,
        label=row.label,
        user=row.user.name,
        hint=row.hint,
        scopes=[
            schemas.TokenScope(on=_scope_name(limit, told=limit.id in seen), role=limit.role) for limit in row.limits
        ],
        created_on=row.created_at,
        expires_on=row.expires_at,
        last_used_on=row.last_used_at,
        last_used_from=row.last_used_from,
        expired=row.expires_at is not None and row.expires_at <= datetime.now(UTC),
    )


def _scope_name(limit: TokenLimit, *, told: bool) -> str:
    if limit.namespace is None:
        return "*/*"
    if not told:
        return "nothing any more"
    return f"{limit.namespace.name}/{limit.environment.name if limit.environment else '*'}"


def environment(
    row: Environment,
    latest_status: BuildStatus | None,
    current_build: schemas.Build | None = None,
    *,
    watched_file: str | None = None,
) -> schemas.Environment:
    """Show an environment; its namespace is loaded."""
    size = current_build.size + current_build.shared_size if current_build else None
    owner = namespace(row.namespace)
    return _environment(row, owner, latest_status, current_build, watched_file=watched_file, current_size=size)


def environment_summary(
    row: EnvironmentRow, matching: list[schemas.MatchingPackage] | None = None
) -> schemas.Environment:
    """Show an environment in a list, with what it has of what was searched for."""
    owner = _owner(row.namespace_id, row.namespace, row.kind, row.hub_name)
    return _environment(row, owner, row.latest_status, matching=matching, current_size=row.current_size)


@functools.lru_cache
def _owner(number: int, name: str, kind: NamespaceKind, hub_name: str | None) -> schemas.Namespace:
    """Show a namespace; in a list many follow each other that have the same."""
    return schemas.Namespace(id=number, name=name, kind=kind, hub_name=hub_name)


def _environment(
    row: Environment | EnvironmentRow,
    owner: schemas.Namespace,
    latest_status: BuildStatus | None,
    current_build: schemas.Build | None = None,
    matching: list[schemas.MatchingPackage] | None = None,
    watched_file: str | None = None,
    current_size: int | None = None,
) -> schemas.Environment:
    return schemas.Environment(
        id=row.id,
        namespace=owner,
        name=row.name,
        description=row.description,
        current_build_id=row.current_build_id,
        current_build=current_build,
        latest_build_id=row.latest_build_id,
        latest_status=latest_status,
        updated_on=row.updated_at,
        matching=matching,
        watched_file=watched_file,
        current_size=current_size,
    )


def specification(row: Specification, name: str) -> schemas.SpecificationView:
    """Show a specification as that of an environment which may have been renamed since: what is edited next fits it."""
    return schemas.SpecificationView(
        id=row.id,
        name=name,
        sha256=row.sha256,
        created_on=row.created_at,
        spec=row.parsed | {"name": name},
        text=row.text if row.name == name else source.rename(row.text, name),
    )


def build_summary(
    row: BuildRow, matching: list[schemas.MatchingPackage] | None = None, *, position: int | None = None
) -> schemas.BuildSummary:
    """Show a build in a list, with what it has of what was searched for, and its place in the queue."""
    return schemas.BuildSummary(
        **_build(row),
        namespace=row.namespace,
        environment=row.environment,
        active=row.current_build_id == row.id,
        position=position,
        matching=matching,
    )


def build_for(identity: Identity, shown: S) -> S:
    """Return a build as somebody is shown it: names of people and paths are not for who is not logged in."""
    if identity.authenticated:
        return shown
    hidden: dict[str, Any] = {"requested_by": None}
    if isinstance(shown, schemas.Build):
        hidden["prefix"] = None
    if shown.status is BuildStatus.CANCELED:
        hidden["status_info"] = "Cancelled."  # what is kept says by whom
    return shown.model_copy(update=hidden)


def _build(row: Build | BuildRow) -> dict[str, Any]:
    """Return the fields that do not depend on what a build belongs to."""
    return {
        "id": row.id,
        "environment_id": row.environment_id,
        "specification_id": row.specification_id,
        "status": row.status,
        "status_info": row.status_info,
        "error_code": row.error_code,
        "size": row.size,
        "shared_size": row.shared_size,
        "scheduled_on": row.scheduled_on,
        "started_on": row.started_on,
        "ended_on": row.ended_on,
        "requested_by": row.requested_by,
        "build_key": row.key,
        "pinned": row.pinned,
        "deleted_on": row.deleted_at,
        "lock_build_id": row.lock_build_id,
    }


def build(
    row: Build,
    owner: Environment,
    *,
    artifacts: Iterable[ArtifactRow],
    further: Iterable[ArtifactType],
    phases: Iterable[PhaseRow],
    prefix: str | None,
    position: int | None,
    tags: Iterable[str],
) -> schemas.Build:
    """Show a build of an environment in full; its specification is loaded, and the environment's namespace."""
    return schemas.Build(
        **_build(row),
        namespace=owner.namespace.name,
        environment=owner.name,
        active=owner.current_build_id == row.id,
        position=position,
        specification=specification(row.specification, owner.name),
        build_artifacts=[artifact(item) for item in artifacts],
        further_artifacts=[
            schemas.FurtherArtifact(artifact_type=kind, address=artifact_address(row.id, kind)) for kind in further
        ],
        phases=phase_times(phases),
        prefix=prefix if row.status is BuildStatus.COMPLETED and row.deleted_at is None else None,
        tags=list(tags),
    )


def phase_times(rows: Iterable[PhaseRow]) -> list[schemas.PhaseTime]:
    """Show the steps of a build."""
    return [schemas.PhaseTime(phase=row.phase, seconds=row.seconds) for row in rows]


def artifact(row: ArtifactRow) -> schemas.Artifact:
    """Show an artifact; where its bytes lie is nobody's business."""
    return schemas.Artifact(
        id=row.id,
        build_id=row.build_id,
        artifact_type=row.artifact_type,
        state=row.state,
        key=f"{row.artifact_type.lower()}/{row.build_id}",
        size=row.size,
        sha256=row.sha256,
        error=row.error,
        note=row.note,
        address=artifact_address(row.build_id, row.artifact_type) if row.artifact_type in FILES else None,
    )


def package(row: PackageRow, needing: Needing | None = None) -> schemas.Package:
    """Show a package, with what needs it if that is known."""
    return schemas.Package(
        id=row.id,
        manager="pip" if row.manager == "pip" else "conda",
        name=row.name,
        version=row.version,
        build=row.build,
        channel={"id": 0, "name": row.channel},
        license=row.license or None,
        summary=None,
        size=row.size,
        reason=row.reason,
        needed_by=None if needing is None else list(needing.names),
        needed_by_count=None if needing is None else needing.count,
    )
