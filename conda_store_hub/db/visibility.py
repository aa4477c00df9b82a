"""Who may do what, as conditions of statements: `core.permissions.role_on` in SQL; a test compares the two."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ScalarSelect, and_, bindparam, false, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import ColumnElement

from conda_store_hub.core.permissions import PERMISSIONS, Claim, Identity, Permission, Reach, Role, claims, roles_with
from conda_store_hub.db.tables import Environment, Grant, Namespace, UtcDateTime

Condition = ColumnElement[bool]

#: How many people's statements are kept: to make one anew takes longer than to run it.
MOST_KEPT = 256
#: The time at which a statement is run, and not the one at which it was made.
_NOW = bindparam("now", callable_=lambda: datetime.now(UTC), type_=UtcDateTime())
_LIVE = or_(Grant.expires_at.is_(None), Grant.expires_at > _NOW)
_HAS_SINGLE_GRANTS = (
    select(Grant.id)
    .where(Grant.environment_id.is_not(None), Grant.subject.in_(bindparam("subjects", expanding=True)), _LIVE)
    .limit(1)
)
_GRANTED_ROLES = select(Grant.namespace_id, Grant.environment_id, Grant.role, Grant.expires_at).where(
    Grant.namespace_id.in_(bindparam("namespace_ids", expanding=True)),
    Grant.subject.in_(bindparam("subjects", expanding=True)),
    _LIVE,
)


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


def allows_in_namespace(identity: Identity, permission: Permission) -> Condition:
    """Return the condition on Namespace under which `identity` has `permission` in it."""
    held = _claimed(claims(identity), permission)
    held.whole.append(Namespace.id.in_(_granted(Grant.namespace_id, identity, permission, single=False)))
    cap = true() if identity.limit is None else _claimed(identity.limit, permission).on_namespace
    return and_(_open(identity), held.on_namespace, cap)


@functools.lru_cache(MOST_KEPT)
def allows_on_environment(identity: Identity, permission: Permission, *, single: bool) -> Condition:
    """Return the condition on an Environment and its Namespace under which `identity` has `permission` on it.

    `single`: whether there are grants to them on single environments, as `has_single_grants` tells.
    """
    held = _claimed(claims(identity), permission)
    held.whole.append(Namespace.id.in_(_granted(Grant.namespace_id, identity, permission, single=False)))
    if single:
        held.single.append(Environment.id.in_(granted_environment_ids(identity, permission)))
        held.around.append(Namespace.id.in_(_granted(Grant.namespace_id, identity, permission, single=True)))
    cap = true() if identity.limit is None else _claimed(identity.limit, permission).on_environment
    return and_(_open(identity), held.on_environment, cap)


def _open(identity: Identity) -> Condition:
    """Return the condition under which a namespace is there for anybody, or at least for administrators of all."""
    there = Namespace.deleted_at.is_(None)
    return there if identity.admin else and_(there, Namespace.sealed_at.is_(None))


def _claimed(held: Iterable[Claim], permission: Permission) -> _Held:
    reaches = [claim.reach for claim in held if permission in PERMISSIONS[claim.role]]
    single = [reach for reach in reaches if _is_single(reach)]
    return _Held(
        whole=_cover([reach for reach in reaches if not _is_single(reach)]),
        single=_cover(single),
        around=_cover([replace(reach, environment=None, environment_id=None) for reach in single]),
    )


def _is_single(reach: Reach) -> bool:
    return (reach.environment, reach.environment_id) != (None, None)


_COLUMNS: dict[str, InstrumentedAttribute[Any]] = {
    "kind": Namespace.kind,
    "namespace_id": Namespace.id,
    "namespace": Namespace.name,
    "hub_name": Namespace.hub_name,
    "environment": Environment.name_key,
    "environment_id": Environment.id,
}


def _cover(reaches: Iterable[Reach]) -> list[Condition]:
    """Return `Reach.covers` as conditions, one for all that differ in their last field alone.

    A database takes an expression of so many terms only (SQLite: a depth of 1,000), and people are in many groups.
    """
    alike: defaultdict[tuple[tuple[str, object], ...], set[Any]] = defaultdict(set)
    for reach in reaches:
        given = _given(reach)
        key = (*given[:-1], (given[-1][0], None)) if given else ()
        alike[key].add(given[-1][1] if given else None)
    return [_one_of(key, values) for key, values in alike.items()]


def _given(reach: Reach) -> list[tuple[str, object]]:
    """Return the fields that are given; the number of an environment says all the rest."""
    if reach.environment_id is not None:
        return [("environment_id", reach.environment_id)]
    return [(name, getattr(reach, name)) for name in _COLUMNS if getattr(reach, name) is not None]


def _one_of(key: tuple[tuple[str, object], ...], values: set[Any]) -> Condition:
    if not key:
        return true()
    equal = [_COLUMNS[name] == value for name, value in key[:-1]]
    return and_(*equal, _COLUMNS[key[-1][0]].in_(sorted(values)))


def _granted(
    column: InstrumentedAttribute[int] | InstrumentedAttribute[int | None],
    identity: Identity,
    permission: Permission,
    *,
    single: bool,
) -> ScalarSelect[int | None]:
    level = Grant.environment_id.is_not(None) if single else Grant.environment_id.is_(None)
    named = Grant.subject.in_(identity.subjects)
    return select(column).where(level, named, _LIVE, Grant.role.in_(roles_with(permission))).scalar_subquery()


def granted_environment_ids(identity: Identity, permission: Permission) -> ScalarSelect[int | None]:
    """Select the environments on which a grant of their own gives `permission` to `identity`."""
    return _granted(Grant.environment_id, identity, permission, single=True)


def is_singled_out(identity: Identity, permission: Permission) -> Condition:
    """Return the condition on an Environment and its Namespace under which a grant or a token names it by itself."""
    reaches = [claim.reach for claim in (*claims(identity), *(identity.limit or ()))]
    named = _cover([reach for reach in reaches if _is_single(reach)])
    return or_(Environment.id.in_(granted_environment_ids(identity, permission)), *named)


def has_single_grants(session: Session, identity: Identity) -> bool:
    """Tell whether something was granted to `identity` on single environments."""
    subjects = identity.subjects
    return bool(subjects) and session.connection().scalar(_HAS_SINGLE_GRANTS, {"subjects": subjects}) is not None


class GrantedRole(NamedTuple):
    """A role that a grant gives."""

    namespace_id: int
    environment_id: int | None
    role: Role
    expires_at: datetime | None


def granted_roles(session: Session, identity: Identity, namespace_ids: Sequence[int]) -> Sequence[GrantedRole]:
    """Return what was granted to `identity` in some namespaces, and on single environments of them."""
    subjects = identity.subjects
    if not subjects:
        return ()
    rows = session.execute(_GRANTED_ROLES, {"namespace_ids": namespace_ids, "subjects": subjects})
    return [GrantedRole(*row) for row in rows]
