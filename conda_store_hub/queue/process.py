"""One builder process: started with little around it, read to the end, ended as a group."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import fcntl
import os
import signal
import sys
import termios
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from conda_store_hub.core.protocol import BuildEvent, BuildRequest, build_event

BUILDER = (sys.executable, "-P", "-m", "conda_store_hub.builder")
SEARCHER = (sys.executable, "-P", "-m", "conda_store_hub.builder.search")

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
_LOG_PIECE = 1 << 16
_TERM_SECONDS = 3.0
_LOOK_SECONDS = 0.02


class _Pipe:
    """What a builder writes into, read here.

    Not made by asyncio: to that, a process goes on for as long as anything that it left behind holds its pipes.
    """

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.ReadTransport) -> None:
        self.reader = reader
        self._transport = transport

    @classmethod
    async def open(cls, limit: int) -> tuple[_Pipe, int]:
        """Make one; return it and the descriptor to write to."""
        read_end, write_end = os.pipe()
        reader = asyncio.StreamReader(limit=limit)
        try:  # what is cancelled here closes its own end
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
            )
        except BaseException:
            os.close(write_end)
            raise
        return cls(reader, transport), write_end

    def has_more(self) -> bool:
        """Tell whether something was written that has not arrived at the reader."""
        if self._transport.is_closing():
            return False
        waiting = fcntl.ioctl(self._transport.get_extra_info("pipe"), termios.FIONREAD, bytes(4))
        return any(waiting)

    def close(self) -> None:
        """Take no more; what has arrived can be read to the end."""
        self._transport.close()


class BuilderProcess:
    """A running builder. `events()` and `log()` end when it does; `stop()` ends it and what it started."""

    def __init__(self, process: asyncio.subprocess.Process, events: _Pipe, log: _Pipe) -> None:
        self._process = process
        self._events = events
        self._log = log

    @classmethod
    async def start(cls, home: Path, command: Sequence[str] = BUILDER) -> BuilderProcess:
        """Start a builder with `home` as its directory and home; it loads what it needs, and waits for its request."""
        events, events_end = await _Pipe.open(_LONGEST_EVENT)
        try:
            log, log_end = await _Pipe.open(_LOG_PIECE)
        except BaseException:
            events.close()
            os.close(events_end)
            raise
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                "--parent",
                str(os.getpid()),
                "--events-fd",
                str(events_end),
                stdin=asyncio.subprocess.PIPE,
                stdout=log_end,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(events_end,),
                cwd=home,
                env=_environment(home),
                start_new_session=True,
            )
        except BaseException:
            events.close()
            log.close()
            raise
        finally:
            os.close(events_end)
            os.close(log_end)
        return cls(process, events, log)

    def is_alive(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.returncode is None

    async def hand_over(self, request: BuildRequest) -> None:
        """Give it what it has to do."""
        stdin = self._process.stdin
        if stdin is None:
            return
        # A builder that died at once is reported by its exit, not by the pipe it left.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            stdin.write(request.model_dump_json().encode())
            await stdin.drain()
        stdin.close()

    async def say(self, line: bytes) -> None:
        """Send it one line, with more to come; raise OSError when it takes no more."""
        stdin = self._process.stdin
        if stdin is None:
            return
        stdin.write(line + b"\n")
        await stdin.drain()

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the whole lines that it reports; the torn last one of a killed process is none."""
        while (line := await self._events.reader.readline()).endswith(b"\n"):
            yield line

    async def events(self) -> AsyncIterator[BuildEvent]:
        """Yield what the builder reports."""
        async for line in self.lines():
            with contextlib.suppress(ValidationError):
                yield build_event.validate_json(line)

    async def log(self) -> AsyncIterator[bytes]:
        """Yield the log as valid UTF-8, never splitting a character."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        while data := await self._log.reader.read(_LOG_PIECE):
            if text := decoder.decode(data):
                yield text.encode()
        if text := decoder.decode(b"", final=True):
            yield text.encode()

    async def wait(self) -> int:
        """Return the exit code; negative for a signal."""
        return await self._process.wait()

    async def reap(self) -> None:
        """Wait for its end, and kill what it left behind in its group; then what it wrote can be read to the end.

        Something that left the group may hold the pipes for ever: nothing of that is waited for.
        """
        await self._process.wait()
        self._signal(signal.SIGKILL)
        for pipe in (self._events, self._log):
            while pipe.has_more():  # noqa: ASYNC110 - nobody is told when a pipe is empty
                await asyncio.sleep(_LOOK_SECONDS)
            pipe.close()

    async def end(self) -> None:
        """Let it end by itself within a moment, or end it: nothing can come of one that reports no more."""
        await self._give_a_moment()
        await self.stop()

    async def stop(self) -> None:
        """End the whole group: TERM, a moment, KILL."""
        self._signal(signal.SIGTERM)
        await self._give_a_moment()
        self._signal(signal.SIGKILL)
        await self._process.wait()

    async def _give_a_moment(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TERM_SECONDS):
                await self._process.wait()

    def close(self) -> None:
        """Let go of the pipes; what a builder left behind in its group is killed."""
        self._signal(signal.SIGKILL)
        self._events.close()
        self._log.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _environment(home: Path) -> dict[str, str]:
    passed = {name: value for name in _PASSED_ON if (value := os.environ.get(name))}
    return {**passed, "HOME": str(home), "TMPDIR": str(home), "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1"}
