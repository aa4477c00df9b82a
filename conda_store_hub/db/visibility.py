"""Who may do what, as conditions of statements: `core.permissions.role_on` in SQL; a test compares the two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ScalarSelect, and_, false, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import ColumnElement

from conda_store_hub.core.permissions import Claim, Identity, Permission, Reach, Role, claims, roles_with
from conda_store_hub.db.tables import Environment, Grant, Namespace

Condition = ColumnElement[bool]


def allows_in_namespace(identity: Identity, permission: Permission, now: datetime) -> Condition:
    """Return the condition on Namespace under which `identity` has `permission` in it."""
    held = [
        *_namespaces(claims(identity), permission),
        Namespace.id.in_(_granted_namespaces(identity, permission, now)),
    ]
    cap = None if identity.limit is None else _namespaces(identity.limit, permission)
    return _combine(identity, held, cap)


def allows_on_environment(identity: Identity, permission: Permission, now: datetime) -> Condition:
    """Return the condition on an Environment and its Namespace under which `identity` has `permission` on it."""
    held = [
        *_environments(claims(identity), permission),
        Namespace.id.in_(_granted_namespaces(identity, permission, now)),
        Environment.id.in_(granted_environment_ids(identity, permission, now)),
    ]
    cap = None if identity.limit is None else _environments(identity.limit, permission)
    return _combine(identity, held, cap)


def _combine(identity: Identity, held: list[Condition], cap: list[Condition] | None) -> Condition:
    """Put together what is held, what a token leaves of it, and what is open to nobody."""
    conditions: list[Condition] = [Namespace.deleted_at.is_(None)]
    if not identity.admin:
        conditions += [Namespace.sealed_at.is_(None), or_(false(), *held)]
    if cap is not None:
        conditions.append(or_(false(), *cap))
    return and_(*conditions)


def _namespaces(held: Iterable[Claim], permission: Permission) -> list[Condition]:
    return [
        _covers(claim.reach)
        for claim in held
        if claim.role in roles_with(permission) and claim.reach.environment is claim.reach.environment_id is None
    ]


def _environments(held: Iterable[Claim], permission: Permission) -> list[Condition]:
    return [_covers(claim.reach) for claim in held if claim.role in roles_with(permission)]


def _covers(reach: Reach) -> Condition:
    """Return `Reach.covers` as a condition."""
    pairs: tuple[tuple[InstrumentedAttribute[object], object], ...] = (
        (Namespace.kind, reach.kind),
        (Namespace.hub_name, reach.hub_name),
        (Namespace.name, reach.namespace),
        (Environment.name_key, reach.environment),
        (Namespace.id, reach.namespace_id),
        (Environment.id, reach.environment_id),
    )
    return and_(true(), *(column == wanted for column, wanted in pairs if wanted is not None))


def _granted_namespaces(identity: Identity, permission: Permission, now: datetime) -> ScalarSelect[int]:
    statement = select(Grant.namespace_id).where(Grant.environment_id.is_(None), _live(identity, now))
    return statement.where(Grant.role.in_(roles_with(permission))).scalar_subquery()


def granted_environment_ids(identity: Identity, permission: Permission, now: datetime) -> ScalarSelect[int | None]:
    """Select the environments on which a grant of their own gives `permission` to `identity`."""
    statement = select(Grant.environment_id).where(Grant.environment_id.is_not(None), _live(identity, now))
    return statement.where(Grant.role.in_(roles_with(permission))).scalar_subquery()


def _live(identity: Identity, now: datetime) -> Condition:
    return and_(Grant.subject.in_(identity.subjects), or_(Grant.expires_at.is_(None), Grant.expires_at > now))


def is_singled_out(identity: Identity, permission: Permission, now: datetime) -> Condition:
    """Return the condition on an Environment and its Namespace under which a grant or a token names it by itself."""
    reaches = [claim.reach for claim in (*claims(identity), *(identity.limit or ()))]
    named = [_covers(reach) for reach in reaches if (reach.environment, reach.environment_id) != (None, None)]
    return or_(Environment.id.in_(granted_environment_ids(identity, permission, now)), *named)


class GrantedRole(NamedTuple):
    """A role that a grant gives."""

    namespace_id: int
    environment_id: int | None
    role: Role


def granted_roles(
    session: Session, identity: Identity, namespace_ids: Sequence[int], now: datetime
) -> Sequence[GrantedRole]:
    """Return what was granted to `identity` in some namespaces, and on single environments of them."""
    if not identity.subjects:
        return ()
    statement = select(Grant.namespace_id, Grant.environment_id, Grant.role).where(
        Grant.namespace_id.in_(namespace_ids), _live(identity, now)
    )
    return [GrantedRole(*row) for row in session.execute(statement)]
