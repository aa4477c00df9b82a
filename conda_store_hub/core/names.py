"""Names, namespace kinds, build keys, kernel names, prefix paths, and how long each may be."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from conda_store_hub.core.errors import ConfigurationError, InvalidNameError, InvalidRequestError

MAX_NAMESPACE = 63
MAX_ENVIRONMENT = 64
MAX_DESCRIPTION = 4000
MAX_SHOWN = 64  # characters of a name in a message
CACHE_LOCK = ".in-use"  # in the package cache; builders are told where that is
MAX_PREFIX = 80  # a shebang line ends at 127 bytes, and `/bin/pythonX.YY` and options follow the prefix

NAMESPACE_PATTERN = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
ENVIRONMENT_PATTERN = r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*"

_NAMESPACE = re.compile(NAMESPACE_PATTERN)
_ENVIRONMENT = re.compile(ENVIRONMENT_PATTERN)
_BUILD_KEY = re.compile(r"([0-9a-f]{64})-(\d{8})-(\d{6})-(\d{6})-(\d+)-(.+)")
_RESERVED = frozenset({"default", "shared", "filesystem", "conda-store-dynamic"})
_MAX_ID = 2**31 - 1  # what a column of ids holds
_MOST_DIGITS = 10
_GROUP_PREFIX = "group."
_MOST_NAMESAKES = 20


class NamespaceKind(StrEnum):
    """Whom a namespace belongs to. Rights follow the kind and the Hub's name, never the text of the name."""

    USER = "user"
    GROUP = "group"
    SHARED = "shared"
    SYSTEM = "system"


def check_namespace_name(name: str) -> str:
    """Return `name`, or raise InvalidNameError in words."""
    if len(name) > MAX_NAMESPACE or not _NAMESPACE.fullmatch(name):
        raise InvalidNameError(
            f"A namespace name has at most {MAX_NAMESPACE} characters: lower-case letters and digits,"
            " with single dots, dashes or underscores between them."
        )
    return name


def check_environment_name(name: str) -> str:
    """Return `name`, or raise InvalidNameError in words."""
    if len(name) > MAX_ENVIRONMENT or not _ENVIRONMENT.fullmatch(name):
        raise InvalidNameError(
            f"An environment name has at most {MAX_ENVIRONMENT} characters: letters and digits,"
            " with single dots, dashes or underscores between them."
        )
    return name


def shorten(name: str) -> str:
    """Return a name, or what was given as one, as messages show it."""
    return name if len(name) <= MAX_SHOWN else name[:MAX_SHOWN] + "…"


def namespace_name(kind: NamespaceKind, hub_name: str) -> str:
    """Return the name that a user's or group's namespace has when nothing stands in its way."""
    return list_namespace_names(kind, hub_name)[0]


def list_namespace_names(kind: NamespaceKind, hub_name: str) -> list[str]:
    """Return the names that the namespace of a user or group may get, the best first.

    `SLUG-xxxxxxxx` is for a Hub name that does not fit, is reserved, or is taken; the last ones are for when that is
    taken too, by a namespace that was sealed.
    """
    plain = _GROUP_PREFIX + hub_name if kind is NamespaceKind.GROUP else hub_name
    fits = len(plain) <= MAX_NAMESPACE and _NAMESPACE.fullmatch(plain) is not None
    usable = fits and not (kind is NamespaceKind.USER and is_reserved(plain))
    slug = "-".join(re.findall(r"[a-z0-9]+", hub_name.lower()))[:40].strip("-") or str(kind)
    salts = ("", *(f"#{number}" for number in range(1, _MOST_NAMESAKES)))
    digests = (hashlib.sha256(f"{kind}{hub_name}{salt}".encode()).hexdigest()[:8] for salt in salts)
    return [*([plain] if usable else []), *(f"{slug}-{digest}" for digest in digests)]


def is_reserved(name: str) -> bool:
    """Tell whether a name is for the service itself, or of the form that groups have."""
    return name in _RESERVED or name.startswith(_GROUP_PREFIX)


def check_description(text: str) -> str:
    """Return `text`, or raise InvalidRequestError: lists carry a hundred of these."""
    if len(text) > MAX_DESCRIPTION:
        raise InvalidRequestError(f"A description has at most {MAX_DESCRIPTION} characters.")
    return text


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildKey:
    """The seed's name of a build, read from the left because an environment name may hold dashes."""

    spec_sha256: str
    scheduled_on: datetime
    build_id: int
    environment: str

    def __str__(self) -> str:
        when = self.scheduled_on.astimezone(UTC)
        return f"{self.spec_sha256}-{when:%Y%m%d-%H%M%S-%f}-{self.build_id}-{self.environment}"

    @classmethod
    def parse(cls, text: str) -> BuildKey:
        """Parse a whole build key; raise InvalidNameError for anything else."""
        match = _BUILD_KEY.fullmatch(text)
        if match is None:
            raise InvalidNameError("This is not a build key.")
        sha256, day, clock, micro, build_id, name = match.groups()
        try:
            when = datetime.strptime(f"{day}{clock}{micro}", "%Y%m%d%H%M%S%f").replace(tzinfo=UTC)
        except ValueError as exc:
            raise InvalidNameError("This is not a build key.") from exc
        return cls(spec_sha256=sha256, scheduled_on=when, build_id=int(build_id), environment=name)

    @classmethod
    def find_id(cls, text: str) -> int | None:
        """Return the number of the build that a number, or a key that may be cut, names; None for other texts."""
        match = _BUILD_KEY.fullmatch(text)
        digits = text if match is None else match[5]
        is_number = digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS
        return int(digits) if is_number and int(digits) <= _MAX_ID else None


