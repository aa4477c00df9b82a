"""Keep the catalog of kernels as the service has it: one long poll, and a copy on disk for an outage."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from tempfile import NamedTemporaryFile

from pydantic import ValidationError
from tornado.httpclient import HTTPClientError
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError

from conda_store_hub.client.kernelspecs import DEFAULT_PATTERN
from conda_store_hub.core.schemas import Answer, KernelList
from conda_store_hub.lab.kernels import KernelCatalog, KernelChange
from conda_store_hub.lab.line import Line
from conda_store_hub.lab.specs import make_specs

# The service holds a poll for at most 50 s; nothing after 65 s is a connection that died unseen.
POLL_SECONDS = 65.0
LEAST_SECONDS = 0.25  # between two polls: a storm of changes is taken in gulps
HELD_SECONDS = 1.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
GOODBYE_SECONDS = 1.0  # for a request that was broken off to end


class PollState(StrEnum):
    """How the poller stands with the service."""

    STARTING = "starting"
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class PollStatus:
    """A state, and in words what is behind it."""

    state: PollState
    message: str = ""


class KernelFile:
    """The last list of kernels on disk, readable by its owner alone: it tells where prefixes are."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def in_directory(cls, directory: str, *, url: str, user: str, kind: str = "kernels") -> KernelFile:
        """Return the file of one service and one Hub user, since both may share a home with others."""
        digest = hashlib.sha256(f"{url}\n{user}".encode()).hexdigest()[:12]
        return cls(Path(directory) / f"conda-store-hub-{kind}-{digest}.json")

    def find(self) -> KernelList | None:
        """Return the stored list, or None when there is none that can be read."""
        try:
            return KernelList.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, kernels: KernelList) -> None:
        """Replace the stored list as a whole; raises OSError."""
        with NamedTemporaryFile(dir=self._path.parent, prefix=".conda-store-hub-", delete=False) as file:
            stage = Path(file.name)
            try:
                file.write(kernels.model_dump_json().encode())
                file.flush()
                stage.replace(self._path)
            except OSError:
                stage.unlink(missing_ok=True)
                raise


