"""Which parts of the service's API a page may reach through its server: what is not listed is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from conda_store_hub.core.artifacts import FILES

# Grammars of names as the service has them: nothing that is escaped, and no dots alone.
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_NUMBER = r"[0-9]{1,10}"
_PARTS = {"namespace": _NAME, "name": _NAME, "package": r"[A-Za-z0-9_][A-Za-z0-9._-]*", "id": _NUMBER, "other": _NUMBER}

_NAMESPACE = "namespace/{namespace}/"
_ENVIRONMENT = "environment/{namespace}/{name}/"
_BUILD = "build/{id}/"

_ROUTES: dict[str, tuple[str, ...]] = {
    "GET": (
        *("", "permission/", "usage/", "namespace/", _NAMESPACE, f"{_NAMESPACE}member/"),
        *("environment/", _ENVIRONMENT, f"{_ENVIRONMENT}member/"),
        *("setting/", "setting/{namespace}/", "setting/{namespace}/{name}/"),
        *("build/", _BUILD, f"{_BUILD}packages/", f"{_BUILD}departed/", f"{_BUILD}logs/", f"{_BUILD}diff/{{other}}/"),
        *(f"{_BUILD}{file.name}" for file in FILES.values()),
        *("package/", "package/{package}/"),
    ),
    "POST": ("specification/", "specification/solve/", f"{_ENVIRONMENT}clone/", f"{_BUILD}artifact/"),
    "PUT": (
        *(_ENVIRONMENT, f"{_ENVIRONMENT}restore/", f"{_ENVIRONMENT}rename/", f"{_ENVIRONMENT}member/"),
        *(_BUILD, f"{_BUILD}cancel/", f"{_BUILD}pin/"),
        f"{_NAMESPACE}member/",
    ),
    "DELETE": (
        *(_ENVIRONMENT, f"{_ENVIRONMENT}member/{{id}}/"),
        *(_BUILD, f"{_NAMESPACE}member/{{id}}/"),
    ),
}
# Of Jupyter and its front end: they would be secrets in a foreign log, or mean nothing there.
_OURS = frozenset({"token", "_xsrf", "no_track_activity"})
_CACHE_BUSTER = re.compile(r"[0-9]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What an address of the API is about; None where it does not say so."""

    namespace: str | None = None
    environment: str | None = None
    build_id: int | None = None


def _compile(route: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[a-z]+\})", route)
    pattern = "".join(f"(?P<{p[1:-1]}>{_PARTS[p[1:-1]]})" if p.startswith("{") else re.escape(p) for p in parts)
    return re.compile(pattern)


_PATTERNS = {method: tuple(_compile(route) for route in routes) for method, routes in _ROUTES.items()}


def find_place(method: str, path: str) -> Place | None:
    """Return what a path below `api/v1/` is about, None where it is not let through. `path`: as it was sent."""
    for pattern in _PATTERNS.get(method, ()):
        if (found := pattern.fullmatch(path)) is not None:
            return _place(path, found.groupdict())
    return None


def _place(path: str, named: dict[str, str]) -> Place:
    build_id = int(named["id"]) if path.startswith("build/") and "id" in named else None
    return Place(namespace=named.get("namespace"), environment=named.get("name"), build_id=build_id)


def clean_query(query: str) -> str:
    """Return a query without what Jupyter's front end puts into it, token and all."""
    pairs = parse_qsl(query, keep_blank_values=True)
    kept = [
        (key, value) for key, value in pairs if key not in _OURS and not (not value and _CACHE_BUSTER.fullmatch(key))
    ]
    return urlencode(kept)
