"""What crosses the pipe between the runner and the builder; the states of both are in `states.py`.

The builder reads one `BuildRequest` as JSON on stdin, writes the log for people on stdout and stderr, and writes
events as JSON lines on a file descriptor of its own. Success is a written `result` event, never an exit code.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from conda_store_hub.core.lockfiles import LockedPackage
from conda_store_hub.core.oci import DIGEST_PATTERN, Layer
from conda_store_hub.core.spec import Entry
from conda_store_hub.core.states import (  # who speaks the protocol has these from here too
    LIVE as LIVE,
)
from conda_store_hub.core.states import (
    MADE_OF_PREFIXES as MADE_OF_PREFIXES,
)
from conda_store_hub.core.states import (
    OF_IMAGES as OF_IMAGES,
)
from conda_store_hub.core.states import (
    TRANSITIONS as TRANSITIONS,
)
from conda_store_hub.core.states import (
    ArtifactState as ArtifactState,
)
from conda_store_hub.core.states import (
    ArtifactType as ArtifactType,
)
from conda_store_hub.core.states import (
    BuildStatus as BuildStatus,
)
from conda_store_hub.core.states import (
    PackageReason as PackageReason,
)
from conda_store_hub.core.states import (
    Phase as Phase,
)
from conda_store_hub.core.states import (
    PrefixArtifact as PrefixArtifact,
)

PROTOCOL_VERSION = 1
MAX_KERNEL_SPEC = 64_000
"""Bytes of a kernel.json; one has a few hundred."""
_MAX_KERNEL_LEVELS = 16
_TOO_DEEP = f"it has more than {_MAX_KERNEL_LEVELS} levels"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Directories(_Frozen):
    """Where the builder may write; absolute paths. A dry run needs no prefix."""

    prefix: str = ""
    packages: str
    bytecode: str
    repodata: str
    pip_cache: str
    work: str


class LockReuse(_Frozen):
    """The lock of an earlier build of the same request; its records count only while its channels are as they were."""

    records: str
    """Path of a JSON list of solved records."""
    channel_state: str
    """What `LockEvent.channel_state` said of them."""
    pip_lock: str | None = None
    """Path of the pip lock that belongs to them."""


class BuildLimits(_Frozen):
    """What one build may take; None is without limit."""

    memory_bytes: int | None = Field(default=None, gt=0)
    """Memory that the builder and all it started occupy at once."""
    disk_bytes: int | None = Field(default=None, gt=0)
    """The environment's size, with what it shares with others."""
    file_count: int | None = Field(default=None, gt=0)
    install_seconds: int | None = Field(default=None, gt=0)
    pip_seconds: int | None = Field(default=None, gt=0)


class ImageRequest(_Frozen):
    """What an image is made with, beside the prefix."""

    known: dict[str, Layer] = {}
    """Layers that are there already, by the keys of `core.image_layers`."""
    base: str = ""
    """The image that the environment is put on: the absolute path of a layout or an archive, or a reference; empty: on
    nothing."""
    base_digest: str | None = None
    """Which one it was put on before; empty: on nothing; None: it is made for the first time."""
    base_credentials: str = ""
    """Path of a file that says how to log in to the registry of a reference, as `docker login` writes it."""
    base_cache: str = ""
    """Path of the folder where base images are kept."""
    labels: tuple[tuple[str, str], ...] = ()
    name: str = ""
    """What an archive calls it: repository and tag."""
    layers: str = ""
    """Path of a folder with what is known, by hex digests, where an archive is asked for."""


