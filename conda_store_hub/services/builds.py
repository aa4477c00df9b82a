"""Builds as people see them: submit, describe, list, cancel."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Unpack

from sqlalchemy.orm import Session

from conda_store_hub.core import ondemand, reasons, schemas
from conda_store_hub.core.artifacts import FILES
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import (
    ConflictError,
    EditConflictError,
    ForbiddenError,
    NotAuthenticatedError,
    NotFoundError,
)
from conda_store_hub.core.names import BuildKey, DataDirectory, shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.core.reasons import Needing
from conda_store_hub.db import claims, lists, queries, records, tables, tags
from conda_store_hub.db.lists import BuildFilters
from conda_store_hub.db.session import announce
from conda_store_hub.services import audit, contents, policies, rights, specifications, views
from conda_store_hub.services.changes import QUEUE, artifacts_topic, build_topic, ended_topic
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.services.specifications import PreparedSpecification


def prepare(request: schemas.SubmitSpecification, rules: BuildRules) -> PreparedSpecification:
    """Read what was submitted and hold it against rules that are known; raise with the place of the first fault."""
    return specifications.check(specifications.read(request, rules.platform), rules)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where a submission goes, and the rules of that place."""

    namespace: str
    rules: BuildRules


def find_target(
    session: Session, identity: Identity, namespace: str | None, name: str | None, rules: BuildRules
) -> Target:
    """Return where `identity` would build an environment of that name, and its rules over those of the configuration.

    Without a name, one that is not there yet. Raises for who may not: what is refused by the rules of a place tells
    something of it.
    """
    owner, row = _require_place(session, identity, namespace, name)
    return Target(namespace=owner.name, rules=policies.rules_at(session, rules, owner, row))


def submit(
    session: Session,
    identity: Identity,
    namespace: str | None,
    prepared: PreparedSpecification,
    rules: BuildRules,
    *,
    activates: bool = True,
    fresh: bool = False,
    latest: int | None = None,
) -> int:
    """Queue a build of `prepared` and return its id; makes the environment if it is new.

    `fresh`: with a new solve, even if nothing changed since an earlier one. `latest`: the newest build that the
    environment had when one began to edit, 0 if there was none. If its newest is of another specification now, somebody
    else was there: raises EditConflictError, and nothing is changed. Raises QuotaExceededError when there is no room
    for it.
    """
    now = datetime.now(UTC)
    environment = _ensure_environment(session, identity, namespace, prepared, now)
    if latest is not None:
        _require_as_it_was(session, environment, latest)
    specification = keep_specification(session, prepared, now)
    build = queue(session, identity, environment, specification, rules, activates=activates, fresh=fresh)
    audit.record_build(session, identity, AuditAction.BUILD_SUBMIT, build)
    return build.id


def _require_as_it_was(session: Session, environment: tables.Environment, latest: int) -> None:
    """Raise EditConflictError if somebody has changed what is built since build `latest`; 0 is before the first."""
    newest, name = environment.latest_build_id, f"“{shorten(environment.name)}”"
    if latest == (newest or 0):
        return
    if newest is None:
        raise EditConflictError(f"{name} is not there any more, or under another name; you began with build {latest}.")
    if latest == 0:
        raise EditConflictError(f"There is {name} already, with build {newest}; you asked for a new one.")
    if not queries.have_one_specification(session, environment.id, {latest, newest}):
        raise EditConflictError(
            f"{name} has build {newest} now; you began with {latest}. Look at what changed, and submit yours again."
        )


def queue(
    session: Session,
    identity: Identity,
    environment: tables.Environment,
    specification: tables.Specification,
    rules: BuildRules,
    *,
    lock: tables.Build | None = None,
    activates: bool = True,
    fresh: bool = False,
    restores: bool = False,
    yields: Sequence[ArtifactType] | None = None,
) -> tables.Build:
    """Queue a build in an environment; with `lock`, what that build had is installed exactly, without a solve.

    `rules`: those of the configuration. `restores`: it makes again what was there, and no quota is asked.
    `yields`: what it yields, in place of what the policy says.
    Raises PolicyRefusedError where this service builds nothing, and QuotaExceededError when there is no room for it.
    """
    rules.require_builds()
    layers = policies.list_layers(session, environment.namespace_id, environment.id)
    if not restores:
        policies.require_room(session, rules, layers, environment)
    now = datetime.now(UTC)
    build = tables.Build(
        environment=environment,
        specification=specification,
        status=BuildStatus.QUEUED,
        requested_by=identity.name,
        scheduled_on=now,
        activates=activates,
        fresh=fresh,
        lock_build_id=lock.id if lock else None,
    )
    session.add(build)
    session.flush()
    build.key = str(
        BuildKey(spec_sha256=specification.sha256, scheduled_on=now, build_id=build.id, environment=environment.name)
    )
    session.add_all(
        tables.Artifact(build_id=build.id, artifact_type=wanted, state=ArtifactState.PENDING)
        for wanted in (rules.at(layers).values.artifacts if yields is None else yields)
    )
    environment.latest_build_id = build.id
    environment.updated_at = now
    announce(session, QUEUE)
    return build


