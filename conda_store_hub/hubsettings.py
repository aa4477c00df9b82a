"""Adding to a Hub's settings without replacing them, whatever form they have.

In a configuration file a setting is absent, a plain value, or traitlets' record of what was appended to it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

#: What a Hub gives a server's token when nothing is asked for. Asking for one scope more drops them.
SERVER_SCOPES = ("users:activity!user", "access:servers!server")

_TAB = "conda_store_hub_tab"
_HUB_TEMPLATES = "share/jupyterhub/templates"
_TEMPLATES = Path(__file__).parent / "hub_templates"


class ConfigurationError(ValueError):
    """The Hub cannot be configured as asked; the text says why and what to write instead."""


@dataclass(frozen=True)
class ScopesAdded:
    """A site's own callable for scopes, with ours after what it returns."""

    inner: Callable[[Any], Any]
    scopes: tuple[str, ...]
    defaults: tuple[str, ...]

    def __call__(self, spawner: Any) -> list[str] | Awaitable[list[str]]:
        """Ask the site's callable, which may be async."""
        held = self.inner(spawner)
        return self._later(held) if inspect.isawaitable(held) else self._with_ours(held)

    async def _later(self, held: Awaitable[Any]) -> list[str]:
        return self._with_ours(await held)

    def _with_ours(self, held: Iterable[str] | None) -> list[str]:
        return _joined(held or self.defaults, self.scopes)


def add_to_list(section: Any, key: str, items: Iterable[Any]) -> None:
    """Append those of `items` that are not there yet."""
    value = section.get(key)
    missing = [item for item in items if item not in list_items(value)]
    if value is None or _is_record(value):
        section[key].extend(missing)
    elif missing:
        section[key] = [*value, *missing]


def list_items(value: Any) -> list[Any]:
    """List what a setting holds. A record is read in parts: asked for its value it would stop recording."""
    if _is_record(value):
        record: dict[str, Any] = value.to_dict()
        inserted = [item for _, item in record.get("inserts", ())]
        return [*record.get("prepend", ()), *inserted, *record.get("extend", ()), *record.get("update", ())]
    return list(value or ())


def list_keys(value: Any) -> list[str]:
    """List the keys of a setting that is a mapping."""
    return list(read_mapping(value))


def read_mapping(value: Any) -> dict[str, Any]:
    """Return what a setting that is a mapping holds."""
    return dict(value.to_dict().get("update", {}) if _is_record(value) else value or {})


def find_role(c: Any, name: str) -> dict[str, Any] | None:
    """Return the role of that name, to be changed in place."""
    roles = cast("list[dict[str, Any]]", list_items(c.JupyterHub.get("load_roles")))
    return next((role for role in roles if role.get("name") == name), None)


def add_service_role(c: Any, name: str, scopes: Iterable[str]) -> None:
    """Give the service a role of its own name, or add to the one that is there."""
    role = find_role(c, name)
    if role is None:
        role = dict[str, Any](name=name)
        role["description"] = f"What the service {name} reads from the Hub"
        add_to_list(c.JupyterHub, "load_roles", [role])
    role["scopes"] = _joined(role.get("scopes", ()), scopes)
    role["services"] = _joined(role.get("services", ()), [name])


def add_user_scope(c: Any, scope: str) -> None:
    """Give every user a scope."""
    role = find_role(c, "user")
    if role is not None and "scopes" in role:  # then the Hub ignores extra_user_scopes
        role["scopes"] = _joined(role["scopes"], [scope])
        return
    value = c.JupyterHub.get("extra_user_scopes")
    if isinstance(value, (set, frozenset)):
        c.JupyterHub.extra_user_scopes = {*cast("set[str]", value), scope}
    elif value is None or _is_record(value):
        c.JupyterHub.extra_user_scopes.update({scope})
    else:
        add_to_list(c.JupyterHub, "extra_user_scopes", [scope])


