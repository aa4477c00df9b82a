"""Permissions, roles, Identity, and the one table that decides."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from conda_store_hub.core.names import NamespaceKind


class Permission(StrEnum):
    """What one may do; the texts are those of conda-store's API v1."""

    ENVIRONMENT_READ = "environment::read"
    ENVIRONMENT_CREATE = "environment:create"
    ENVIRONMENT_UPDATE = "environment::update"
    ENVIRONMENT_DELETE = "environment::delete"
    BUILD_CANCEL = "build::cancel"
    BUILD_DELETE = "build::delete"
    NAMESPACE_READ = "namespace::read"
    NAMESPACE_UPDATE = "namespace::update"
    NAMESPACE_DELETE = "namespace::delete"


class Role(StrEnum):
    """A named set of permissions in one namespace."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    ADMIN = "admin"


_VIEWER = frozenset({Permission.ENVIRONMENT_READ, Permission.NAMESPACE_READ})
_DEVELOPER = _VIEWER | {
    Permission.ENVIRONMENT_CREATE,
    Permission.ENVIRONMENT_UPDATE,
    Permission.BUILD_CANCEL,
}
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.DEVELOPER: _DEVELOPER,
    Role.ADMIN: frozenset(Permission),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who asks, as the Hub knows them. `name` is the raw Hub name; None is the anonymous."""

    name: str | None
    groups: frozenset[str] = frozenset()
    admin: bool = False

    @property
    def authenticated(self) -> bool:
        """Tell whether the Hub knows them."""
        return self.name is not None


ANONYMOUS = Identity(name=None)

# Which role an identity has by what a namespace is; the strongest that applies counts. `db.queries.visible_to`
# is this table as SQL, and a test compares the two.


def role_in(identity: Identity, kind: NamespaceKind, hub_name: str | None) -> Role | None:
    """Return the role of `identity` in a namespace, or None: default deny."""
    if not identity.authenticated:
        return None
    if identity.admin or (kind is NamespaceKind.USER and hub_name == identity.name):
        return Role.ADMIN
    if kind is NamespaceKind.GROUP and hub_name in identity.groups:
        return Role.DEVELOPER
    return Role.VIEWER if kind is NamespaceKind.SHARED else None


def is_allowed(identity: Identity, permission: Permission, kind: NamespaceKind, hub_name: str | None) -> bool:
    """Tell whether `identity` may do this in a namespace of that kind and owner."""
    role = role_in(identity, kind, hub_name)
    return role is not None and permission in PERMISSIONS[role]
