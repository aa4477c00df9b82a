"""What counts where, of what is set in several places.

The configuration comes first. What is set for the whole service stands in its stead, key by key. Below it, a namespace
and an environment make limits tighter and never looser, and have preferences of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from conda_store_hub.core.errors import PolicyRefusedError
from conda_store_hub.core.matchspec import is_under
from conda_store_hub.core.names import shorten
from conda_store_hub.core.policy import KEYS, Change, Merge, PolicyValues, Scope


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """What was set in one place."""

    scope: Scope
    values: PolicyValues


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A value of a key as it was set in one place."""

    source: Scope
    value: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Effective:
    """What counts in one place. `values` has no gaps: `allowed_channels` is a list of addresses, never None.

    `channel_alias` is the address of channels that are only a name; the first of `layers` is the configuration.
    """

    channel_alias: str
    layers: tuple[Layer, ...]
    values: PolicyValues
    sources: tuple[tuple[str, Scope], ...]

    def source(self, key: str) -> Scope:
        """Return which place decided the value of a key: the innermost that made a difference."""
        return dict(self.sources)[key]

    def given(self, key: str) -> tuple[Given, ...]:
        """Return what was set for a key, from the outermost place to the innermost."""
        return tuple(
            Given(source=layer.scope, value=layer.values.model_dump(mode="json")[key])
            for layer in self.layers
            if key in layer.values.model_fields_set
        )

    def at(self, layers: tuple[Layer, ...]) -> Effective:
        """Return what counts where these layers lie over the configuration."""
        return merge((self.layers[0], *layers), channel_alias=self.channel_alias)

    def resolve(self, channel: str) -> str:
        """Return the address of a channel."""
        return _resolve(channel, dict(self.values.channel_aliases), self.channel_alias)


def merge(layers: tuple[Layer, ...], *, channel_alias: str) -> Effective:
    """Return what counts where `layers` lie over each other, from the configuration inwards."""
    outer = [layer for layer in layers if layer.scope in (Scope.CONFIGURATION, Scope.SERVICE)]
    top: dict[str, Any] = dict(PolicyValues.model_validate({}))
    sources = dict.fromkeys(KEYS, Scope.CONFIGURATION)
    for layer in outer:
        for key in layer.values.model_fields_set:
            top[key], sources[key] = getattr(layer.values, key), layer.scope
    aliases = dict(top["channel_aliases"])
    top["allowed_channels"] = (
        tuple(_resolve(channel, aliases, channel_alias) for channel in top["allowed_channels"])
        if top["allowed_channels"]
        else (channel_alias, *aliases.values())
    )
    values = dict(top)
    for layer in layers[len(outer) :]:
        for key in layer.values.model_fields_set:
            own = getattr(layer.values, key)
            if key == "allowed_channels":
                own = tuple(_resolve(channel, aliases, channel_alias) for channel in own or ())
            merged = _MERGE[KEYS[key].merge](values[key], own, top[key])
            if merged != values[key]:
                values[key], sources[key] = merged, layer.scope
    return Effective(
        channel_alias=channel_alias,
        layers=layers,
        values=PolicyValues.model_construct(**values),
        sources=tuple(sources.items()),
    )


def _resolve(channel: str, aliases: Mapping[str, str], alias: str) -> str:
    text = channel.rstrip("/")
    return text if "://" in text else aliases.get(text, f"{alias.rstrip('/')}/{text}").rstrip("/")


def _least(outer: int | None, own: int | None, _top: int | None) -> int | None:
    return min((number for number in (outer, own) if number is not None), default=None)


def _common(outer: tuple[str, ...], own: tuple[str, ...], _top: tuple[str, ...]) -> tuple[str, ...]:
    """Return what both allow, in the order of `own`; an address allows all that is below it."""
    inner = [entry for entry in own if any(is_under(entry, other) for other in outer)]
    return tuple(dict.fromkeys([*inner, *(entry for entry in outer if any(is_under(entry, other) for other in own))]))


def _nearest(_outer: Any, own: Any, _top: Any) -> Any:
    return own


def _capped(_outer: int | None, own: int | None, top: int | None) -> int | None:
    return _least(top, own, None)


def _all(outer: tuple[str, ...], own: tuple[str, ...], _top: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*outer, *own]))


def _both(outer: bool, own: bool, _top: bool) -> bool:
    return outer and own


_MERGE: Mapping[Merge, Callable[[Any, Any, Any], Any]] = {
    Merge.NEAREST: _nearest,
    Merge.CAPPED: _capped,
    Merge.LEAST: _least,
    Merge.ALL: _all,
    Merge.COMMON: _common,
    Merge.BOTH: _both,
}


def require_tighter(outer: Effective, change: Change, scope: Scope) -> None:
    """Raise PolicyRefusedError when a value could not count at `scope`, for what counts around it is tighter."""
    for key in sorted(change.values.model_fields_set):
        if scope not in KEYS[key].scopes:
            where = ", ".join(sorted(KEYS[key].scopes))
            raise PolicyRefusedError(f"`{key}` can only be set for: {where}.")
    if scope is Scope.SERVICE:
        return
    inner = merge((*outer.layers, Layer(scope=scope, values=change.values)), channel_alias=outer.channel_alias)
    for key in sorted(change.values.model_fields_set):
        if not _counts(key, getattr(change.values, key), inner):
            shown = outer.values.model_dump(mode="json")[key]
            said = ", ".join(map(str, shown)) if isinstance(shown, list) else str(shown).lower()
            raise PolicyRefusedError(
                f"`{key}` can only be made tighter here: around it counts {shorten(said)} ({outer.source(key)})."
            )


def _counts(key: str, own: Any, inner: Effective) -> bool:
    """Tell whether all of what was set is in what counts."""
    found, how = getattr(inner.values, key), KEYS[key].merge
    if how in (Merge.LEAST, Merge.CAPPED, Merge.BOTH):
        return bool(found == own)
    if how is Merge.COMMON:
        return all((inner.resolve(entry) if key == "allowed_channels" else entry) in found for entry in own)
    return True
