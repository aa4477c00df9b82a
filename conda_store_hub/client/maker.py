"""Makes one environment: a program, `python -m conda_store_hub.client.maker`, that `makers.py` starts.

A process of its own, because only the end of a process stops what the engine has begun, and because one that has used
the engine may fail on its way out. Its standard input is a socket, over which a `MakeRequest` comes as a line of JSON,
with the locks that it holds; it writes each `MakeEvent` as a line. It ends at once when its input does: with whoever
started it. That may be before it was asked for anything.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import traceback

from conda_store_hub.client.making import MakeEvent, MakeFailure, MakeRequest, MakeResult
from conda_store_hub.client.prefix import make_prefix
from conda_store_hub.client.sparing import spare_httpx_command
from conda_store_hub.core import disk
from conda_store_hub.core.errors import BuildDiskFullError, CondaStoreHubError, LocalEnvironmentError

_LOCKS = 2  # of the environment, and of the packages
_PIECE = 1 << 16
_writing = threading.Lock()


def main() -> int:
    """Make what the first line of standard input asks for."""
    spare_httpx_command()
    os.umask(os.umask(0o022) | 0o022)  # an open one would let others change what is made here
    source = socket.socket(fileno=0)
    line = _read_line(source)
    if not line:
        return 0  # nothing has to be made after all
    request = MakeRequest.model_validate_json(line)
    threading.Thread(target=_end_with, args=(source,), daemon=True).start()
    try:
        _tell(MakeResult(size=make_prefix(request, _tell)))
    except BaseException as exc:  # noqa: BLE001 the edge of the program; a panic of the engine is no Exception
        known = _explain(exc)
        _tell(MakeFailure(code=known.code, message=known.public_message, detail=known.detail or ""))
        return 1
    return 0


def _read_line(source: socket.socket) -> bytes:
    """Return the request; the locks that come with it stay open until this process ends, and so they are held."""
    line, _, _, _ = socket.recv_fds(source, _PIECE, _LOCKS)
    while line and not line.endswith(b"\n"):
        piece = source.recv(_PIECE)
        line = line + piece if piece else b""
    return line


def _end_with(source: socket.socket) -> None:
    while source.recv(1):
        pass
    os._exit(1)


def _tell(event: MakeEvent) -> None:
    # The engine calls from several threads.
    with _writing:
        sys.stdout.write(event.model_dump_json() + "\n")
        sys.stdout.flush()


def _explain(exc: BaseException) -> CondaStoreHubError:
    if disk.is_full(exc):
        return BuildDiskFullError(detail=str(exc))
    if isinstance(exc, CondaStoreHubError):
        return exc
    why = exc.strerror if isinstance(exc, OSError) else exc
    return LocalEnvironmentError(
        f"The environment could not be made on this machine: {why}.", detail="".join(traceback.format_exception(exc))
    )


if __name__ == "__main__":
    code = main()
    # Not by `sys.exit`: threads of the engine may still run, and fail at that.
    os._exit(code)
