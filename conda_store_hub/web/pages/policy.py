"""`…/policy/`: what counts for the service, a namespace or an environment, why, and a form to set some of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core import policy, schemas
from conda_store_hub.core.errors import CondaStoreHubError, EditConflictError, InvalidRequestError
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.policy import Scope
from conda_store_hub.services import policies
from conda_store_hub.services.policies import Place
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.web import arguments, seen
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
    is_conflict: bool
    """Whether somebody else has changed meanwhile what was to be changed."""
    error: str

    @property
    def where(self) -> str:
        """The kind of the place, in a word."""
        return "environment" if self.place.environment else "namespace" if self.place.namespace else "service"

    @property
    def name(self) -> str:
        """The place as people write it."""
        return _name(self.place)

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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sent:
    """What a form sent, by key: what stands in its fields, and what was set when its page was made."""

    typed: dict[str, str]
    seen: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change:
    """What is to be set, what was set there as far as one has seen, and why the rest cannot be, by key."""

    given: dict[str, Any] = field(default_factory=dict[str, Any])
    seen: dict[str, Any] = field(default_factory=dict[str, Any])
    faults: dict[str, str] = field(default_factory=dict[str, str])


class _PolicyHandler(PageHandler):
    """What all kinds of places have in common."""

    help = "pages/#a-namespace"

    async def show_policy(self, place: Place) -> None:
        self._show(place, await self._look(place), {}, {}, {})

    async def change_policy(self, place: Place, back: str) -> None:
        """Set what was typed, or show it again with what is wrong at each field; or alone if the place is gone."""
        await self.take_form(self._apply(place, back), self.give_back)

    async def _apply(self, place: Place, back: str) -> None:
        view = await self._look(place)
        sent = self._read_sent(view.found)
        change = await asyncio.to_thread(_read_change, sent, view.found, _scope(place))
        await self.take_form(
            self._change(place, change, back), lambda exc: self._show_refused(place, sent, change, exc)
        )

    async def _change(self, place: Place, change: _Change, back: str) -> str:
        wanted = await asyncio.to_thread(policy.read_change, change.given)
        refused = await self.services.db.read(policies.find_faults, self.identity, place, wanted, self.services.rules)
        change.faults.update({key: exc.public_message for key, exc in refused.items() if key not in change.faults})
        if change.faults:
            raise InvalidRequestError
        await self.services.db.write(
            policies.change, self.identity, place, wanted, self.services.rules, seen=change.seen
        )
        return back

    async def _show_refused(self, place: Place, sent: _Sent, change: _Change, error: CondaStoreHubError) -> None:
        """Show it again; what others set meanwhile is said at each field, and is what the next try begins with."""
        view = await self._look(place)
        known, faults = dict(sent.seen), dict(change.faults)
        if isinstance(error, EditConflictError):
            clashes = _find_clashes(change, view.found, _scope(place))
            faults = {key: _say_clash(key, theirs, change.given[key]) for key, theirs in clashes.items()}
            known |= clashes
        said = "" if faults else error.public_message
        self._show(place, view, sent.typed, faults, known, said, is_conflict=isinstance(error, EditConflictError))

    def _read_sent(self, found: Mapping[str, schemas.Setting]) -> _Sent:
        keys = [key for key, one in found.items() if one.settable and key in self.request.body_arguments]
        return _Sent(
            typed={key: self._typed(key) for key in keys},
            seen={key: seen.read(self, key) for key in keys if seen.is_sent(self, key)},
        )

    async def _look(self, place: Place) -> _View:
        return await self.look_up(_read, place, self.services.rules)

    def _typed(self, key: str) -> str:
        return self.get_body_argument(key, "", strip=False).replace("\r\n", "\n")

    def _show(
        self,
        place: Place,
        view: _View,
        typed: Mapping[str, str],
        faults: Mapping[str, str],
        known: Mapping[str, Any],
        error: str = "",
        *,
        is_conflict: bool = False,
    ) -> None:
        here = "" if place.environment else "namespace" if place.namespace else "admin"
        self.show(
            PolicyContext(
                layout=self.lay_out(f"Policy of {_name(place)}", here),
                place=place,
                address=f"{self.prefix}{_find_path(place)}",
                fields=settings.list_fields(view.found, _scope(place), typed, faults, known),
                may_change=view.may_change,
                is_conflict=is_conflict,
                error=error,
            )
        )


class ServicePolicyHandler(_PolicyHandler):
    """`/admin/policy/`."""

    deed = "Change the policy of the service"
    help = "pages/#admin"

    async def get(self) -> None:
        """Show what counts for the whole service."""
        await self.show_policy(Place())

    async def post(self) -> None:
        """Set values in place of the configuration's, and take back those whose fields are empty."""
        await self.change_policy(Place(), "admin/policy/")


class NamespacePolicyHandler(_PolicyHandler):
    """`/namespace/NAME/policy/`."""

    deed = "Change the policy of {}"

    async def get(self, namespace: str) -> None:
        """Show what counts in the namespace."""
        await self.show_policy(Place(namespace=arguments.read_namespace(namespace)))

    async def post(self, namespace: str) -> None:
        """Set values for the namespace, and take back those whose fields are empty."""
        name = arguments.read_namespace(namespace)
        await self.change_policy(Place(namespace=name), f"namespace/{name}/#policy")


class EnvironmentPolicyHandler(_PolicyHandler):
    """`/environment/NAMESPACE/NAME/policy/`."""

    deed = "Change the policy of {}/{}"

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
    return Scope.ENVIRONMENT if place.environment else Scope.NAMESPACE if place.namespace else Scope.SERVICE


def _name(place: Place) -> str:
    return "/".join(filter(None, (place.namespace, place.environment))) or "the service"


def _find_path(place: Place) -> str:
    """Return where the page of a place itself is, below the service's address."""
    if place.namespace is None:
        return "admin/"
    return f"{'environment' if place.environment else 'namespace'}/{_name(place)}/"


def _read_change(sent: _Sent, found: Mapping[str, schemas.Setting], scope: Scope) -> _Change:
    """Return the values that change, and by key why others cannot be; an empty field takes back what was set.

    A field that was left as it was shown changes nothing, whatever was set meanwhile.
    """
    change = _Change()
    for key, text in sent.typed.items():
        if key in sent.seen and settings.is_as_shown(key, text, sent.seen[key]):
            continue
        try:
            value = settings.read(key, text)
            if value != policies.find_own(found[key], scope):
                policy.read_change({key: value})
                change.given[key] = value
        except CondaStoreHubError as exc:
            change.faults[key] = exc.public_message
    change.seen.update({key: sent.seen[key] for key in change.given if key in sent.seen})
    return change


def _find_clashes(change: _Change, found: Mapping[str, schemas.Setting], scope: Scope) -> dict[str, Any]:
    """Return what is set now for the keys of which something else was shown."""
    own = {key: policies.find_own(found[key], scope) for key in change.seen}
    return {key: value for key, value in own.items() if value != change.seen[key]}


def _say_clash(key: str, theirs: Any, mine: Any) -> str:
    return (
        f"Meanwhile somebody else changed this: set here is now {settings.say_own(key, theirs)}."
        f" You wrote {settings.say_own(key, mine)}; save again to put that in its place."
    )
