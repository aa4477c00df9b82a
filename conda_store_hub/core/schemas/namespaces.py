"""The REST wire: namespaces, what they hold, and what one may do."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, RootModel

from conda_store_hub.core.permissions import Permission, Role
from conda_store_hub.core.schemas.builds import Namespace
from conda_store_hub.core.schemas.wire import Answer, Json, Wire


class PermissionSummary(Wire):
    """`GET /api/v1/permission/`; keys hold exactly one `/`."""

    authenticated: bool
    primary_namespace: str
    entity_permissions: dict[str, list[str]]
    entity_roles: dict[str, list[str]]
    expiration: datetime | None = None


class Usage(Wire):
    """What a namespace holds; the keys are conda-store's. `storage` is bytes that would be free if all of it went."""

    num_environments: int
    num_builds: int
    storage: int


class UsagePage(Answer[dict[str, Usage]]):
    """`GET /api/v1/usage/`: by namespace, a page of namespaces at a time."""

    page: int
    size: int
    count: int


class NamespaceSummary(Namespace):
    """A namespace in lists."""

    environments: int
    """How many environments it has."""


class NamespaceDetails(Namespace):
    """A namespace in full, and what who asks may do in it."""

    metadata_: dict[str, Json]
    created_on: datetime
    sealed: bool
    """Whether its owner's Hub name is somebody else's now: then it is the administrators' alone."""
    role: Role | None
    permissions: list[Permission]
    usage: Usage


class ChangeNamespace(Wire):
    """`PUT /api/v1/namespace/{ns}/`."""

    metadata: dict[str, Json] | None = None
    role_mappings: dict[str, list[str]] | None = None
    """conda-store's first way to share; refused, with the address of the members."""


class Notes(RootModel[dict[str, Json]]):
    """`PUT /api/v1/namespace/{ns}/metadata`: anything, as an object."""

    model_config = ConfigDict(frozen=True)


class RestoreNamespace(Wire):
    """`PUT /api/v1/namespace/{ns}/restore/`; `name` where the old one is taken."""

    name: str | None = None
