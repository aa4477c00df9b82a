"""`image_profiles(…)`: what container spawners offer to start servers from, for whoever is to have one."""

from __future__ import annotations

import asyncio
import html
import json
import logging
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from conda_store_hub.core.addresses import is_address
from conda_store_hub.hubconfig import InternalURL
from conda_store_hub.hubsettings import ConfigurationError

_LOG = logging.getLogger("conda_store_hub.images")
_PAGE = 100
_TOKEN_SECONDS = 60
_REMEMBERED_SECONDS = 600.0  # from the form of a server to its start
_MOST_REMEMBERED = 1000
_DOWN = "Environments cannot be listed at the moment, so there is nothing else to choose: try again later."


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An environment that a server can be started from."""

    number: int
    name: str
    image: str
    description: str


def image_profiles(
    registry: str,
    *,
    name: str = "conda-store-hub",
    url: str = "http://127.0.0.1:10101",
    packages: Iterable[str] = ("jupyterhub", "jupyterlab"),
    default: str = "The usual server",
    override: Mapping[str, Any] | None = None,
    most: int = 200,
    seconds: float = 5.0,
) -> ImageProfiles:
    """Return what gives a container spawner the environments that the spawner's user may start a server from.

    registry: what stands before the names of images for whoever pulls them: `hub.example.org`, `10.0.0.5:5000`.
    name, url: those of the service, as `configure` has them.
    packages: what an environment has to have, with versions or without; a server needs `jupyterhub`.
    default: what the spawner's own image is called, which is offered too.
    override: more of `kubespawner_override` for each of them, for example the number of the user that it runs as.
    most: how many environments are offered. seconds: how long the service is waited for.

    Raises `ConfigurationError` with the reason in words.
    """
    if not is_address(registry):
        raise ConfigurationError(
            f"registry={registry!r}: give what stands before the name of an image, a host and a port: hub.example.org"
        )
    if seconds <= 0 or most < 1:
        raise ConfigurationError("image_profiles: seconds and most are more than nothing")
    return ImageProfiles(
        registry=registry,
        service=name,
        address=InternalURL(url, name),
        packages=tuple(packages),
        default=default,
        override=dict(override or {}),
        most=most,
        seconds=seconds,
    )


class ImageProfiles:
    """Callables for spawners; each asks the service as the spawner's user, with a token that lasts a minute."""

    def __init__(
        self,
        *,
        registry: str,
        service: str,
        address: InternalURL,
        packages: tuple[str, ...],
        default: str,
        override: dict[str, Any],
        most: int,
        seconds: float,
    ) -> None:
        self._registry = registry
        self._service = service
        self._address = address
        self._packages = packages
        self._default = default
        self._override = override
        self._most = most
        self._seconds = seconds
        self._found: dict[str, tuple[float, dict[str, str]]] = {}

    def __deepcopy__(self, _memo: object) -> ImageProfiles:
        """Be one and the same for all spawners: traitlets copies what it takes from a configuration."""
        return self

    async def profile_list(self, spawner: Any) -> list[dict[str, Any]]:
        """Return what `c.KubeSpawner.profile_list` takes: the spawner's own image, and each environment's.

        KubeSpawner puts the texts into its page as they are, so they are HTML.
        """
        choices = await self._ask(spawner)
        usual: dict[str, Any] = {"display_name": html.escape(self._default), "slug": "usual", "default": True}
        if choices is None:
            return [usual | {"description": _DOWN}]
        return [usual, *(self._make_profile(choice) for choice in choices)]

    def _make_profile(self, choice: Choice) -> dict[str, Any]:
        return {
            "display_name": html.escape(choice.name),
            "slug": f"environment-{choice.number}",
            "description": html.escape(choice.description),
            "kubespawner_override": {**self._override, "image": choice.image},
        }

    async def options_form(self, spawner: Any) -> str:
        """Return what `c.DockerSpawner.options_form` takes; what it offers can be started for ten minutes."""
        choices = await self.refresh(spawner)
        if not choices:
            return "" if choices is not None else f"<p>{_DOWN}</p>"
        options = "".join(f"<option>{html.escape(choice.name)}</option>" for choice in choices)
        return (
            '<label for="image">Environment</label><select class="form-select" id="image" name="image">'
            f'<option value="">{html.escape(self._default)}</option>{options}</select>'
        )

    def options_from_form(self, form: Mapping[str, list[str]]) -> dict[str, str]:
        """Return what `c.DockerSpawner.options_from_form` takes: nothing chosen is the spawner's own image."""
        chosen = form.get("image", [""])[0]
        return {"image": chosen} if chosen else {}

    async def refresh(self, spawner: Any) -> list[Choice] | None:
        """Ask anew for `allowed_images`, which cannot wait; in a `pre_spawn_hook` for servers without a form."""
        choices = await self._ask(spawner)
        now = time.monotonic()
        self._found = {who: found for who, found in self._found.items() if found[0] > now}
        if choices is not None:
            if len(self._found) >= _MOST_REMEMBERED and spawner.user.name not in self._found:
                del self._found[min(self._found, key=lambda who: self._found[who][0])]  # the oldest
            images = {choice.name: choice.image for choice in choices}
            self._found[spawner.user.name] = now + _REMEMBERED_SECONDS, images
        return choices

    def allowed_images(self, spawner: Any) -> dict[str, str]:
        """Return what `c.DockerSpawner.allowed_images` takes: images by environments, as they were found a moment ago.

        Empty, so that only the spawner's own image starts, where nothing was.
        """
        until, images = self._found.get(spawner.user.name, (0.0, {}))
        return images if until > time.monotonic() else {}

    async def _ask(self, spawner: Any) -> list[Choice] | None:
        """Return the environments in the order of their names, None where the service does not tell in time."""
        try:
            return await asyncio.wait_for(self._list(spawner), self._seconds)
        except Exception as exc:  # noqa: BLE001 - a server is started whatever happens here
            _LOG.warning("the environments of %s cannot be listed: %r", spawner.user.name, exc)
            return None

    async def _list(self, spawner: Any) -> list[Choice]:
        token = self._make_token(spawner.user)
        found: list[Choice] = []
        cursor: str | None = ""
        while cursor is not None and len(found) < self._most:
            page = await self._fetch(spawner, token, cursor)
            found += [self._read(row) for row in page["data"] if row.get("current_build_id") is not None]
            cursor = page.get("cursor")
        return found[: self._most]

    def _make_token(self, user: Any) -> str:
        """Make a token of the user's that opens the service, and has the roles there that the Hub's scopes give."""
        from jupyterhub.scopes import get_scopes_for

        ours = re.compile(rf"custom:{re.escape(self._service)}:environments:(?:read|write)(?:!.*)?")
        roles = sorted(scope for scope in get_scopes_for(user.orm_user) if ours.fullmatch(scope))
        scopes = [f"access:services!service={self._service}", *roles]
        return user.new_api_token(note="Lists images for a server", expires_in=_TOKEN_SECONDS, scopes=scopes)

    async def _fetch(self, spawner: Any, token: str, cursor: str) -> dict[str, Any]:
        from tornado.httpclient import AsyncHTTPClient, HTTPRequest

        wanted = [("limit", str(_PAGE)), *(("packages", each) for each in self._packages)]
        query = urlencode([*wanted, ("cursor", cursor)] if cursor else wanted)
        request = HTTPRequest(
            f"{self._address(spawner)}api/v2/environment/?{query}",
            headers={"Authorization": f"token {token}"},
            request_timeout=self._seconds,
            connect_timeout=self._seconds,
            follow_redirects=False,
        )
        return json.loads((await AsyncHTTPClient().fetch(request)).body)

    def _read(self, row: Mapping[str, Any]) -> Choice:
        name = f"{row['namespace']['name']}/{row['name']}"
        return Choice(
            number=row["id"],
            name=name,
            # By its number: a server of a name that means another build tomorrow would not say what it runs.
            image=f"{self._registry}/{name.lower()}:{row['current_build_id']}",
            description=row.get("description") or "",
        )
