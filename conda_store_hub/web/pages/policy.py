"""`…/policy/`: what counts in a namespace or for an environment, where it comes from, and a form to set some of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core import policy, schemas
from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.policy import Scope
from conda_store_hub.services import policies
from conda_store_hub.services.policies import Place
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.web import arguments
from conda_store_hub.web.base import SERVER_FAULT
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages import settings
from conda_store_hub.web.pages.settings import SettingField


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyContext(Context):
    """The settings of a place, each with a field for who may set it; `address` is the page of the place itself."""

    template: ClassVar[str] = "policy.html"
    place: Place
    address: str
    fields: tuple[SettingField, ...]
    may_change: bool
    error: str

    @property
    def where(self) -> str:
        """The kind of the place, in a word."""
        return "environment" if self.place.environment else "namespace"

    @property
    def name(self) -> str:
        """The place as people write it."""
        return "/".join(filter(None, (self.place.namespace, self.place.environment)))

    @property
    def wrong(self) -> tuple[SettingField, ...]:
        """The fields that hold what cannot be."""
        return tuple(one for one in self.fields if one.fault)


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    found: dict[str, schemas.Setting]
    may_change: bool


def _read(session: Session, identity: Identity, place: Place, rules: BuildRules) -> _View:
    found = policies.describe(session, identity, place, rules)
    return _View(found=found, may_change=policies.may_change(session, identity, place))


class _PolicyHandler(PageHandler):
    """What both kinds of places have in common."""

    help = "pages/#a-namespace"

    async def show_policy(self, place: Place) -> None:
        await self._show(place, await self._look(place), {}, {}, "")

    async def change_policy(self, place: Place, back: str) -> None:
        """Set what was typed, or show it again with what is wrong at each field."""
        view = await self._look(place)
        typed = {key: self._typed(key) for key, one in view.found.items() if one.settable and self._was_sent(key)}
        given, faults = await asyncio.to_thread(_read_given, typed, view.found, _scope(place))
        error = ""
        try:
            wanted = await asyncio.to_thread(policy.read_change, given)
            refused = await self.services.db.read(
                policies.find_faults, self.identity, place, wanted, self.services.rules
            )
            faults = {**{key: exc.public_message for key, exc in refused.items()}, **faults}
            if not faults:
                await self.services.db.write(policies.change, self.identity, place, wanted, self.services.rules)
                self.redirect(f"{self.prefix}{back}", status=303)
                return
            self.set_status(400)
        except CondaStoreHubError as exc:
            if exc.status >= SERVER_FAULT:
                raise
            self.set_status(exc.status)
            error = exc.public_message
        await self._show(place, view, typed, faults, error)

    async def _look(self, place: Place) -> _View:
        return await self.look_up(_read, place, self.services.rules)

    def _was_sent(self, key: str) -> bool:
        return key in self.request.body_arguments

    def _typed(self, key: str) -> str:
        return self.get_body_argument(key, "", strip=False).replace("\r\n", "\n")

    async def _show(
        self, place: Place, view: _View, typed: Mapping[str, str], faults: Mapping[str, str], error: str
    ) -> None:
        name = "/".join(filter(None, (place.namespace, place.environment)))
        self.show(
            PolicyContext(
                layout=self.lay_out(f"Policy of {name}", "" if place.environment else "namespace"),
                place=place,
                address=f"{self.prefix}{'environment' if place.environment else 'namespace'}/{name}/",
                fields=settings.list_fields(view.found, _scope(place), typed, faults),
                may_change=view.may_change,
                error=error,
            )
        )


class NamespacePolicyHandler(_PolicyHandler):
    """`/namespace/NAME/policy/`."""

    async def get(self, namespace: str) -> None:
        """Show what counts in the namespace."""
        await self.show_policy(Place(namespace=arguments.read_namespace(namespace)))

    async def post(self, namespace: str) -> None:
        """Set values for the namespace, and take back those whose fields are empty."""
        name = arguments.read_namespace(namespace)
        await self.change_policy(Place(namespace=name), f"namespace/{name}/#policy")


class EnvironmentPolicyHandler(_PolicyHandler):
    """`/environment/NAMESPACE/NAME/policy/`."""

    async def get(self, namespace: str, name: str) -> None:
        """Show what counts for the environment."""
        where = arguments.read_names(namespace, name)
        await self.show_policy(Place(namespace=where[0], environment=where[1]))

    async def post(self, namespace: str, name: str) -> None:
        """Set values for the environment, and take back those whose fields are empty."""
        where = arguments.read_names(namespace, name)
        place = Place(namespace=where[0], environment=where[1])
        await self.change_policy(place, f"environment/{where[0]}/{where[1]}/policy/")


def _scope(place: Place) -> Scope:
    return Scope.ENVIRONMENT if place.environment else Scope.NAMESPACE


def _read_given(
    typed: Mapping[str, str], found: Mapping[str, schemas.Setting], scope: Scope
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values that change, and by key why others cannot be; an empty field takes back what was set."""
    given: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for key, text in typed.items():
        try:
            value = settings.read(key, text)
            if value != settings.find_own(found[key], scope):
                policy.read_change({key: value})
                given[key] = value
        except CondaStoreHubError as exc:
            faults[key] = exc.public_message
    return given, faults
