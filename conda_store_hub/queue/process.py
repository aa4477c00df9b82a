"""One builder process: started with little around it, read to the end, ended as a group."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from conda_store_hub.core.protocol import BuildEvent, BuildRequest, build_event

BUILDER = (sys.executable, "-P", "-m", "conda_store_hub.builder")

# All that a builder may know of the service's surroundings: no Hub token, no database address.
_PASSED_ON = (
    "ALL_PROXY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "LANG",
    "LC_ALL",
    "NO_PROXY",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TZ",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
_LONGEST_EVENT = 1 << 26  # the lock of 2,000 packages has about 2 MB
_TERM_SECONDS = 3.0


class BuilderProcess:
    """A running builder. `events()` and `log()` end when it does; `stop()` ends it and what it started."""

    def __init__(
        self, process: asyncio.subprocess.Process, events: asyncio.StreamReader, pipe: asyncio.ReadTransport
    ) -> None:
        self._process = process
        self._events = events
        self._pipe = pipe

    @classmethod
    async def start(cls, request: BuildRequest, home: Path, command: Sequence[str] = BUILDER) -> BuilderProcess:
        """Start a builder with `home` as its directory and home, and hand it the request."""
        read_end, write_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                "--parent",
                str(os.getpid()),
                "--events-fd",
                str(write_end),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(write_end,),
                cwd=home,
                env=_environment(home),
                start_new_session=True,
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        events = asyncio.StreamReader(limit=_LONGEST_EVENT)
        loop = asyncio.get_running_loop()
        pipe, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(events), os.fdopen(read_end, "rb", 0)
        )
        builder = cls(process, events, pipe)
        await builder._hand_over(request)
        return builder

    async def _hand_over(self, request: BuildRequest) -> None:
        stdin = self._process.stdin
        if stdin is None:
            return
        # A builder that died at once is reported by its exit, not by the pipe it left.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            stdin.write(request.model_dump_json().encode())
            await stdin.drain()
        stdin.close()

    async def events(self) -> AsyncIterator[BuildEvent]:
        """Yield what the builder reports; a torn last line of a killed one is no event."""
        while line := await self._events.readline():
            if not line.endswith(b"\n"):
                return
            with contextlib.suppress(ValidationError):
                yield build_event.validate_json(line)

    async def log(self) -> AsyncIterator[bytes]:
        """Yield the log as valid UTF-8, never splitting a character."""
        stdout = self._process.stdout
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        while stdout is not None and (data := await stdout.read(1 << 16)):
            if text := decoder.decode(data):
                yield text.encode()
        if text := decoder.decode(b"", final=True):
            yield text.encode()

    async def wait(self) -> int:
        """Return the exit code; negative for a signal."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End the whole group: TERM, a moment, KILL."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TERM_SECONDS):
                await self._process.wait()
        self._signal(signal.SIGKILL)
        await self._process.wait()

    def close(self) -> None:
        """Let go of the pipes; what a builder left behind in its group is killed."""
        self._signal(signal.SIGKILL)
        self._pipe.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _environment(home: Path) -> dict[str, str]:
    passed = {name: value for name in _PASSED_ON if (value := os.environ.get(name))}
    return {**passed, "HOME": str(home), "TMPDIR": str(home), "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1"}