class KernelPoller:
    """One task that asks the service for changes, for as long as the server runs.

    It never raises: what goes wrong is a state, told in one log line when it changes, and the last list stays.
    """

    def __init__(
        self,
        *,
        url: str,
        token: str,
        catalog: KernelCatalog,
        file: KernelFile,
        log: logging.Logger,
        on_change: Callable[[KernelChange], None],
        pattern: str = DEFAULT_PATTERN,
    ) -> None:
        self.status = PollStatus(state=PollState.STARTING)
        self._url = url
        self._token = token
        self._catalog = catalog
        self._file = file
        self._log = log
        self._on_change = on_change
        self._pattern = pattern
        self._etag: str | None = None
        self._failures = 0
        self._hasty = 0
        self._line: Line | None = None
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task on the running loop."""
        self._line = Line(self._url, self._token)
        self._task = asyncio.create_task(self._run(self._line), name="conda-store-hub-kernels")

    def hurry(self) -> None:
        """Ask at once if this is a pause: the service was heard of elsewhere, and something may have changed."""
        self._failures = 0
        self._woken.set()

    async def stop(self) -> None:
        """End the task and wait for it."""
        if self._task is None or self._line is None:
            return
        self._stopping.set()
        self._woken.set()
        self._line.hang_up()
        await asyncio.wait({self._task}, timeout=GOODBYE_SECONDS)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    async def _run(self, line: Line) -> None:
        try:
            await self._restore()
            while not self._stopping.is_set():
                began = time.monotonic()
                await self._poll_guarded(line)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause(time.monotonic() - began)):
                        await self._woken.wait()
                self._woken.clear()
        finally:
            line.close()

    async def _poll_guarded(self, line: Line) -> None:
        try:
            await self._poll(line)
        except HTTPClientError as exc:
            self._fail(*_describe(exc))
        except (OSError, ValidationError) as exc:
            self._fail(PollState.UNREACHABLE, _in_words(exc))
        except Exception as exc:  # noqa: BLE001 the edge of the task: the picker must not freeze for good
            self._log.exception("conda-store-hub: asking for kernels failed")
            self._fail(PollState.UNREACHABLE, _in_words(exc))

    async def _poll(self, line: Line) -> None:
        query = {} if self._etag is None else {"since": self._etag}
        response = await line.ask("GET", "kernels/", query=query, seconds=POLL_SECONDS)
        if response.code == HTTPStatus.NOT_MODIFIED:
            self._enter(PollState.CONNECTED)
            return
        response.rethrow()
        kernels = Answer[KernelList].model_validate_json(response.body).data
        self._enter(PollState.CONNECTED)
        if kernels.etag == self._etag:
            return
        self._hasty = 0
        await self._take(kernels)
        await asyncio.to_thread(self._store, kernels)

    async def _restore(self) -> None:
        """List what was known at the last contact, until the service answers."""
        kernels = await asyncio.to_thread(self._file.find)
        if kernels is not None:
            await self._take(kernels)
            self._etag = None  # the service may have forgotten it: the first poll asks for everything

    async def _take(self, kernels: KernelList) -> None:
        specs, unusable = await asyncio.to_thread(make_specs, kernels.kernels, pattern=self._pattern)
        if unusable:
            self._log.warning("conda-store-hub: kernels with an unusable kernel.json: %s", ", ".join(unusable))
        change = self._catalog.replace(specs)
        self._etag = kernels.etag
        if change:
            self._on_change(change)

    def _store(self, kernels: KernelList) -> None:
        try:
            self._file.write(kernels)
        except OSError as exc:
            self._log.warning("conda-store-hub: the list of kernels cannot be kept: %s", exc)

    def _enter(self, state: PollState, message: str = "") -> None:
        before, self.status = self.status, PollStatus(state=state, message=message)
        if state is PollState.CONNECTED:
            self._failures = 0
        if state is before.state:
            return
        if state is PollState.CONNECTED:
            self._log.info("conda-store-hub: kernels come from %s", self._url)
        else:
            self._log.warning("conda-store-hub: no news of kernels: %s", message)

    def _fail(self, state: PollState, message: str) -> None:
        if self._stopping.is_set():
            return
        self._failures += 1
        self._enter(state, message)

    def _pause(self, took: float) -> float:
        if self._failures:
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._failures - 1))
            return longest * random.uniform(0.5, 1)  # noqa: S311 so that 500 servers do not come back at once
        # Something between us and the service may not hold a poll: then asking gets rarer by itself.
        self._hasty = self._hasty + 1 if took < HELD_SECONDS else 0
        return min(LONGEST_PAUSE, LEAST_SECONDS * 2 ** max(0, self._hasty - 2))


def _describe(exc: HTTPClientError) -> tuple[PollState, str]:
    if exc.code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return PollState.REFUSED, (
            f"the service refuses this server's token ({exc.code}); the Hub must give servers the right"
            " to it, as `conda_store_hub.configure(c)` does"
        )
    if HTTPStatus.MULTIPLE_CHOICES <= exc.code < HTTPStatus.BAD_REQUEST:
        return PollState.REFUSED, f"the address answers with a redirect ({exc.code}): it is not the service's"
    if isinstance(exc, HTTPTimeoutError | HTTPStreamClosedError):
        return PollState.UNREACHABLE, f"the service cannot be reached: {exc}"
    return PollState.UNREACHABLE, f"the service answers {exc.code} {exc.message or ''}".rstrip()


def _in_words(exc: BaseException) -> str:
    if isinstance(exc, ValidationError):
        return "the service's answer is not a list of kernels"
    text = exc.strerror if isinstance(exc, OSError) else None
    return f"the service cannot be reached: {text or str(exc) or type(exc).__name__}"
