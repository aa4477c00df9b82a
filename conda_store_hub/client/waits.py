"""Waiting for builds and their files: until what one waits for is there, or until it cannot come any more."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from conda_store_hub.client.failures import find_error_class
from conda_store_hub.client.patience import answer_within
from conda_store_hub.core.errors import (
    ArtifactError,
    BuildCancelledError,
    BuildError,
    GoneError,
    NotFoundError,
    UnavailableError,
    WaitTimedOutError,
)
from conda_store_hub.core.schemas import LogProgress, LogState
from conda_store_hub.core.states import LIVE, ArtifactState, ArtifactType, BuildStatus

if TYPE_CHECKING:
    from conda_store_hub.client.api import Client
    from conda_store_hub.client.logstream import LogEvent
    from conda_store_hub.core.schemas import Artifact, Build

_LOOK_SECONDS = 1.0
_LEAST_SECONDS = 1.0  # what was there in time is told of, even by a time-out of nothing
T = TypeVar("T")

#: Is told how a build stands, each time that changes.
OnNews = Callable[[LogState | LogProgress], None]


def wait_for_build(client: Client, build_id: int, *, until: float | None = None, on_news: OnNews) -> Build:
    """Return a build once it can be used.

    until: of `time.monotonic`; raises WaitTimedOutError after that. Raises BuildError when it failed,
    BuildCancelledError when it was cancelled, GoneError when it was deleted.
    """
    build = _get_build(client, build_id, until)
    while build.status in LIVE:
        for event in _follow(client, build_id, until):
            if isinstance(event, (LogState, LogProgress)):
                on_news(event)
            if isinstance(event, LogState) and event.status not in LIVE:
                break
        # A service that restarts builds it again: what its log has ended with need not be the end.
        build = _get_build(client, build_id, until)
        if build.status in LIVE:
            _pause(until, f"Build {build_id}")
    require_usable(build)
    return build


def _get_build(client: Client, build_id: int, until: float | None) -> Build:
    return ask_in_time(lambda: client.get_build(build_id), f"Build {build_id}", until)


def ask_in_time(ask: Callable[[], T], what: str, until: float | None) -> T:
    """Return an answer; raise WaitTimedOutError where it does not come in time."""
    if until is None:
        return ask()
    left = max(_LEAST_SECONDS, until - time.monotonic())
    try:
        return answer_within(min(left, threading.TIMEOUT_MAX), ask)
    except UnavailableError as exc:
        if time.monotonic() < until:
            raise
        raise WaitTimedOutError(f"{what} was not there in time: {exc.public_message}") from exc


def require_usable(build: Build) -> None:
    """Raise what became of a build that cannot be used, or will not be."""
    if build.status is BuildStatus.CANCELED:
        raise BuildCancelledError(f"Build {build.id} of {build.namespace}/{build.environment} was cancelled.")
    if build.deleted_on is not None:
        raise GoneError(f"Build {build.id} of {build.namespace}/{build.environment} was deleted.")
    if build.status is not BuildStatus.COMPLETED:
        kind = find_error_class(build.error_code)
        # A code may be of something else as well: `disk-full` is told of the service's storage too.
        kind = kind if kind is not None and issubclass(kind, BuildError) else BuildError
        raise kind(build.status_info or f"Build {build.id} is {build.status}.")


def wait_for_artifact(client: Client, build_id: int, artifact: ArtifactType, *, until: float | None = None) -> None:
    """Wait until a file of a build that can be used is there; what is made only on demand is asked for.

    Raises what `wait_for_build` does, ArtifactError when the file could not be made, NotFoundError for what such a
    build never has.
    """
    asked = False
    while True:
        build = _get_build(client, build_id, until)
        require_usable(build)
        if artifact is ArtifactType.LOGS or _find(build.build_artifacts, artifact) is not None:
            return
        unfinished = _find(build.unfinished_artifacts, artifact)
        if unfinished is not None and unfinished.state is ArtifactState.FAILED:
            raise ArtifactError(unfinished.error or f"The {artifact} of build {build_id} could not be made.")
        if unfinished is None and not asked:
            if artifact not in {each.artifact_type for each in build.further_artifacts}:
                raise NotFoundError(f"Build {build_id} has no {artifact}, and will not have one.")
            client.make_artifact(build_id, artifact)
            asked = True
        _pause(until, f"The {artifact} of build {build_id}")


def _find(artifacts: list[Artifact], kind: ArtifactType) -> Artifact | None:
    return next((each for each in artifacts if each.artifact_type is kind), None)


def _pause(until: float | None, what: str) -> None:
    left = _LOOK_SECONDS if until is None else until - time.monotonic()
    if left <= 0:
        raise WaitTimedOutError(f"{what} was not there in time.")
    time.sleep(min(left, _LOOK_SECONDS))


def _follow(client: Client, build_id: int, until: float | None) -> Iterator[LogEvent]:
    """Yield what happens; read by a thread, so that a time-out counts while nothing comes."""
    heard: queue.SimpleQueue[LogEvent | Exception | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(client, build_id, heard), daemon=True).start()
    while True:
        try:
            event = heard.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise WaitTimedOutError(f"Build {build_id} has not ended in time; it goes on.") from None
        if event is None:
            return
        if isinstance(event, Exception):
            raise event
        yield event


def _listen(client: Client, build_id: int, heard: queue.SimpleQueue[LogEvent | Exception | None]) -> None:
    try:
        for event in client.stream_log(build_id):
            heard.put(event)
        heard.put(None)
    except Exception as exc:  # noqa: BLE001 it is raised where it is waited for, if anybody still does
        heard.put(exc)
