"""What passes between who wants an environment on this machine and the program that makes it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter


class MakePhase(StrEnum):
    """The steps of making an environment, as far as there are such."""

    ASK = "ask"
    """The service is asked for the lock, or for the archive; it may still be writing it."""
    ARCHIVE = "archive"
    """The archive comes, in bytes."""
    FETCH = "fetch"
    """Packages of conda's are downloaded, or found in the cache."""
    LINK = "link"
    """They are linked into the prefix."""
    PIP = "pip"
    """Packages of pip's are downloaded and installed."""
    UNPACK = "unpack"
    """The archive is unpacked."""
    FINISH = "finish"


class Progress(BaseModel):
    """How far it is: `done` of `total` in `unit` (`packages` or `bytes`); a total of 0 is not known."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["progress"] = "progress"
    phase: MakePhase
    done: int = 0
    total: int = 0
    unit: str = ""


class MakeResult(BaseModel):
    """It is done; `size` in bytes on disk, with what other prefixes share."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["result"] = "result"
    size: int


class MakeFailure(BaseModel):
    """It cannot be done: the code and message of an error of `core.errors`, and what is for the log."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["failure"] = "failure"
    code: str
    message: str
    detail: str = ""


class MakeRequest(BaseModel):
    """One environment to make in `prefix`, which is not there yet, of a lock or of an archive."""

    model_config = ConfigDict(frozen=True)

    prefix: str
    packages: str
    """The package cache."""
    work: str
    """A folder for what is needed only meanwhile."""
    lock: str | None = None
    archive: str | None = None
    variables: tuple[tuple[str, str], ...] = ()
    distrust_cache: bool = False
    """Whether each package in the cache is held against its own list of hashes first."""


MakeEvent = Progress | MakeResult | MakeFailure
make_event: TypeAdapter[MakeEvent] = TypeAdapter(MakeEvent)

OnProgress = Callable[[Progress], None]


def ignore(_: Progress) -> None:
    """Take no notice."""
