"""What the service said last of environments and builds that were run: so that it need not be asked again."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conda_store_hub.client.addresses import name_server
from conda_store_hub.client.atomic import replace_text
from conda_store_hub.client.envcache import EnvironmentCache
from conda_store_hub.client.ownership import find_replaceable
from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.names import check_namespace_name

# A damaged file must become no path and no number.
_KINDS: dict[str, Callable[[Any], Any]] = {
    "namespace": str,
    "environment": str,
    "build_id": int,
    "prefix": str,
    "etag": str,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownBuild:
    """A build: which one it is, and where its prefix is at the service. `etag`: of the answer, for an environment."""

    namespace: str
    environment: str
    build_id: int
    prefix: str
    etag: str = ""

    @property
    def place(self) -> str:
        """Return `NAMESPACE/ENVIRONMENT`."""
        return f"{self.namespace}/{self.environment}"


class KnownBuilds:
    """What is known of one service, in a person's cache, which is theirs alone."""

    def __init__(self, cache: EnvironmentCache, server: str) -> None:
        self._cache = cache
        self._folder = cache.root / "known" / _digest(name_server(server))

    def find(self, place: str, build_id: int | None = None) -> KnownBuild | None:
        """Return what was said of an environment, or of one of its builds; None for what is damaged, too."""
        try:
            self._cache.require_own()
            values: dict[str, Any] = json.loads(self._path(place, build_id).read_bytes())
            known = KnownBuild(**{name: _KINDS[name](value) for name, value in values.items()})
        except (OSError, ValueError, TypeError, AttributeError, LookupError):
            return None
        return known if known.place == place and build_id in (None, known.build_id) else None

    def list_builds(self, place: str) -> list[KnownBuild]:
        """Return the builds of an environment that were run, the newest one first."""
        paths = self._folder.glob(f"{_digest(place)}-[0-9]*.json")
        numbers = sorted(int(found) for path in paths if (found := path.stem.rpartition("-")[2]).isdecimal())
        known = (self.find(place, number) for number in reversed(numbers))
        return [each for each in known if each is not None]

    def keep(self, known: KnownBuild) -> None:
        """Keep it for the environment where it has an etag, and for the build; a cache that is full keeps nothing."""
        with suppress(OSError):
            self._cache.require_own()
            self._cache.make_folder(self._folder)
            text = json.dumps(asdict(known))
            replace_text(self._path(known.place, known.build_id), text)
            if known.etag:
                replace_text(self._path(known.place, None), text)

    def find_own_namespace(self, identity: str) -> str | None:
        """Return the namespace of who logs in like that, if the service said it before."""
        try:
            self._cache.require_own()
            return check_namespace_name(self._own_path(identity).read_text("utf-8"))
        except (OSError, ValueError, CondaStoreHubError):
            return None

    def keep_own_namespace(self, identity: str, namespace: str) -> None:
        """Keep whose namespace a login's is: it stays the same."""
        with suppress(OSError):
            self._cache.require_own()
            self._cache.make_folder(self._folder)
            replace_text(self._own_path(identity), namespace)

    def _own_path(self, identity: str) -> Path:
        return self._folder / f"{_digest(identity)}-own"

    def _path(self, place: str, build_id: int | None) -> Path:
        return self._folder / f"{_digest(place)}-{build_id or 'active'}.json"


def is_shared(prefix: str) -> bool:
    """Tell whether a prefix of the service is on this machine, and was not put there by some other user of it."""
    path = Path(prefix)
    with suppress(OSError):
        is_there = path.is_absolute() and (path / "conda-meta").is_dir() and not path.stat().st_mode & stat.S_IWOTH
        return is_there and find_replaceable(path, of_service=True) is None
    return False


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
