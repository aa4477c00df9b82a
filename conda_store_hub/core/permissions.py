"""Permissions, roles, Identity, and the one table that decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from conda_store_hub.core.names import NamespaceKind


class Permission(StrEnum):
    """What one may do; the texts are those of conda-store's API v1, where it has the thing."""

    ENVIRONMENT_READ = "environment::read"
    ENVIRONMENT_CREATE = "environment:create"
    ENVIRONMENT_UPDATE = "environment::update"
    ENVIRONMENT_DELETE = "environment::delete"
    BUILD_CANCEL = "build::cancel"
    BUILD_DELETE = "build::delete"
    NAMESPACE_READ = "namespace::read"
    NAMESPACE_CREATE = "namespace::create"
    NAMESPACE_UPDATE = "namespace::update"
    NAMESPACE_DELETE = "namespace::delete"
    MEMBERS_READ = "namespace-role-mapping::read"
    MEMBERS_UPDATE = "namespace-role-mapping::update"
    AUDIT_READ = "audit::read"
    SETTING_READ = "setting::read"
    SETTING_UPDATE = "setting::update"
    METRICS_READ = "metrics::read"
    IMAGE_REQUEST = "image::request"
    """Of conda-store-hub alone: to have images made of packages that one names, where there are such."""


class Role(StrEnum):
    """A named set of permissions, from the weakest to the strongest."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """How strong it is: a stronger role may all that a weaker one may."""
        return _RANKS[self]


_RANKS = {role: rank for rank, role in enumerate(Role)}

_VIEWER = frozenset({Permission.ENVIRONMENT_READ, Permission.NAMESPACE_READ, Permission.IMAGE_REQUEST})
_DEVELOPER = _VIEWER | {
    Permission.ENVIRONMENT_CREATE,
    Permission.ENVIRONMENT_UPDATE,
    Permission.BUILD_CANCEL,
    Permission.MEMBERS_READ,
    Permission.SETTING_READ,
}
#: What belongs to the service and to no namespace: only who administers all of it may.
SERVICE_PERMISSIONS = frozenset({Permission.NAMESPACE_CREATE, Permission.METRICS_READ})
_ADMIN = frozenset(Permission) - SERVICE_PERMISSIONS
PERMISSIONS: dict[Role, frozenset[Permission]] = {Role.VIEWER: _VIEWER, Role.DEVELOPER: _DEVELOPER, Role.ADMIN: _ADMIN}


def roles_with(permission: Permission) -> list[Role]:
    """Return the roles that hold a permission, the weakest first."""
    return [role for role in Role if permission in PERMISSIONS[role]]


def strongest(roles: Iterable[Role]) -> Role | None:
    """Return the strongest of some roles, None of none."""
    return max(roles, key=lambda role: role.rank, default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a right is asked for: a namespace, or one environment in it."""

    namespace_id: int
    namespace: str
    kind: NamespaceKind
    hub_name: str | None = None
    sealed: bool = False
    environment_id: int | None = None
    environment: str | None = None
    """Its name in lower case: names are unique without regard to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """Which targets a right is about: those that equal every field that is given. Nothing here is a pattern.

    One about an environment never reaches the namespace; `db.visibility.covers` is `covers` as a condition.
    """

    kind: NamespaceKind | None = None
    hub_name: str | None = None
    namespace: str | None = None
    environment: str | None = None
    namespace_id: int | None = None
    environment_id: int | None = None

    def covers(self, target: Target) -> bool:
        """Tell whether `target` is among them."""
        return all(
            wanted is None or wanted == found
            for wanted, found in (
                (self.kind, target.kind),
                (self.hub_name, target.hub_name),
                (self.namespace, target.namespace),
                (self.environment, target.environment),
                (self.namespace_id, target.namespace_id),
                (self.environment_id, target.environment_id),
            )
        )


EVERYTHING = Reach()


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A role, and what it is held on."""

    role: Role
    reach: Reach = EVERYTHING

    def as_words(self) -> tuple[str, str | None, str | None]:
        """Return one that the Hub's scopes gave, as it is kept."""
        return (self.role, self.reach.kind, self.reach.hub_name)

    @classmethod
    def from_words(cls, role: str, kind: str | None, hub_name: str | None) -> Claim:
        """Return what was kept."""
        return cls(role=Role(role), reach=Reach(kind=NamespaceKind(kind) if kind else None, hub_name=hub_name))


def administers(held: Iterable[Claim]) -> bool:
    """Tell whether somebody who holds this administers everything."""
    return Claim(role=Role.ADMIN) in held