def _ensure_environment(
    session: Session, identity: Identity, namespace: str | None, prepared: PreparedSpecification, now: datetime
) -> tables.Environment:
    """Return the environment of that name if `identity` may change it, or make it if they may make one."""
    owner, row = _require_place(session, identity, namespace, prepared.name)
    if row is None:
        rights.hold(session, identity, owner)
    else:
        rights.hold_environment(session, identity, row)
        _describe_anew(row, prepared)
        return row
    made = tables.Environment(
        namespace=owner,
        name=prepared.name,
        name_key=prepared.name.lower(),
        description=prepared.description,
        created_at=now,
        updated_at=now,
    )
    session.add(made)
    session.flush()
    audit.record(session, identity, AuditAction.ENVIRONMENT_CREATE, namespace=owner, environment=made)
    return made


def _require_place(
    session: Session, identity: Identity, namespace: str | None, name: str | None
) -> tuple[tables.Namespace, tables.Environment | None]:
    """Return the namespace, and the environment if it is there, in which `identity` may build that name."""
    target = namespace or rights.find_own_namespace(session, identity) or ""
    if target == ondemand.NAMESPACE:
        _refuse_by_hand(session, identity)
    row = queries.find_environment(session, target, name) if name is not None else None
    if row is not None and rights.find_role(session, identity, row.namespace, row) is not None:
        rights.require_row(session, identity, row, Permission.ENVIRONMENT_UPDATE, "")
        return row.namespace, row
    return rights.require_namespace(session, identity, target, Permission.ENVIRONMENT_CREATE), None


def _refuse_by_hand(session: Session, identity: Identity) -> None:
    """Raise for who would write into the environments that are made of wishes: what they are follows from the name."""
    rights.require_namespace(session, identity, ondemand.NAMESPACE, Permission.NAMESPACE_READ)
    raise ForbiddenError(
        f"What is in “{ondemand.NAMESPACE}” is made of the names of images that are pulled, and of nothing else:"
        " build it in another namespace."
    )


def _describe_anew(row: tables.Environment, prepared: PreparedSpecification) -> None:
    if row.name != prepared.name:
        raise ConflictError(
            f"There is an environment “{shorten(row.name)}” in “{shorten(row.namespace.name)}”;"
            f" “{shorten(prepared.name)}” differs only in case."
        )
    if prepared.description:
        row.description = prepared.description


def keep_specification(session: Session, prepared: PreparedSpecification, now: datetime) -> tables.Specification:
    """Return the row of a specification that was held against the rules, which is made once."""
    shown = _as_conda_store_shows(prepared)
    return ensure_specification(session, prepared.name, prepared.text, prepared.source.sha256(), shown, now)


def ensure_specification(
    session: Session, name: str, text: str, sha256: str, parsed: dict[str, Any], now: datetime
) -> tables.Specification:
    """Return the row of a text that was typed, which is made once; `parsed` is how conda-store's clients see it."""
    text_sha256 = hashlib.sha256(f"{name}\n{text}".encode(errors="surrogatepass")).hexdigest()
    row = queries.find_specification(session, text_sha256)
    if row is None:
        row = tables.Specification(
            name=name, sha256=sha256, text_sha256=text_sha256, text=text, parsed=parsed | {"name": name}, created_at=now
        )
        session.add(row)
        session.flush()
    return row


def _as_conda_store_shows(prepared: PreparedSpecification) -> dict[str, Any]:
    specification = prepared.source.specification
    dependencies: list[str | dict[str, list[str]]] = [entry.text for entry in specification.dependencies]
    if specification.pip:
        dependencies.append({"pip": [entry.text for entry in specification.pip]})
    return {
        "name": prepared.name,
        "channels": [entry.text for entry in specification.channels],
        "dependencies": dependencies,
        "variables": dict(specification.variables),
        "description": prepared.description,
        "prefix": None,
    }


def require(session: Session, identity: Identity, build_id: int, permission: Permission) -> tables.Build:
    """Return a build on whose environment `identity` has `permission`."""
    row = queries.find_build(session, build_id)
    if row is None:
        raise _hidden(identity, build_id)
    _require_on(session, identity, row.environment, build_id, permission)
    return row


def require_readable(session: Session, identity: Identity, build_id: int) -> None:
    """Raise unless `identity` may read the environment of a build; less to load than for `require`."""
    row = queries.find_environment_of(session, build_id)
    if row is None:
        raise _hidden(identity, build_id)
    _require_on(session, identity, row, build_id, Permission.ENVIRONMENT_READ)


