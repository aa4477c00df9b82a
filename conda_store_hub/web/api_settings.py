"""API: what builds may be and how long they stay; for the service, a namespace, an environment."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import JsonValue, RootModel

from conda_store_hub.core import policy, schemas
from conda_store_hub.core.errors import PolicyRefusedError
from conda_store_hub.core.permissions import Permission
from conda_store_hub.services import policies
from conda_store_hub.services.policies import Place
from conda_store_hub.web import arguments
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation

_READ = Operation(answer=schemas.Answer[dict[str, schemas.Setting]], needs=Permission.SETTING_READ)
_CHANGE = Operation(
    answer=schemas.Answer[dict[str, schemas.Setting]],
    body=policy.ChangePolicy,
    needs=Permission.SETTING_UPDATE,
    errors=(PolicyRefusedError,),
)


class _Given(RootModel[dict[str, JsonValue]]):
    """Keys and values before they are held against what there is: that says more than the model's own refusals."""


class _Settings(ApiHandler):
    """What the three kinds of places have in common."""

    async def show(self, place: Place) -> None:
        found = await self.services.db.read(policies.describe, self.identity, place, self.services.rules)
        self.write_model(schemas.Answer[dict[str, schemas.Setting]](data=found))

    async def change(self, place: Place) -> None:
        given: dict[str, Any] = self.read_body(_Given).root
        wanted = await asyncio.to_thread(policy.read_change, given)
        found = await self.services.db.write(policies.change, self.identity, place, wanted, self.services.rules)
        self.write_model(schemas.Answer[dict[str, schemas.Setting]](data=found, message="The settings were changed."))


class ServiceSettingsHandler(_Settings):
    """`/api/v1/setting/`."""

    @_READ
    async def get(self) -> None:
        """Return what counts for the whole service, by key; for administrators of the Hub."""
        await self.show(Place())

    @_CHANGE
    async def put(self) -> None:
        """Set values for the whole service, in place of the configuration's; for administrators of the Hub."""
        await self.change(Place())


class NamespaceSettingsHandler(_Settings):
    """`/api/v1/setting/NAMESPACE/`."""

    @_READ
    async def get(self, namespace: str) -> None:
        """Return what counts in a namespace, by key, with where it comes from."""
        await self.show(Place(namespace=arguments.read_namespace(namespace)))

    @_CHANGE
    async def put(self, namespace: str) -> None:
        """Set values for a namespace: limits tighter than the service's, and preferences of its own."""
        await self.change(Place(namespace=arguments.read_namespace(namespace)))


class EnvironmentSettingsHandler(_Settings):
    """`/api/v1/setting/NAMESPACE/NAME/`."""

    @_READ
    async def get(self, namespace: str, name: str) -> None:
        """Return what counts for an environment, by key, with where it comes from."""
        await self.show(_environment(namespace, name))

    @_CHANGE
    async def put(self, namespace: str, name: str) -> None:
        """Set values for an environment: limits tighter than its namespace's, and preferences of its own."""
        await self.change(_environment(namespace, name))


def _environment(namespace: str, name: str) -> Place:
    names = arguments.read_names(namespace, name)
    return Place(namespace=names[0], environment=names[1])