class IdentityKind(StrEnum):
    """What asks."""

    NOBODY = "nobody"
    USER = "user"
    SERVICE = "service"
    TOKEN = "token"  # noqa: S105 - no password
    """One that stands in the configuration; it belongs to no user of the Hub."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who asks.

    name: of a user the raw Hub name, of others what the audit trail calls them; None is the anonymous.
    user_id: this service's own number of the person whom the Hub calls so now; grants and tokens are theirs, and not
        of whoever has the name later.
    scopes: what the Hub's custom scopes give; None where the site has none, and then the rules of `claims` count.
    bindings: what a token of the configuration was given.
    limit: what a token narrows its owner's rights to; None is no limit.
    anyone: whether grants to everybody count.
    expires: when the token that they came with ends.
    token_id: which token of ours they came with.
    metrics: whether they came with a token that was made for reading metrics.
    credential: a digest of the Hub's token that they came with.
    via, source: how they came in, and from which address: for the audit trail.
    """

    name: str | None
    kind: IdentityKind = IdentityKind.USER
    user_id: int | None = None
    groups: frozenset[str] = frozenset()
    admin: bool = False
    scopes: tuple[Claim, ...] | None = None
    bindings: tuple[Claim, ...] = ()
    primary: str | None = None
    limit: tuple[Claim, ...] | None = None
    anyone: bool = False
    expires: datetime | None = None
    token_id: int | None = None
    metrics: bool = False
    credential: str = field(default="", compare=False)
    via: str = field(default="", compare=False)
    source: str = field(default="", compare=False)

    @property
    def authenticated(self) -> bool:
        """Tell whether it is known who they are."""
        return self.kind is not IdentityKind.NOBODY

    @property
    def is_user(self) -> bool:
        """Tell whether they are a user of the Hub, with a namespace of their own."""
        return self.kind is IdentityKind.USER

    @property
    def administers_all(self) -> bool:
        """Tell whether they administer the whole service, and came with nothing that narrows it."""
        return self.admin and (self.limit is None or administers(self.limit))

    @property
    def subjects(self) -> tuple[str, ...]:
        """Return as what grants name them."""
        named: list[str] = [user_subject(self.user_id)] if self.user_id is not None else []
        if self.is_user:
            named += [*map(group_subject, sorted(self.groups)), SubjectKind.AUTHENTICATED]
        return (*named, SubjectKind.ANYONE) if self.anyone else tuple(named)


class SubjectKind(StrEnum):
    """To whom a role can be given."""

    USER = "user"
    GROUP = "group"
    AUTHENTICATED = "authenticated"
    ANYONE = "anyone"


def user_subject(user_id: int) -> str:
    """Return how grants name a user: by this service's number."""
    return f"{SubjectKind.USER}:{user_id}"


def group_subject(name: str) -> str:
    """Return how grants name a group of the Hub."""
    return f"{SubjectKind.GROUP}:{name}"


ANONYMOUS = Identity(name=None, kind=IdentityKind.NOBODY)


def claims(identity: Identity) -> tuple[Claim, ...]:
    """Return what somebody holds by who they are; what was granted to them comes on top.

    This is the table that decides: `role_on` reads it for a check, `db.visibility` makes it the condition of lists.
    """
    if identity.admin:
        return (Claim(role=Role.ADMIN),)
    if not identity.is_user:
        return identity.bindings
    shared = Claim(role=Role.VIEWER, reach=Reach(kind=NamespaceKind.SHARED))
    if identity.scopes is not None:
        return (*identity.scopes, shared)
    own = Claim(role=Role.ADMIN, reach=Reach(kind=NamespaceKind.USER, hub_name=identity.name))
    groups = (
        Claim(role=Role.DEVELOPER, reach=Reach(kind=NamespaceKind.GROUP, hub_name=group))
        for group in sorted(identity.groups)
    )
    return (own, *groups, shared)


def role_on(identity: Identity, target: Target, granted: Iterable[Role] = ()) -> Role | None:
    """Return the role of `identity` on `target`, or None: default deny.

    `granted`: the roles that grants give to its subjects on the namespace, and on the environment if it is one.
    """
    if target.sealed and not identity.admin:
        return None
    held = strongest([*_on(target, claims(identity)), *granted])
    if held is None or identity.limit is None:
        return held
    cap = strongest(_on(target, identity.limit))
    return None if cap is None else min(held, cap, key=lambda role: role.rank)


def _on(target: Target, held: Iterable[Claim]) -> list[Role]:
    return [claim.role for claim in held if claim.reach.covers(target)]


# The Hub's custom scopes (JupyterHub, "Custom scopes"): `custom:SERVICE:environments:ROLE[!user=NAME|!group=NAME]`.

SCOPE_ROLES = {"read": Role.VIEWER, "write": Role.DEVELOPER, "admin": Role.ADMIN}
_FILTERS = {"user": NamespaceKind.USER, "group": NamespaceKind.GROUP}


def scope_names(service: str) -> dict[str, Role]:
    """Return the scopes that give roles in a service of that name."""
    return {f"custom:{service}:environments:{word}": role for word, role in SCOPE_ROLES.items()}


def read_scopes(service: str, scopes: Iterable[str]) -> tuple[Claim, ...]:
    """Return what the Hub's scopes give; a filter that is not about a user or a group gives nothing."""
    names = scope_names(service)
    found: list[Claim] = []
    for scope in sorted(scopes):
        name, _, condition = scope.partition("!")
        if name not in names:
            continue
        if not condition:
            found.append(Claim(role=names[name]))
            continue
        word, _, value = condition.partition("=")
        if word in _FILTERS and value:
            found.append(Claim(role=names[name], reach=Reach(kind=_FILTERS[word], hub_name=value)))
    return tuple(found)
