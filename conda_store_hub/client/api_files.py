"""What builds write: logs, read at once or live, and files."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from conda_store_hub.client.downloads import Download, OnBytes, fetch, pause
from conda_store_hub.client.logstream import LogEnd, LogEvent, LogText, find_log_event, read_events
from conda_store_hub.client.parts import open_part
from conda_store_hub.client.transport import Transport
from conda_store_hub.core.artifacts import FILES
from conda_store_hub.core.errors import InvalidRequestError, StorageError, UnavailableError
from conda_store_hub.core.states import ArtifactType

HOLD_SECONDS = 50.0  # how long the service holds a long poll
STREAM_SILENCE = 60.0  # a live log says something, if only a comment, every 25 s
STREAM_RETRIES = 6
MAKING_SECONDS = 600.0  # an archive of some gigabytes takes a few minutes


class LogPart(NamedTuple):
    """A part of a log: its text, the byte offset after it, and whether nothing more will come."""

    text: str
    next_offset: int
    complete: bool


class FileCalls(Transport):
    """A client's methods about logs and files."""

    def read_log(self, build_id: int, offset: int = 0) -> LogPart:
        """Return the log from a byte offset on, as far as it is written."""
        path = f"build/{build_id}/logs/"
        response = self._ask("GET", path, query={"offset": offset}, headers={"Accept": "text/plain"})
        if not response.headers.get("Content-Type", "").startswith("text/plain"):
            raise self._strange(response)
        following = response.headers.get("X-Log-Offset", str(offset + len(response.content)))
        if not following.isdecimal():
            raise UnavailableError(f"The service at {self.url} did not say where its log ends.")
        complete = response.headers.get("X-Log-Complete", "").lower() in {"true", "1"}
        return LogPart(response.content.decode("utf-8", "replace"), int(following), complete)

    def stream_log(self, build_id: int, offset: int = 0) -> Iterator[LogEvent]:
        """Yield what happens until the build has ended; a broken connection is taken up where it broke.

        Raises UnavailableError when the service is not there at first, or stays away for about half a minute.
        """
        failures = -1  # nothing came yet: a service that is not there is told at once
        while True:
            try:
                for event in self._stream_once(build_id, offset):
                    failures = 0
                    offset = event.next_offset if isinstance(event, LogText) else offset
                    yield event
                    if isinstance(event, LogEnd):
                        return
            except UnavailableError:
                if failures in (-1, STREAM_RETRIES):
                    raise
            failures = max(failures, 0) + 1
            if failures > STREAM_RETRIES:
                raise UnavailableError(f"The live log of build {build_id} broke off again and again.")
            pause(failures)

    def _stream_once(self, build_id: int, offset: int) -> Iterator[LogEvent]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(offset)}
        path = f"build/{build_id}/logs/"
        with self._stream(path, headers, {"offset": str(offset)}, silence=STREAM_SILENCE) as response:
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise self._strange(response)
            for event in read_events(response.iter_bytes()):
                typed = find_log_event(event)
                if typed is not None:
                    yield typed

    def download(
        self,
        build_id: int,
        artifact: ArtifactType,
        path: Path,
        *,
        wait: float = MAKING_SECONDS,
        on_bytes: OnBytes | None = None,
    ) -> None:
        """Write an artifact of a build to `path`, which is there whole or not at all.

        A connection that breaks off is taken up where it broke, also by the next call, and what came is held against
        its digest.
        wait: seconds to wait for what the service has to make first; raises BeingMadeError after that.
        on_bytes: told how many bytes there are, and of how many (0: unknown); what it raises ends the download.
        """
        if artifact is not ArtifactType.LOGS and artifact not in FILES:
            raise InvalidRequestError(f"{artifact} cannot be downloaded.")
        kind = "logs" if artifact is ArtifactType.LOGS else FILES[artifact].path
        where, silence = f"build/{build_id}/{kind}/", HOLD_SECONDS + self._timeout
        query = {"wait": f"{min(wait, HOLD_SECONDS):g}"}

        @contextmanager
        def ask(headers: Mapping[str, str]) -> Generator[httpx.Response]:
            with self._stream(where, headers, query, silence=silence) as response:
                self._refuse_page(response)
                yield response

        try:
            part = open_part(path)
            with part.file:
                try:
                    fetch(ask, Download(part), wait=wait, on_bytes=on_bytes)
                    part.finish()
                except BaseException as exc:
                    part.end(exc)
                    raise
        except OSError as exc:
            raise StorageError(f"{path} cannot be written: {exc.strerror}.") from exc