# Kernels: a name that can be taken apart, within Jupyter's [A-Za-z0-9._-].

_KERNEL_PREFIX = "csh"


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelName:
    """`csh.NAMESPACE.ENVIRONMENT.RAW[.bN]`; RAW is the kernel's own name in the environment, N a build id."""

    namespace: str
    environment: str
    raw: str
    build_id: int | None = None

    def __str__(self) -> str:
        parts = [_KERNEL_PREFIX, *(_escape(part) for part in (self.namespace, self.environment, self.raw))]
        return ".".join(parts if self.build_id is None else [*parts, f"b{self.build_id}"])

    @classmethod
    def is_of_build(cls, text: str) -> bool:
        """Tell whether a kernel name is ours, and of one build."""
        found = cls.find(text)
        return found is not None and found.build_id is not None

    @classmethod
    def find(cls, text: str) -> KernelName | None:
        """Take a kernel name apart, or return None when it is not one of ours."""
        parts = text.split(".")
        if len(parts) not in (4, 5) or parts[0] != _KERNEL_PREFIX:
            return None
        build = re.fullmatch(r"b(\d{1,18})", parts[4]) if len(parts) == 5 else None
        if len(parts) == 5 and build is None:
            return None
        try:
            namespace, environment, raw = (_unescape(part) for part in parts[1:4])
        except ValueError:
            return None
        return cls(
            namespace=namespace,
            environment=environment,
            raw=raw,
            build_id=int(build[1]) if build else None,
        )


def _escape(part: str) -> str:
    return re.sub(r"[^a-z0-9-]", lambda match: "".join(f"_{byte:02x}" for byte in match[0].encode()), part)


def _unescape(part: str) -> str:
    raw = re.sub(rb"_([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), part.encode())
    text = raw.decode()
    if _escape(text) != part:
        raise ValueError(part)
    return text


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Where everything lies under the service's data directory; no other module spells these paths."""

    root: Path

    @property
    def database(self) -> Path:
        """The SQLite file, unless a database is configured."""
        return self.root / "db.sqlite"

    @property
    def lock(self) -> Path:
        """Held by the one service that has this directory."""
        return self.root / "service.lock"

    @property
    def secrets(self) -> Path:
        """Cookie secret and keys; 0700."""
        return self.root / "secrets"

    @property
    def packages(self) -> Path:
        """The package cache of the engine; one file system with `prefixes`, for hard links."""
        return self.root / "pkgs"

    @property
    def packages_lock(self) -> Path:
        """Held by builders while they use what is in the caches, and by who takes something out of them."""
        return self.packages / CACHE_LOCK

    @property
    def links_lock(self) -> Path:
        """Held by who changes links."""
        return self.root / "links.lock"

    @property
    def bytecode(self) -> Path:
        """Compiled bytecode by package and Python, hard-linked into prefixes."""
        return self.root / "pkgs" / ".bytecode"

    @property
    def repodata(self) -> Path:
        """The engine's cache of channel indexes."""
        return self.root / "pkgs" / ".repodata"

    @property
    def pip_cache(self) -> Path:
        """The cache of the pip part."""
        return self.root / "pkgs" / ".uv"

    @property
    def bases(self) -> Path:
        """Images that environments are put on, as registries gave them."""
        return self.root / "bases"

    @property
    def prefixes(self) -> Path:
        """The folder of prefixes; 0711, so that a path is known only to whom the API tells it."""
        return self.root / "b"

    @property
    def links(self) -> Path:
        """Links to the active prefixes, by namespace and environment."""
        return self.root / "envs"

    @property
    def objects(self) -> Path:
        """Artifacts, when storage is local."""
        return self.root / "objects"

    @property
    def work(self) -> Path:
        """Scratch of running builds; one file system with `objects`, so that an artifact is renamed into it."""
        return self.root / "objects" / ".work"

    def prefix(self, prefix_name: str) -> Path:
        """Return the path of a build's prefix; raise ValueError for a build that has none: it is not all of them."""
        if not prefix_name:
            raise ValueError("a prefix has a name")
        return self.prefixes / prefix_name

    def link(self, namespace: str, environment: str) -> Path:
        """Return the path of the link to an environment's active prefix."""
        return self.links / namespace / environment

    def check(self) -> None:
        """Raise ConfigurationError when a prefix under this root would be too long."""
        longest = len(str(self.prefix("x" * PREFIX_NAME_LENGTH)))
        if longest > MAX_PREFIX:
            raise ConfigurationError(
                f"The data directory {self.root} is too deep: prefixes in it would have {longest} characters,"
                f" and shebang lines allow {MAX_PREFIX}. Choose a path with at most"
                f" {MAX_PREFIX - longest + len(str(self.root))} characters."
            )


PREFIX_NAME_LENGTH = 22


def new_prefix_name() -> str:
    """Return 22 random base32 characters: 110 bits that nobody guesses."""
    return base64.b32encode(secrets.token_bytes(14)).decode().lower()[:PREFIX_NAME_LENGTH]
