"""Environments: list, describe, activate."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Unpack

from sqlalchemy.orm import Session

from conda_store_hub.core import ondemand, schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import ConflictError, EditConflictError, ForbiddenError, NotFoundError
from conda_store_hub.core.names import DataDirectory, NamespaceKind, check_description, check_environment_name, shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db import aliases, lifecycle, lists, queries, usage, watched
from conda_store_hub.db.lists import EnvironmentFilters
from conda_store_hub.db.session import announce
from conda_store_hub.db.tables import Environment
from conda_store_hub.services import audit, builds, contents, rights, views
from conda_store_hub.services.changes import ALL_KERNELS, kernels_topic


def list_environments(
    session: Session,
    identity: Identity,
    *,
    page: int,
    size: int,
    packages: Sequence[str] = (),
    **filters: Unpack[EnvironmentFilters],
) -> tuple[list[schemas.Environment], int]:
    """Return a page of what `identity` may see, by namespace and name, and the count.

    `packages`: only those whose active build has all of them, each a name with versions or without; with what it has of
    each. With `after`, the count is of those behind it.
    """
    wanted = contents.find_wanted(session, packages)
    if wanted.is_nowhere:
        return [], 0
    rows, count = lists.list_environments(session, identity, page=page, size=size, packages=wanted.lots, **filters)
    return [views.environment_summary(row, contents.show_matching(wanted, row.packages)) for row in rows], count


def get_environment(
    session: Session, identity: Identity, namespace: str, name: str, *, data: DataDirectory
) -> schemas.Environment:
    """Return one environment with its active build."""
    found, words = queries.find_shown_environment(session, namespace, name), rights.say_hidden(namespace, name)
    if found is None:
        raise rights.hidden(identity, words)
    row = rights.require_row(session, identity, found.row, Permission.ENVIRONMENT_READ, words)
    build = builds.show(session, identity, found.active, row, data=data) if found.active else None
    file = watched.find_file_of(session, row.id) if row.namespace.kind is NamespaceKind.SYSTEM else None
    return views.environment(row, found.latest_status, build, watched_file=file.path if file else None)


def find_new_name(session: Session, identity: Identity, namespace: str, name: str) -> str:
    """Return what an environment is called now that had another name; raise NotFoundError where nobody may know."""
    found = aliases.find_new_name(session, namespace, name)
    if found is None:
        raise rights.hidden(identity, rights.say_hidden(namespace, name))
    return rights.require_environment(session, identity, namespace, found, Permission.ENVIRONMENT_READ).name


def find_storage(session: Session, environment_id: int) -> int:
    """Return how many bytes would be free if an environment went; who asks may read it."""
    return usage.usage_of_environment(session, environment_id).storage


def update(
    session: Session,
    identity: Identity,
    namespace: str,
    name: str,
    change: schemas.ActivateBuild,
    *,
    seen: str | None = None,
) -> None:
    """Activate a finished build of the environment, or change its description.

    `seen`: the description that one saw; raise EditConflictError if it is another by now.
    """
    row = rights.require_environment(session, identity, namespace, name, Permission.ENVIRONMENT_UPDATE)
    rights.hold_environment(session, identity, row)
    if change.description is not None:
        if seen is not None and row.description not in (seen, change.description):
            raise EditConflictError(f"The description was changed since you began. It is now: {row.description}")
        row.description = check_description(change.description)
        row.updated_at = datetime.now(UTC)
        _record(session, identity, AuditAction.ENVIRONMENT_UPDATE, row, None)
    if change.build_id is not None:
        _activate(session, row, change.build_id)
        _record(session, identity, AuditAction.ENVIRONMENT_ACTIVATE, row, change.build_id)


def _record(session: Session, identity: Identity, action: AuditAction, row: Environment, build_id: int | None) -> None:
    audit.record(session, identity, action, namespace=row.namespace, environment=row, build_id=build_id)


def rename(session: Session, identity: Identity, namespace: str, name: str, new_name: str) -> None:
    """Give an environment another name: its number, its builds and their prefixes stay, and nothing is built."""
    row = rights.require_environment(session, identity, namespace, name, Permission.ENVIRONMENT_UPDATE)
    require_new_name(session, identity, row)
    rights.hold_environment(session, identity, row)
    wanted = check_environment_name(new_name)
    found = queries.find_environment(session, namespace, wanted)
    if found is not None and found.id != row.id:
        raise ConflictError(f"There is an environment “{shorten(wanted)}” in “{shorten(namespace)}” already.")
    before = row.name
    write_name(session, row, wanted)
    row.updated_at = datetime.now(UTC)
    _record_rename(session, identity, row, before)
    announce_kernels(session, row.namespace_id)


def _record_rename(session: Session, identity: Identity, row: Environment, before: str) -> None:
    action, detail = AuditAction.ENVIRONMENT_RENAME, f"was “{before}”"
    audit.record(session, identity, action, namespace=row.namespace, environment=row, detail=detail)


def exchange_names(session: Session, identity: Identity, one: Environment, other: Environment) -> None:
    """Give each of two environments of a namespace the name of the other, as if both were renamed at once."""
    for row in (one, other):
        require_new_name(session, identity, row)
        rights.hold_environment(session, identity, row)
        aliases.keep_name(session, row, datetime.now(UTC))
    before, after = one.name, other.name
    one.name_key = f"-{one.id}"  # is nobody's name, and only for the moment: both are there once in the index
    session.flush()
    for row, name in ((other, before), (one, after)):
        was, row.name, row.name_key, row.updated_at = row.name, name, name.lower(), datetime.now(UTC)
        session.flush()
        _record_rename(session, identity, row, was)
    announce_kernels(session, one.namespace_id)


def require_new_name(session: Session, identity: Identity, row: Environment) -> None:
    """Raise unless `identity` may give an environment another name, which takes one in its namespace."""
    if _is_named_by_wish(row):
        raise ForbiddenError(f"“{shorten(row.name)}” is called after the image that is pulled: it gets no other name.")
    if not rights.may(session, identity, Permission.ENVIRONMENT_CREATE, row.namespace):
        raise ForbiddenError(
            f"“{shorten(row.name)}” can get no other name from you: that needs {Permission.ENVIRONMENT_CREATE}"
            f" in “{shorten(row.namespace.name)}”."
        )


def _is_named_by_wish(row: Environment) -> bool:
    """Tell whether the name of an environment follows from that of an image, by which it is found again."""
    return row.namespace.name == ondemand.NAMESPACE


def may_rename(session: Session, identity: Identity, namespace: str, name: str) -> bool:
    """Tell whether `identity` may give an environment another name: that needs rights on it and in its namespace."""
    row = queries.find_environment(session, namespace, name)
    return (
        row is not None
        and not _is_named_by_wish(row)
        and rights.may(session, identity, Permission.ENVIRONMENT_UPDATE, row.namespace, row)
        and rights.may(session, identity, Permission.ENVIRONMENT_CREATE, row.namespace)
    )


def write_name(session: Session, row: Environment, name: str) -> None:
    """Put a name into an environment; the name that it had goes on starting its kernels.

    The texts that its builds were made of stay: they are shown with the name that it has.
    """
    if row.name == name:
        return
    aliases.keep_name(session, row, datetime.now(UTC))
    row.name, row.name_key = name, name.lower()


def _activate(session: Session, row: Environment, build_id: int) -> None:
    build = queries.find_build(session, build_id)
    if build is None or build.environment_id != row.id:
        raise NotFoundError(f"The environment “{shorten(row.name)}” has no build {build_id}.")
    lifecycle.hold_environment_of(session, build)
    queries.hold_build(session, build)
    if build.status is not BuildStatus.COMPLETED:
        raise ConflictError(f"Build {build_id} is {build.status}: only a completed build can be activated.")
    if build.deleted_at is not None:
        raise ConflictError(f"Build {build_id} was deleted: rebuild it exactly if its lock was kept, or anew.")
    if build.prefix_name is None:  # the janitor was there before the environment was brought back
        raise ConflictError(f"The files of build {build_id} were freed: rebuild it exactly, from its lock.")
    queries.activate(session, build, datetime.now(UTC))
    announce_kernels(session, row.namespace_id)


def announce_kernels(session: Session, namespace_id: int) -> None:
    """Wake those who wait for the kernels of a namespace."""
    announce(session, kernels_topic(namespace_id))
    announce(session, ALL_KERNELS)
