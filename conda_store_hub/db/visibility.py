"""Who may do what, as conditions of statements: `core.permissions.role_on` in SQL; a test compares the two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ScalarSelect, and_, false, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import ColumnElement

from conda_store_hub.core.permissions import PERMISSIONS, Claim, Identity, Permission, Reach, Role, claims, roles_with
from conda_store_hub.db.tables import Environment, Grant, Namespace

Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class _Held:
    """What is held on whole namespaces, on single environments, and on the namespaces that those are in."""

    whole: list[Condition] = field(default_factory=list[Condition])
    single: list[Condition] = field(default_factory=list[Condition])
    around: list[Condition] = field(default_factory=list[Condition])

    @property
    def on_namespace(self) -> Condition:
        return or_(false(), *self.whole)

    @property
    def on_environment(self) -> Condition:
        """Both of them: without the first every environment there is would be looked at for the second."""
        if not self.single:
            return self.on_namespace
        return and_(or_(*self.whole, *self.around), or_(*self.whole, *self.single))


def allows_in_namespace(identity: Identity, permission: Permission, now: datetime) -> Condition:
    """Return the condition on Namespace under which `identity` has `permission` in it."""
    held = _claimed(claims(identity), permission)
    held.whole.append(Namespace.id.in_(_granted(Grant.namespace_id, identity, permission, now, single=False)))
    cap = true() if identity.limit is None else _claimed(identity.limit, permission).on_namespace
    return and_(_open(identity), held.on_namespace, cap)


def allows_on_environment(session: Session, identity: Identity, permission: Permission, now: datetime) -> Condition:
    """Return the condition on an Environment and its Namespace under which `identity` has `permission` on it."""
    held = _claimed(claims(identity), permission)
    held.whole.append(Namespace.id.in_(_granted(Grant.namespace_id, identity, permission, now, single=False)))
    if _has_single_grants(session, identity, now):
        held.single.append(Environment.id.in_(granted_environment_ids(identity, permission, now)))
        held.around.append(Namespace.id.in_(_granted(Grant.namespace_id, identity, permission, now, single=True)))
    cap = true() if identity.limit is None else _claimed(identity.limit, permission).on_environment
    return and_(_open(identity), held.on_environment, cap)


def _open(identity: Identity) -> Condition:
    """Return the condition under which a namespace is there for anybody, or at least for administrators of all."""
    there = Namespace.deleted_at.is_(None)
    return there if identity.admin else and_(there, Namespace.sealed_at.is_(None))


def _claimed(held: Iterable[Claim], permission: Permission) -> _Held:
    found = _Held()
    for claim in held:
        if permission not in PERMISSIONS[claim.role]:
            continue
        if claim.reach.environment is claim.reach.environment_id is None:
            found.whole.append(_covers(claim.reach))
        else:
            found.single.append(_covers(claim.reach))
            found.around.append(_covers(replace(claim.reach, environment=None, environment_id=None)))
    return found


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


def _granted(
    column: InstrumentedAttribute[int] | InstrumentedAttribute[int | None],
    identity: Identity,
    permission: Permission,
    now: datetime,
    *,
    single: bool,
) -> ScalarSelect[int | None]:
    level = Grant.environment_id.is_not(None) if single else Grant.environment_id.is_(None)
    statement = select(column).where(level, _live(identity, now), Grant.role.in_(roles_with(permission)))
    return statement.scalar_subquery()


def granted_environment_ids(identity: Identity, permission: Permission, now: datetime) -> ScalarSelect[int | None]:
    """Select the environments on which a grant of their own gives `permission` to `identity`."""
    return _granted(Grant.environment_id, identity, permission, now, single=True)


def _live(identity: Identity, now: datetime) -> Condition:
    return and_(Grant.subject.in_(identity.subjects), or_(Grant.expires_at.is_(None), Grant.expires_at > now))


def is_singled_out(identity: Identity, permission: Permission, now: datetime) -> Condition:
    """Return the condition on an Environment and its Namespace under which a grant or a token names it by itself."""
    reaches = [claim.reach for claim in (*claims(identity), *(identity.limit or ()))]
    named = [_covers(reach) for reach in reaches if (reach.environment, reach.environment_id) != (None, None)]
    return or_(Environment.id.in_(granted_environment_ids(identity, permission, now)), *named)


def _has_single_grants(session: Session, identity: Identity, now: datetime) -> bool:
    statement = select(Grant.id).where(Grant.environment_id.is_not(None), _live(identity, now)).limit(1)
    return bool(identity.subjects) and session.scalar(statement) is not None


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
