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
from conda_store_hub.core.names import NamespaceKind, shorten
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What somebody is to have, and until when."""

    subject: SubjectKind
    role: Role
    expires_on: datetime | None


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
    session: Session,
    identity: Identity,
    place: Place,
    *,
    page: int,
    size: int,
    after: int | None = None,
    scoped: bool = False,
) -> tuple[list[schemas.Member], int]:
    """Return a page of who has a role there, and the count; whose the namespace is comes first.

    `after`: only those behind the member of this number.
    `scoped`: the Hub's scopes say what whose it is may do, and they are known of nobody but who asks.
    Those of the whole namespace have their roles on each environment too, and stand in its list alone.
    """
    rows = _require(session, identity, place, Permission.MEMBERS_READ)
    behind = -1 if after is None else after
    count = people.count_grants(session, *rows.key, after=behind)
    owner = _owner(rows.namespace) if rows.environment is None and not scoped and after is None else None
    ahead = 1 if owner else 0
    start = (page - 1) * size
    limit = size - ahead if start == 0 else size
    grants = people.list_grants(session, *rows.key, limit, offset=max(0, start - ahead), after=behind)
    shown = [views.member(grant) for grant in grants]
    return ([owner, *shown] if owner and start == 0 else shown), count + ahead


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
    """Give a role, or change the one that was given, whose end stays as it is where the request leaves it out.

    `user_id`: this service's number of the user that the request names; the Hub was asked who that is.
    """
    rows = _require(session, identity, place, Permission.MEMBERS_UPDATE)
    queries.hold_namespace(session, rows.namespace)
    subject = _subject(request, user_id)
    row = people.find_grant(session, *rows.key, subject)
    end = _find_end(row, datetime.now(UTC)) if request.keeps_end else request.expires_on
    wanted = _Wanted(subject=request.subject, role=request.role, expires_on=end)
    _check(session, identity, rows, wanted, anonymous_allowed=anonymous_allowed)
    if row is None:
        if people.count_grants(session, *rows.key) >= MOST_GRANTS:
            raise ConflictError(f"At most {MOST_GRANTS} can have a role here; use a group of the Hub.")
        row = Grant(namespace_id=rows.key[0], environment_id=rows.key[1], subject=subject, user_id=user_id)
        session.add(row)
    row.role = request.role
    row.expires_at = wanted.expires_on
    row.granted_by = identity.name
    row.created_at = datetime.now(UTC)
    session.flush()
    _tell(session, identity, rows, AuditAction.GRANT_SET, row, f"{request.role} for {_words(request, end)}")
    session.refresh(row, ["user"])
    return views.member(row)


def _find_end(row: Grant | None, now: datetime) -> datetime | None:
    """Return when a role ends that there is; what has ended already is given anew."""
    return row.expires_at if row is not None and row.expires_at is not None and row.expires_at > now else None


def change(
    session: Session, identity: Identity, place: Place, grant_id: int, role: Role, *, anonymous_allowed: bool
) -> None:
    """Change a role that was given; when it ends stays as it is."""
    rows = _require(session, identity, place, Permission.MEMBERS_UPDATE)
    queries.hold_namespace(session, rows.namespace)
    row = _get_grant(session, rows, grant_id)
    shown = views.member(row)
    wanted = _Wanted(subject=shown.subject, role=role, expires_on=row.expires_at)
    _check(session, identity, rows, wanted, anonymous_allowed=anonymous_allowed)
    row.role = role
    row.granted_by = identity.name
    row.created_at = datetime.now(UTC)
    _tell(session, identity, rows, AuditAction.GRANT_SET, row, f"{role} for {_name(shown)}")


def _check(session: Session, identity: Identity, rows: _Rows, request: _Wanted, *, anonymous_allowed: bool) -> None:
    held = rights.find_role(session, identity, rows.namespace, rows.environment)
    if held is None or request.role.rank > held.rank:
        raise ForbiddenError(f"Nobody can give more than they have: you have the role {held} here.")
    if request.subject is SubjectKind.ANYONE and not anonymous_allowed:
        raise PolicyRefusedError("This service shows nothing to people who are not logged in (allow_anonymous).")
    if request.subject is SubjectKind.ANYONE and request.role is not Role.VIEWER:
        raise PolicyRefusedError("Everybody, logged in or not, can only be a viewer.")
    if request.expires_on is not None and request.expires_on <= datetime.now(UTC):
        raise InvalidRequestError("`expires_on` lies in the past.")
    end = rights.find_end(session, identity, rows.namespace, rows.environment, request.role)
    if end is not None and (request.expires_on is None or request.expires_on > end):
        raise ForbiddenError(
            f"You have this yourself until {end:%Y-%m-%d %H:%M:%S} UTC: give an `expires_on` up to then."
        )


def _subject(request: schemas.GrantRole, user_id: int | None) -> str:
    if request.subject is SubjectKind.USER and user_id is not None:
        return user_subject(user_id)
    if request.subject is SubjectKind.GROUP and request.name is not None:
        return group_subject(request.name)
    return request.subject


def remove(session: Session, identity: Identity, place: Place, grant_id: int) -> None:
    """Take a role back."""
    rows = _require(session, identity, place, Permission.MEMBERS_UPDATE)
    row = _get_grant(session, rows, grant_id)
    shown = views.member(row)
    people.remove_grant(session, grant_id)
    _tell(session, identity, rows, AuditAction.GRANT_REMOVE, row, f"{row.role} of {_name(shown)}")


def _get_grant(session: Session, rows: _Rows, grant_id: int) -> Grant:
    row = people.get_grant(session, *rows.key, grant_id)
    if row is None:
        raise NotFoundError(f"There is no member {grant_id} here.")
    return row


def _name(member: schemas.Member) -> str:
    return " ".join(part for part in (member.subject, member.name) if part)


# conda-store's own way to say it: a role for those whose namespace another one is.


def read_mapping(
    session: Session, identity: Identity, place: Place, other_namespace: str, role: Role
) -> schemas.GrantRole:
    """Return what it means to give a role to a namespace; one of a user or a group stands for them."""
    _require(session, identity, place, Permission.MEMBERS_UPDATE)
    other = queries.find_namespace(session, other_namespace)
    if other is not None and other.kind is NamespaceKind.GROUP and rights.find_role(session, identity, other) is None:
        other = None  # which groups a Hub has is not for all of its users
    kinds = {NamespaceKind.USER: SubjectKind.USER, NamespaceKind.GROUP: SubjectKind.GROUP}
    if other is None or other.kind not in kinds or other.sealed_at is not None:
        raise NotFoundError(f"There is no user or group whose namespace “{shorten(other_namespace)}” is.")
    return schemas.GrantRole(subject=kinds[other.kind], name=other.hub_name, role=role)


def list_mappings(
    session: Session, identity: Identity, place: Place, other_namespace: str | None = None
) -> list[schemas.RoleMappingView]:
    """Return the roles of users and groups that have a namespace, or of those of one namespace."""
    rows = _require(session, identity, place, Permission.MEMBERS_READ)
    kinds = {SubjectKind.USER: NamespaceKind.USER, SubjectKind.GROUP: NamespaceKind.GROUP}
    found: list[schemas.RoleMappingView] = []
    for row in people.list_grants(session, *rows.key, MOST_GRANTS):
        member = views.member(row)
        kind = kinds.get(member.subject)
        other = queries.find_hub_namespace(session, kind, member.name) if kind and member.name else None
        if other is not None and other_namespace in (None, other.name):
            found.append(
                schemas.RoleMappingView(
                    id=row.id, namespace=rows.namespace.name, other_namespace=other.name, role=row.role
                )
            )
    return found


def _tell(session: Session, identity: Identity, rows: _Rows, action: AuditAction, row: Grant, words: str) -> None:
    audit.record(session, identity, action, namespace=rows.namespace, environment=rows.environment, detail=words)
    announce(session, rights_topic(row.subject))
    announce(session, ALL_KERNELS)


def _words(request: schemas.GrantRole, end: datetime | None) -> str:
    until = f" until {end:%Y-%m-%d %H:%M} UTC" if end else ""
    return " ".join(part for part in (request.subject, request.name) if part) + until
