"""Sharing: roles on a namespace or on one environment, for people, groups, everybody logged in, everybody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    PolicyRefusedError,
)
from conda_store_hub.core.names import NamespaceKind
from conda_store_hub.core.permissions import Identity, Permission, Role, SubjectKind, group_subject, user_subject
from conda_store_hub.db import people, queries
from conda_store_hub.db.session import announce
from conda_store_hub.db.tables import Environment, Grant, Namespace
from conda_store_hub.services import audit, rights, views
from conda_store_hub.services.changes import ALL_KERNELS, rights_topic

MOST_GRANTS = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What roles are given on: a namespace, or one environment of it, by name."""

    namespace: str
    environment: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    namespace: Namespace
    environment: Environment | None

    @property
    def key(self) -> tuple[int, int | None]:
        return self.namespace.id, self.environment.id if self.environment else None


def require(session: Session, identity: Identity, place: Place, permission: Permission) -> None:
    """Raise unless `identity` has `permission` there: asked before anything is said about who exists."""
    _require(session, identity, place, permission)


def _require(session: Session, identity: Identity, place: Place, permission: Permission) -> _Rows:
    if place.environment is None:
        return _Rows(
            namespace=rights.require_namespace(session, identity, place.namespace, permission), environment=None
        )
    row = rights.require_environment(session, identity, place.namespace, place.environment, permission)
    return _Rows(namespace=row.namespace, environment=row)


def list_members(
    session: Session, identity: Identity, place: Place, *, page: int, size: int
) -> tuple[list[schemas.Member], int]:
    """Return a page of who has a role there, and the count; whose the namespace is comes first, on the first page.

    Those of the whole namespace have their roles on each environment too, and stand in its list alone.
    """
    rows = _require(session, identity, place, Permission.MEMBERS_READ)
    grants, count = queries.page_of(session, people.select_grants(*rows.key), page=page, size=size)
    shown = [views.member(grant) for grant in grants]
    owner = _owner(rows.namespace) if rows.environment is None and page == 1 else None
    return ([owner, *shown] if owner else shown), count


def _owner(namespace: Namespace) -> schemas.Member | None:
    if namespace.sealed_at is not None:
        return None
    if namespace.kind is NamespaceKind.USER:
        return schemas.Member(subject=SubjectKind.USER, name=namespace.hub_name, role=Role.ADMIN)
    if namespace.kind is NamespaceKind.GROUP:
        return schemas.Member(subject=SubjectKind.GROUP, name=namespace.hub_name, role=Role.DEVELOPER)
    if namespace.kind is NamespaceKind.SHARED:
        return schemas.Member(subject=SubjectKind.AUTHENTICATED, role=Role.VIEWER)
    return None


def grant(
    session: Session,
    identity: Identity,
    place: Place,
    request: schemas.GrantRole,
    *,
    user_id: int | None,
    anonymous_allowed: bool,
) -> schemas.Member:
    """Give a role, or change the one that was given.

    `user_id`: this service's number of the user that the request names; the Hub was asked who that is.
    """
    rows = _require(session, identity, place, Permission.MEMBERS_UPDATE)
    _check(session, identity, rows, request, anonymous_allowed=anonymous_allowed)
    subject = _subject(request, user_id)
    row = people.find_grant(session, *rows.key, subject)
    if row is None:
        if people.count_grants(session, *rows.key) >= MOST_GRANTS:
            raise ConflictError(f"At most {MOST_GRANTS} can have a role here; use a group of the Hub.")
        row = Grant(namespace_id=rows.key[0], environment_id=rows.key[1], subject=subject, user_id=user_id)
        session.add(row)
    row.role = request.role
    row.expires_at = request.expires_on
    row.granted_by = identity.name
    row.created_at = datetime.now(UTC)
    session.flush()
    _tell(session, identity, rows, AuditAction.GRANT_SET, row, f"{request.role} for {_words(request)}")
    session.refresh(row, ["user"])
    return views.member(row)


def _check(
    session: Session, identity: Identity, rows: _Rows, request: schemas.GrantRole, *, anonymous_allowed: bool
) -> None:
    held = rights.find_role(session, identity, rows.namespace, rows.environment)
    if held is None or request.role.rank > held.rank:
        raise ForbiddenError(f"Nobody can give more than they have: you have the role {held} here.")
    if request.subject is SubjectKind.ANYONE and not anonymous_allowed:
        raise PolicyRefusedError("This service shows nothing to people who are not logged in (allow_anonymous).")
    if request.subject is SubjectKind.ANYONE and request.role is not Role.VIEWER:
        raise PolicyRefusedError("Everybody, logged in or not, can only be a viewer.")
    if request.expires_on is not None and request.expires_on <= datetime.now(UTC):
        raise InvalidRequestError("`expires_on` lies in the past.")


def _subject(request: schemas.GrantRole, user_id: int | None) -> str:
    if request.subject is SubjectKind.USER and user_id is not None:
        return user_subject(user_id)
    if request.subject is SubjectKind.GROUP and request.name is not None:
        return group_subject(request.name)
    return request.subject


def remove(session: Session, identity: Identity, place: Place, grant_id: int) -> None:
    """Take a role back."""
    rows = _require(session, identity, place, Permission.MEMBERS_UPDATE)
    row = people.get_grant(session, *rows.key, grant_id)
    if row is None:
        raise NotFoundError(f"There is no member {grant_id} here.")
    shown = views.member(row)
    people.remove_grant(session, grant_id)
    words = " ".join(part for part in (shown.subject, shown.name) if part)
    _tell(session, identity, rows, AuditAction.GRANT_REMOVE, row, f"{row.role} of {words}")


def _tell(session: Session, identity: Identity, rows: _Rows, action: AuditAction, row: Grant, words: str) -> None:
    audit.record(session, identity, action, namespace=rows.namespace, environment=rows.environment, detail=words)
    announce(session, rights_topic(row.subject))
    announce(session, ALL_KERNELS)


def _words(request: schemas.GrantRole) -> str:
    until = f" until {request.expires_on:%Y-%m-%d %H:%M} UTC" if request.expires_on else ""
    return " ".join(part for part in (request.subject, request.name) if part) + until