class BuildRequest(_Frozen):
    """Everything a build needs; a request on disk and `python -m conda_store_hub.builder` repeat it by hand."""

    v: Literal[1] = PROTOCOL_VERSION
    build_id: int
    name: str
    namespace: str = ""
    channels: tuple[str, ...]
    dependencies: tuple[Entry, ...]
    pip: tuple[Entry, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    platform: str
    directories: Directories
    artifacts: tuple[ArtifactType, ...] = ()
    solve_only: bool = False
    """A dry run: the `lock` event, the result, and nothing on disk but the records."""
    constraints: tuple[str, ...] = ()
    """Match specs that limit what may be installed, without installing anything."""
    excluded: tuple[str, ...] = ()
    """Match specs (names with versions) of packages that may not be installed."""
    allowed_channels: tuple[str, ...] | None = None
    """Addresses that packages may come from, and all below them; also of a lock. None is without limit."""
    demanded: tuple[str, ...] = ()
    """Match specs (names with or without versions) of packages that have to be there, also in a lock."""
    wheel_places: tuple[str, ...] | None = None
    """Addresses below which the wheels of a pip lock have to be, or the indexes that it names; None is no limit."""
    virtual_packages: tuple[Entry, ...] = ()
    """What the machines that compute offer, `__cuda=12.6`, in place of what is found on this one."""
    records: str | None = None
    """Path of a JSON list of solved records: the solve is skipped, the install is exact."""
    reuse: LockReuse | None = None
    """A lock that is taken if the channels have not changed since; else there is a solve."""
    locked: tuple[LockedPackage, ...] = ()
    """The packages of a lock file for all its platforms, conda's and pip's: neither is solved for."""
    pip_lock: str | None = None
    """Path of a pylock.toml: the pip part is exactly that, hashes checked, whatever `pip` says."""
    prefix_ready: bool = False
    """The prefix is complete: only the artifacts are missing (the service stopped while they were made)."""
    pip_index: str | None = None
    """The index of the pip part; None is the default of pip."""
    solve_seconds: int = 300
    network_seconds: int = 60
    """How long a server may keep silent; an index may take twice as long as a whole, a package as long as it likes."""
    sha256: str = ""
    """The digest of the normalised specification; the lockfile carries it as content hash."""
    platforms: tuple[str, ...] = ()
    """Further platforms that lock files are made for, after the environment is usable."""
    limits: BuildLimits = BuildLimits()
    image: ImageRequest = ImageRequest()

    def list_locked(self) -> tuple[LockedPackage, ...]:
        """Return the packages of a lock file that are for this platform."""
        return tuple(each for each in self.locked if each.platform in ("", self.platform))

    @property
    def has_pip_part(self) -> bool:
        """Whether pip has anything to do; a lock file says so whatever the pip lines are."""
        if self.locked:
            return any(each.manager == "pip" for each in self.list_locked())
        return bool(self.pip) or self.pip_lock is not None


class Package(_Frozen):
    """One package of a build. Sizes are in bytes; hashes are hex.

    `size` is that of the file that was downloaded; `installed_size` is what the files that all builds link take on
    disk, which is the same wherever it is installed.
    """

    manager: Literal["conda", "pip"]
    name: str
    version: str
    build: str = ""
    channel: str = ""
    subdir: str = ""
    url: str = ""
    sha256: str = ""
    md5: str = ""
    size: int = 0
    installed_size: int = 0
    license: str = ""
    depends: tuple[str, ...] = ()
    """What it needs: match specs of conda's packages, and of pip's the requirements that count here (PEP 508)."""


class Kernel(_Frozen):
    """A kernel spec found in the prefix: `raw` is its directory's name, `spec` the JSON text of kernel.json."""

    raw: str
    spec: str

    @field_validator("raw")
    @classmethod
    def _check_raw(cls, name: str) -> str:
        name.encode()
        return name

    @field_validator("spec")
    @classmethod
    def _check_spec(cls, text: str) -> str:
        cls.parse_spec(text)
        return text

    @staticmethod
    def parse_spec(text: str) -> dict[str, Any]:
        """Return what a kernel.json holds; raise ValueError for what cannot be passed on as JSON.

        That is: no object, more than 64 kB, more than 16 levels, text that is no Unicode, numbers that JSON lacks.
        """
        if len(text) > MAX_KERNEL_SPEC or len(text.encode()) > MAX_KERNEL_SPEC:
            raise ValueError("it has more than 64 kB")
        try:
            value: object = json.loads(text, parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None
        if not isinstance(value, dict):
            raise ValueError("it is no JSON object")  # noqa: TRY004 - what pydantic takes from a validator
        # Most have few brackets and no escapes: they are not looked through.
        if text.count("{") + text.count("[") > _MAX_KERNEL_LEVELS and _has_more_levels(value, _MAX_KERNEL_LEVELS):
            raise ValueError(_TOO_DEEP)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
        return cast("dict[str, Any]", value)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _has_more_levels(value: object, levels: int) -> bool:
    inner: list[object] = []
    if isinstance(value, dict):
        inner = list(cast("dict[str, object]", value).values())
    elif isinstance(value, list):
        inner = cast("list[object]", value)
    else:
        return False
    return levels == 0 or any(_has_more_levels(each, levels - 1) for each in inner)


class _Event(_Frozen):
    v: Literal[1] = PROTOCOL_VERSION
    seq: int = 0
    t: float = 0.0
    """Seconds since the builder started, of a monotonic clock."""


class PhaseEvent(_Event):
    """A phase began or ended."""

    type: Literal["phase"] = "phase"
    name: Phase
    state: Literal["started", "finished"]
    seconds: float = 0.0
    """How long it took, when it is finished."""


class Download(_Frozen):
    """A file that is being fetched, in bytes; `total` is 0 where nobody told it."""

    name: str
    done: int
    total: int


class ProgressEvent(_Event):
    """How far a phase is, and what it fetches at this moment; at most a few a second."""

    type: Literal["progress"] = "progress"
    phase: Phase
    done: int
    total: int
    unit: str
    downloads: tuple[Download, ...] = ()


class LockEvent(_Event):
    """The solve is done. `path` holds the solved records as a JSON list: the lock that counts."""

    type: Literal["lock"] = "lock"
    path: str
    packages: tuple[Package, ...]
    channel_state: str | None = None
    """A digest (64 hex) of what the channels' indexes were before the solve; None if a server does not tell."""
    reused: bool = False
    """The records are those of `BuildRequest.reuse`."""


class UsableEvent(_Event):
    """The prefix is complete and read-only: it may be activated. `packages` are all, conda's and pip's."""

    type: Literal["usable"] = "usable"
    packages: tuple[Package, ...]
    kernels: tuple[Kernel, ...]
    size: int
    """Bytes that would be freed if this prefix went."""
    shared_size: int = 0
    """Bytes that it shares with the package cache through hard links."""


class ArtifactEvent(_Event):
    """An artifact was written to `path` in the work directory, or could not be made (`error`).

    `passes`: whether it may be that it can be made in a moment, with nothing changed.
    `note`: what it lacks of what was asked for, in words for people. `base`: the digest of what an image is put on,
    empty for nothing.
    """

    type: Literal["artifact"] = "artifact"
    artifact: ArtifactType
    path: str = ""
    sha256: str = ""
    size: int = 0
    error: str = ""
    passes: bool = False
    note: str = ""
    base: str | None = Field(default=None, pattern=rf"^$|{DIGEST_PATTERN}")


class BlobEvent(_Event):
    """An image has a blob: written to `path`, or there already; of a layer, with the key it is known by, if any."""

    type: Literal["blob"] = "blob"
    path: str = ""
    digest: str = Field(pattern=DIGEST_PATTERN)
    size: int
    key: str = ""
    diff_id: str = ""


class AsideEvent(_Event):
    """The builder waits for a machine elsewhere, or for another builder that does; or it goes on.

    `as_all_would`: whoever makes an image now has to wait for the same.
    """

    type: Literal["aside"] = "aside"
    state: Literal["started", "finished"]
    as_all_would: bool = False


class ErrorEvent(_Event):
    """The build failed; `code` is one of `core.errors`, `message` is for people, `detail` for the log."""

    type: Literal["error"] = "error"
    code: str
    message: str
    detail: str | None = None
    line: int | None = None
    column: int | None = None


class ResultEvent(_Event):
    """The last event of a builder that did all it was asked."""

    type: Literal["result"] = "result"


BuildEvent = Annotated[
    PhaseEvent
    | ProgressEvent
    | AsideEvent
    | LockEvent
    | UsableEvent
    | BlobEvent
    | ArtifactEvent
    | ErrorEvent
    | ResultEvent,
    Field(discriminator="type"),
]
build_event: TypeAdapter[BuildEvent] = TypeAdapter(BuildEvent)
