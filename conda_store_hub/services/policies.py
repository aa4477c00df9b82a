"""Policies: what counts in a place and why, who may set it, and whether there is room for another build."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from conda_store_hub.core import policy, schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import EditConflictError, ForbiddenError, PolicyRefusedError, QuotaExceededError
from conda_store_hub.core.layers import Effective, Layer, require_tighter
from conda_store_hub.core.names import shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.policy import Change, Scope
from conda_store_hub.db import policies as rows
from conda_store_hub.db.tables import Build, Environment, Namespace, Policy
from conda_store_hub.services import audit, rights
from conda_store_hub.services.rules import BuildRules

_LONGEST_DETAIL = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where something is set: for the service, a namespace, or an environment of it, by name."""

    namespace: str | None = None
    environment: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    namespace: Namespace | None = None
    environment: Environment | None = None

    @property
    def ids(self) -> tuple[int | None, int | None]:
        namespace, environment = self.namespace, self.environment
        return namespace.id if namespace else None, environment.id if environment else None

    @property
    def scope(self) -> Scope:
        if self.environment is not None:
            return Scope.ENVIRONMENT
        return Scope.SERVICE if self.namespace is None else Scope.NAMESPACE


def _require(session: Session, identity: Identity, place: Place, permission: Permission) -> _Rows:
    if place.namespace is None:
        rights.require_service(identity, permission)
        return _Rows()
    if place.environment is None:
        return _Rows(namespace=rights.require_namespace(session, identity, place.namespace, permission))
    row = rights.require_environment(session, identity, place.namespace, place.environment, permission)
    return _Rows(namespace=row.namespace, environment=row)


def list_layers(session: Session, namespace_id: int | None, environment_id: int | None) -> tuple[Layer, ...]:
    """Return what was set for the service, a namespace and an environment, from the outermost; one statement."""
    return _lay(rows.list_values(session, namespace_id, environment_id))


def list_layers_of(
    session: Session, keys: Sequence[str], namespaces: Mapping[int, int]
) -> dict[int, tuple[Layer, ...]]:
    """Return what was set for some keys, for each environment of `namespaces` by its id; one statement as well."""
    found = rows.list_values_of(session, keys, list(set(namespaces.values())), list(namespaces))
    return {
        environment: _lay(
            row for row in found if row.namespace_id in (None, namespace) and row.environment_id in (None, environment)
        )
        for environment, namespace in namespaces.items()
    }


def _lay(values: Iterable[Policy]) -> tuple[Layer, ...]:
    found: dict[Scope, dict[str, Any]] = {Scope.SERVICE: {}, Scope.NAMESPACE: {}, Scope.ENVIRONMENT: {}}
    for row in values:
        inner = Scope.NAMESPACE if row.environment_id is None else Scope.ENVIRONMENT
        scope = Scope.SERVICE if row.namespace_id is None else inner
        if row.key in policy.KEYS:  # another version may know more
            found[scope][row.key] = row.value
    return tuple(Layer(scope=scope, values=policy.read_values(given)) for scope, given in found.items() if given)


def rules_at(
    session: Session, rules: BuildRules, namespace: Namespace, environment: Environment | None = None
) -> BuildRules:
    """Return the rules of a namespace, or of an environment in it, over what `rules` has of the configuration."""
    return rules.at(list_layers(session, namespace.id, environment.id if environment else None))


def describe(session: Session, identity: Identity, place: Place, rules: BuildRules) -> dict[str, schemas.Setting]:
    """Return what counts in a place, by key, with where it comes from."""
    found = _require(session, identity, place, Permission.SETTING_READ)
    return _show(rules.policy.at(list_layers(session, *found.ids)), found.scope)


def _show(effective: Effective, scope: Scope) -> dict[str, schemas.Setting]:
    values = effective.values.model_dump(mode="json")
    return {
        key: schemas.Setting(
            value=values[key],
            source=effective.source(key),
            given=[schemas.GivenSetting(source=one.source, value=one.value) for one in effective.given(key)],
            description=policy.PolicyValues.model_fields[key].description or "",
            takes=known.takes,
            merge=known.merge,
            settable=scope in known.scopes,
        )
        for key, known in policy.KEYS.items()
    }


