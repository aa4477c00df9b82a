"""The REST wire: who may what, tokens, and who did what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.permissions import IdentityKind, Role, SubjectKind
from conda_store_hub.core.schemas.wire import Answer, Moment, Wire


def _editor_is_developer(role: object) -> object:
    """Take conda-store's newer name of the role for the older one."""
    return Role.DEVELOPER if role == "editor" else role


RoleName = Annotated[Role, BeforeValidator(_editor_is_developer)]


class Member(Wire):
    """Who has a role on a namespace or an environment; `id` is None where that follows from whose it is."""

    id: int | None = None
    subject: SubjectKind
    name: str | None = None
    """The Hub's name of the user or the group."""
    role: Role
    expires_on: datetime | None = None
    granted_by: str | None = None
    created_on: datetime | None = None


class GrantRole(Wire):
    """`PUT …/member/`: give a role, or change it."""

    subject: SubjectKind
    name: str | None = Field(default=None, min_length=1, max_length=255)
    """The Hub's name of the user or the group, to the letter."""
    role: Role
    expires_on: Moment | None = None
    """Left out, the end of the role that is changed stays as it is, and a new one has none; null is no end."""

    @property
    def keeps_end(self) -> bool:
        """Whether the end was left out."""
        return "expires_on" not in self.model_fields_set

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if (self.name is None) is (self.subject in (SubjectKind.USER, SubjectKind.GROUP)):
            raise ValueError("`name` belongs to the subjects `user` and `group`, and to no other")
        return self


class RoleMapping(Wire):
    """conda-store's second way to share: a role for those whose namespace `other_namespace` is."""

    other_namespace: str
    role: RoleName


class RoleMappingOf(Wire):
    """Which of them is meant."""

    other_namespace: str


class RoleMappingView(Wire):
    """One of them."""

    id: int
    namespace: str
    other_namespace: str
    role: Role


MAX_LABEL = 100


MAX_TOKEN_NAMESPACES = 100


class MakeToken(Wire):
    """`POST /api/v1/token/`: conda-store's fields, and ours: a label, and namespaces with a role."""

    label: str = Field(default="", max_length=MAX_LABEL)
    namespaces: list[str] | None = Field(default=None, min_length=1, max_length=MAX_TOKEN_NAMESPACES)
    """What it is for; None is everything that its owner has."""
    role: RoleName = Role.VIEWER
    expiration: Moment | None = None
    exp: Moment | None = None
    """The same, as conda-store's released client says it."""
    primary_namespace: str | None = None
    """conda-store's; a token's is its owner's."""
    role_bindings: dict[str, list[RoleName]] | None = Field(default=None, min_length=1, max_length=MAX_TOKEN_NAMESPACES)
    """`NAMESPACE/*` or `NAMESPACE/ENVIRONMENT`, each with its roles; instead of `namespaces` and `role`."""


class NewToken(Wire):
    """A token that was just made: its text is shown this once."""

    token: str
    id: int


class TokenScope(Wire):
    """What a token is limited to: `*/*`, `NAMESPACE/*` or `NAMESPACE/ENVIRONMENT`, and with which role at most."""

    on: str
    role: Role


class TokenView(Wire):
    """A token without its text; `hint` is how that ends."""

    id: int
    label: str
    user: str
    hint: str
    scopes: list[TokenScope]
    created_on: datetime
    expires_on: datetime | None = None
    last_used_on: datetime | None = None
    last_used_from: str | None = None
    expired: bool = False


class AuditEntry(Wire):
    """Who did what when, to what, from where."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    at: datetime
    action: AuditAction
    actor: str | None
    actor_kind: IdentityKind
    """Whether that is a user of the Hub, a service of the Hub or this one, or a token of the configuration."""
    user_id: int | None = None
    """This service's number of the user: a Hub name can be given to somebody else."""
    via: str
    source: str
    namespace: str | None = None
    environment: str | None = None
    build_id: int | None = None
    detail: str = ""


class AuditPage(Answer[list[AuditEntry]]):
    """A page of the audit trail, the newest first; ask again with `before` until `data` is empty."""

    before: int | None = None