def add_server_scopes(c: Any, scopes: list[str]) -> None:
    """Give scopes to the token of each user's server and to the pages that the server shows."""
    defaults = tuple((find_role(c, "server") or {}).get("scopes", SERVER_SCOPES))
    _add_spawner_scopes(c, "server_token_scopes", scopes, defaults)
    _add_spawner_scopes(c, "oauth_client_allowed_scopes", scopes, ())


def add_spawner_variable(c: Any, variable: str, value: Any) -> None:
    """Give users' servers a variable, unless the site has set it."""
    for section in _spawner_sections(c, "environment"):
        if variable not in list_keys(section.get("environment")):
            _put_into(section, "environment", variable, value)


def add_tab(c: Any, service: str, label: str) -> None:
    """Have the Hub's pages show a tab that leads to a service, to those who may use it.

    Templates of the site's own come first: a `page.html` among them includes `conda-store-hub-tab.html` itself.
    """
    # A record that was prepended to does not tell what was inserted: whether that was done, the variables tell.
    if _TAB not in list_keys(c.JupyterHub.get("template_vars")):
        _add_templates(c.JupyterHub, str(_TEMPLATES))
    _put_into(c.JupyterHub, "template_vars", _TAB, {"service": service, "label": label})


def add_route(c: Any, routespec: str, target: str) -> None:
    """Have the Hub's proxy pass on what begins with `routespec`; raise ConfigurationError if it goes elsewhere."""
    sections = _sections_of(c, "Proxy", "proxy_class", "extra_routes")
    for section in sections:
        there = read_mapping(section.get("extra_routes")).get(routespec, target)
        if there.rstrip("/") != target.rstrip("/"):
            raise ConfigurationError(
                f"c.Proxy.extra_routes sends {routespec} to {there}, and one address has room for one registry: give"
                ' this one a port of its own, registry={"port": …}'
            )
    for section in sections:
        if routespec not in read_mapping(section.get("extra_routes")):
            _put_into(section, "extra_routes", routespec, target)


def _add_spawner_scopes(c: Any, key: str, scopes: list[str], defaults: tuple[str, ...]) -> None:
    for section in _spawner_sections(c, key):
        value = section.get(key)
        if callable(value):
            if not isinstance(value, ScopesAdded) or not set(scopes) <= set(value.scopes):
                section[key] = ScopesAdded(value, tuple(scopes), defaults)
        elif value is None:
            section[key] = [*defaults, *scopes]
        else:
            add_to_list(section, key, scopes if list_items(value) else [*defaults, *scopes])


def _spawner_sections(c: Any, key: str) -> list[Any]:
    return _sections_of(c, "Spawner", "spawner_class", key)


def _sections_of(c: Any, base: str, chosen_by: str, key: str) -> list[Any]:
    """List the section `base` and those of its kinds where the site has set `key`: those win over it."""
    chosen = c.JupyterHub.get(chosen_by)
    parents = {parent.__name__ for parent in chosen.__mro__} if isinstance(chosen, type) else set[str]()
    names = [n for n in list(c) if n != base and (n.endswith(base) or n in parents) and key in c[n]]
    return [c[base], *(c[n] for n in names)]


def _add_templates(section: Any, folder: str) -> None:
    """Put a folder of templates behind the site's, and before the Hub's own, which end every list of them."""
    value = section.get("template_paths")
    if value is None or _is_record(value):
        inserts = value.to_dict().get("inserts", ()) if value is not None else ()
        section["template_paths"].insert(len(inserts), folder)
        return
    before = next((at for at, path in enumerate(value) if str(path).endswith(_HUB_TEMPLATES)), len(value))
    section["template_paths"] = [*value[:before], folder, *value[before:]]


def _put_into(section: Any, key: str, name: str, value: Any) -> None:
    """Set one entry of a setting that is a mapping."""
    held = section.get(key)
    if held is None or _is_record(held):
        section[key].update({name: value})
    else:
        section[key] = {**held, name: value}


def _is_record(value: Any) -> bool:
    return hasattr(value, "get_value") and hasattr(value, "to_dict")


def _joined(held: Iterable[str], more: Iterable[str]) -> list[str]:
    base = list(held)
    return [*base, *(item for item in more if item not in base)]