def find_own(setting: schemas.Setting, scope: Scope) -> Any:
    """Return what is set at `scope` itself; None if nothing is."""
    return next((one.value for one in setting.given if one.source is scope), None)


def change(
    session: Session,
    identity: Identity,
    place: Place,
    wanted: Change,
    rules: BuildRules,
    *,
    seen: Mapping[str, Any] | None = None,
) -> dict[str, schemas.Setting]:
    """Set values in a place and take others back; raise when one is looser than what counts around it.

    `seen`: what one saw set there, by key; raise EditConflictError if it is something else by now.
    """
    found = _require(session, identity, place, Permission.SETTING_UPDATE)
    if seen:
        _require_as_seen(session, found, seen, rules)
    around = tuple(layer for layer in list_layers(session, *found.ids) if layer.scope is not found.scope)
    require_tighter(rules.policy.at(around), wanted, found.scope)
    given = wanted.values.model_dump(mode="json", include=wanted.values.model_fields_set)
    for key in wanted.keys:
        if key in wanted.unset:
            if rows.remove_value(session, *found.ids, key):
                _tell(session, identity, found, AuditAction.POLICY_UNSET, key)
        elif _set(session, identity, found, key, given[key]):
            _tell(session, identity, found, AuditAction.POLICY_SET, f"{key}: {json.dumps(given[key])}")
    session.flush()
    return _show(rules.policy.at(list_layers(session, *found.ids)), found.scope)


def _require_as_seen(session: Session, found: _Rows, seen: Mapping[str, Any], rules: BuildRules) -> None:
    if found.namespace is not None:
        rows.lock_namespace(session, found.namespace.id)  # of two at once the second sees what the first has set
    now = _show(rules.policy.at(list_layers(session, *found.ids)), found.scope)
    for key, before in seen.items():
        if find_own(now[key], found.scope) != before:
            raise EditConflictError(f"Somebody else has changed `{key}` since you began.")


def may_change(session: Session, identity: Identity, place: Place) -> bool:
    """Tell whether `identity` may set something in a place that they may read."""
    try:
        _require(session, identity, place, Permission.SETTING_UPDATE)
    except ForbiddenError:
        return False
    return True


def find_faults(
    session: Session, identity: Identity, place: Place, wanted: Change, rules: BuildRules
) -> dict[str, PolicyRefusedError]:
    """Return why each of the values that cannot be set in a place is refused, by key."""
    found = _require(session, identity, place, Permission.SETTING_UPDATE)
    around = tuple(layer for layer in list_layers(session, *found.ids) if layer.scope is not found.scope)
    faults: dict[str, PolicyRefusedError] = {}
    for key in wanted.keys:
        try:
            require_tighter(rules.policy.at(around), wanted.only(key), found.scope)
        except PolicyRefusedError as exc:
            faults[key] = exc
    return faults


def _set(session: Session, identity: Identity, found: _Rows, key: str, value: Any) -> bool:
    """Set a value; tell whether it is another one."""
    row = rows.find_value(session, *found.ids, key)
    if row is None:
        row = Policy(namespace_id=found.ids[0], environment_id=found.ids[1], key=key)
        session.add(row)
    elif row.value == value:
        return False
    row.value = value
    row.set_by = identity.name
    row.set_at = datetime.now(UTC)
    return True


def _tell(session: Session, identity: Identity, found: _Rows, action: AuditAction, words: str) -> None:
    detail = words if len(words) <= _LONGEST_DETAIL else words[:_LONGEST_DETAIL] + "…"
    audit.record(session, identity, action, namespace=found.namespace, environment=found.environment, detail=detail)


