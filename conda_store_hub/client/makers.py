"""The process that makes one environment: started before it is told which one, so as to be ready by then.

What it is told comes over a socket, with the locks that it has to hold while it works; the end of that is its own. One
that is ended before it was told anything has done nothing.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self, cast

from conda_store_hub.client.variables import drop_secrets, make_absolute
from conda_store_hub.core.errors import LocalEnvironmentError

if TYPE_CHECKING:
    from conda_store_hub.client.making import MakeFailure, MakeRequest, MakeResult, OnProgress

_LOOK_SECONDS = 0.1


class MakerProcess:
    """A process for one environment, which ends with this one."""

    def __init__(self, ca_file: Path | None = None) -> None:
        """Start it; raise LocalEnvironmentError where that cannot be. It trusts what is in `ca_file`, too."""
        # An archive brings a program along that is run.
        variables = make_absolute(drop_secrets(os.environ))
        with ExitStack() as stack:
            self._log = stack.enter_context(TemporaryFile())
            self._socket, theirs = socket.socketpair()
            stack.enter_context(self._socket)
            inherited: list[IO[bytes]] = []
            if ca_file is not None:
                from conda_store_hub.client.trust import add_authorities  # OpenSSL takes a while

                inherited.append(stack.enter_context(add_authorities(variables, ca_file)))
            with theirs:
                self._process = _start(variables, theirs, self._log, inherited)
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        """Use as a context manager: it is ended at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.end()

    def end(self) -> None:
        """End it, wherever it is, and wait for that; a second time does nothing."""
        self._process.kill()
        self._process.wait()
        cast("IO[bytes]", self._process.stdout).close()
        self._open.close()

    def make(
        self,
        request: MakeRequest,
        *,
        locks: Sequence[int],
        on_progress: OnProgress,
        check: Callable[[], object],
    ) -> MakeResult | MakeFailure:
        """Have an environment made, with locks held for as long as the process is there, even if this one is not.

        `check` is called while this waits, and may raise. Raises LocalEnvironmentError where the process ends before.
        """
        from pydantic import ValidationError

        from conda_store_hub.client.making import Progress, make_event

        self._tell(request.model_dump_json().encode() + b"\n", locks)
        for line in _read_lines(cast("IO[bytes]", self._process.stdout), check):
            try:
                event = make_event.validate_json(line)
            except ValidationError:
                continue  # some library printed it
            if not isinstance(event, Progress):
                return event
            on_progress(event)
        raise self._explain_end()

    def _tell(self, line: bytes, locks: Sequence[int]) -> None:
        """Send a request; the socket is left open."""
        try:
            sent = socket.send_fds(self._socket, [line], locks)
            self._socket.sendall(line[sent:])
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has ended, and what it wrote tells why

    def _explain_end(self) -> LocalEnvironmentError:
        self._process.wait()
        self._log.seek(0)
        is_killed = self._process.returncode == -signal.SIGKILL  # which the kernel does where memory runs out
        how = "was killed: is there too little memory?" if is_killed else f"ended ({self._process.returncode})."
        return LocalEnvironmentError(
            f"The process that makes it {how}", detail=self._log.read().decode("utf-8", "replace")[-4000:]
        )


def _start(
    variables: Mapping[str, str], source: socket.socket, log: IO[bytes], inherited: Sequence[IO[bytes]]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "conda_store_hub.client.maker"],
            stdin=source.fileno(),
            stdout=subprocess.PIPE,
            stderr=log,
            # Which folder is its own is not known yet, and it holds none that somebody wants to unmount.
            cwd="/",
            env=variables,
            pass_fds=[each.fileno() for each in inherited],
            # A Ctrl-C in a terminal is for who waits here, and ends both.
            start_new_session=True,
        )
    except OSError as exc:
        raise LocalEnvironmentError(f"{sys.executable} cannot be run: {exc.strerror}.") from exc


def _read_lines(stream: IO[bytes], check: Callable[[], object]) -> Iterator[bytes]:
    """Yield the lines of a pipe until it ends; `check` is called now and then, and may raise."""
    rest = b""
    while True:
        check()
        if not select.select([stream], [], [], _LOOK_SECONDS)[0]:
            continue
        piece = os.read(stream.fileno(), 1 << 16)
        if not piece:
            return
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