def _require_on(
    session: Session, identity: Identity, row: tables.Environment, build_id: int, permission: Permission
) -> None:
    if row.deleted_at is not None:
        raise _hidden(identity, build_id)
    rights.require_row(session, identity, row, permission, _hidden_words(build_id))


def _hidden(identity: Identity, build_id: int) -> NotFoundError | NotAuthenticatedError:
    return rights.hidden(identity, _hidden_words(build_id))


def _hidden_words(build_id: int) -> str:
    return f"There is no build {build_id}, or you may not see it."


def get_build(session: Session, identity: Identity, build_id: int, *, data: DataDirectory) -> schemas.Build:
    """Return a build in full, with the path of its prefix."""
    row = require(session, identity, build_id, Permission.ENVIRONMENT_READ)
    return show(session, identity, row, row.environment, data=data)


def show(
    session: Session, identity: Identity, row: tables.Build, environment: tables.Environment, *, data: DataDirectory
) -> schemas.Build:
    """Show a build in full, to somebody who may read its environment."""
    yields = records.list_artifacts(session, row.id)
    known = {item.artifact_type for item in yields}
    shown = views.build(
        row,
        environment,
        artifacts=yields,
        further=[kind for kind in FILES if kind not in known] if has_files(row) else [],
        phases=records.list_phases(session, row.id),
        prefix=str(data.prefix(row.prefix_name)) if row.prefix_name else None,
        position=claims.queue_position(session, row.id) if row.status is BuildStatus.QUEUED else None,
        tags=tags.tags_of_build(session, row.id),
    )
    return views.build_for(identity, shown)


def has_files(row: tables.Build) -> bool:
    """Tell whether a build has a whole environment on disk, of which artifacts can be made."""
    return row.status is BuildStatus.COMPLETED and row.deleted_at is None and row.prefix_name is not None


def list_builds(
    session: Session,
    identity: Identity,
    *,
    page: int,
    size: int,
    ascending: bool = False,
    packages: Sequence[str] = (),
    **filters: Unpack[BuildFilters],
) -> tuple[list[schemas.BuildSummary], int]:
    """Return a page of builds that `identity` may see, the newest first, and the count of those after build `after`.

    `packages`: only those that have all of them, each a name with versions or without; with what they have of each.
    """
    wanted = contents.find_wanted(session, packages)
    if wanted.is_nowhere:
        return [], 0
    rows, count = lists.list_builds(
        session, identity, page=page, size=size, ascending=ascending, packages=wanted.lots, **filters
    )
    places = claims.queue_positions(session, {row.id for row in rows if row.status is BuildStatus.QUEUED})
    shown = (
        views.build_summary(row, contents.show_matching(wanted, row.packages), position=places.get(row.id))
        for row in rows
    )
    return [views.build_for(identity, each) for each in shown], count


def list_packages(
    session: Session,
    identity: Identity,
    build_id: int,
    *,
    page: int,
    size: int,
    search: str | None = None,
    why: bool = False,
) -> tuple[list[schemas.Package], int]:
    """Return a page of a build's packages, conda's and pip's, by name, and the count.

    `why`: with the packages that need each of them.
    """
    require_readable(session, identity, build_id)
    rows, count = lists.list_packages(session, build_id, page=page, size=size, search=search)
    if not why:
        return [views.package(row) for row in rows], count
    needing = contents.find_needing(session, build_id)
    return [views.package(row, needing.get(reasons.make_key(row.manager, row.name), Needing())) for row in rows], count


def cancel(session: Session, identity: Identity, build_id: int) -> None:
    """Ask for the end of a build: a queued one ends now, a running one when its runner sees it.

    One that is usable stays usable: what is still being made of it ends.
    """
    row = queries.hold_build(session, require(session, identity, build_id, Permission.BUILD_CANCEL))
    if row.log_complete or row.status in (BuildStatus.FAILED, BuildStatus.CANCELED):
        raise ConflictError(f"Build {build_id} is {row.status}: there is nothing to cancel.")
    _end(session, identity, row)
    audit.record_build(session, identity, AuditAction.BUILD_CANCEL, row)


def _end(session: Session, identity: Identity, row: tables.Build) -> None:
    """End a build that is queued, or have its runner end it."""
    if row.status is BuildStatus.QUEUED:
        row.status = BuildStatus.CANCELED
        row.status_info = f"Cancelled by {identity.name} while it was queued."
        row.ended_on = datetime.now(UTC)
        row.log_complete = True
        announce(session, ended_topic(row.id, row.status))
    else:
        row.cancel_requested = True
    if row.status is BuildStatus.BUILDING:
        row.status_info = f"Cancelled by {identity.name}."
    for topic in (build_topic(row.id), artifacts_topic(row.id), QUEUE):
        announce(session, topic)