# Quotas


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What counts of a namespace against its quotas, of which there may be none; `deleted` builds are to come back."""

    builds: int
    deleted: int
    storage: int
    quota_builds: int | None
    quota_bytes: int | None


def measure_room(session: Session, identity: Identity, name: str, rules: BuildRules) -> Room | None:
    """Return how much room a namespace has; None without quotas, which nothing is counted for."""
    row = rights.require_namespace(session, identity, name, Permission.SETTING_READ)
    values = rules_at(session, rules, row).values
    if values.quota_builds is None and values.quota_bytes is None:
        return None
    held = rows.count_held(session, row.id, None)
    return Room(
        builds=held.builds,
        deleted=held.deleted,
        storage=held.storage,
        quota_builds=values.quota_builds,
        quota_bytes=values.quota_bytes,
    )


def require_room(session: Session, rules: BuildRules, layers: tuple[Layer, ...], environment: Environment) -> None:
    """Raise QuotaExceededError when an environment or its namespace has all the builds or bytes it may have.

    `layers`: what was set there, over the configuration of `rules`.
    """
    namespace = environment.namespace
    whole, alone = _values_at(rules, layers)
    limits = {(one.quota_builds, one.quota_bytes) for one in (whole, alone)}
    if limits == {(None, None)}:
        return
    rows.lock_namespace(session, namespace.id)
    _check_room(session, whole, namespace, None)
    _check_room(session, alone, namespace, environment)


def require_bytes(session: Session, rules: BuildRules, build: Build) -> None:
    """Raise QuotaExceededError when other builds have taken all bytes since this one was queued.

    The last one may exceed what there is: how large it will be is not known before.
    """
    environment = build.environment
    namespace = environment.namespace
    whole, alone = _values_at(rules, list_layers(session, namespace.id, environment.id))
    for values, place in ((whole, None), (alone, environment)):
        if values.quota_bytes is None:
            continue
        held = rows.count_held(session, namespace.id, place.id if place else None, besides=build.id).storage
        if held >= values.quota_bytes:
            raise QuotaExceededError(
                f"Others were finished before: “{_name(namespace, place)}” has {held:,} bytes of builds by now and may"
                f" have {values.quota_bytes:,}. Delete builds that nobody needs, and build it again."
            )


def require_bytes_for_more(session: Session, rules: BuildRules, build: Build) -> None:
    """Raise QuotaExceededError when a build may yield nothing more: all bytes are taken, by itself or by others."""
    environment = build.environment
    namespace = environment.namespace
    whole, alone = _values_at(rules, list_layers(session, namespace.id, environment.id))
    for values, place in ((whole, None), (alone, environment)):
        if values.quota_bytes is not None:
            _check_room(session, values.model_copy(update={"quota_builds": None}), namespace, place)


def _values_at(rules: BuildRules, layers: tuple[Layer, ...]) -> tuple[policy.PolicyValues, policy.PolicyValues]:
    """Return what counts for a namespace as a whole, and for an environment of it alone."""
    whole = tuple(layer for layer in layers if layer.scope is not Scope.ENVIRONMENT)
    return rules.at(whole).values, rules.at(layers).values


def _name(namespace: Namespace, environment: Environment | None) -> str:
    name = shorten(namespace.name)
    return f"{name}/{shorten(environment.name)}" if environment else name


def _say_deleted(held: rows.Held) -> str:
    return f" ({held.deleted} of deleted environments, which can still be brought back)" if held.deleted else ""


def _check_room(
    session: Session, values: policy.PolicyValues, namespace: Namespace, environment: Environment | None
) -> None:
    number = environment.id if environment else None
    held = rows.count_held(session, namespace.id, number)
    name = _name(namespace, environment)
    if values.quota_builds is not None and held.builds >= values.quota_builds:
        said = f"“{name}” has {held.builds} builds{_say_deleted(held)} and may have {values.quota_builds}"
    elif values.quota_bytes is not None and held.storage >= values.quota_bytes:
        bytes_held = f"{held.storage:,} bytes of {held.builds} builds{_say_deleted(held)}"
        said = f"“{name}” has {bytes_held} and may have {values.quota_bytes:,}"
    else:
        return
    spare = rows.find_spare(session, namespace.id, number)
    hint = f", such as build {spare[0]} of “{shorten(spare[1])}”" if spare else ""
    raise QuotaExceededError(f"{said}: delete builds that nobody needs{hint}, or ask who may change its settings.")
