"""Makes one environment: a program, `python -m conda_store_hub.client.maker`, that `envs.py` starts.

A process of its own, because only the end of a process stops what the engine has begun, and because one that has used
the engine may fail on its way out. It reads a `MakeRequest` as a line of JSON, writes each `MakeEvent` as one, and ends
at once when its standard input does: with whoever started it.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback

from conda_store_hub.client.making import MakeEvent, MakeFailure, MakeRequest, MakeResult
from conda_store_hub.client.prefix import make_prefix
from conda_store_hub.core import disk
from conda_store_hub.core.errors import BuildDiskFullError, CondaStoreHubError, LocalEnvironmentError

_writing = threading.Lock()


def main() -> int:
    """Make what the first line of standard input asks for."""
    os.umask(os.umask(0o022) | 0o022)  # an open one would let others change what is made here
    request = MakeRequest.model_validate_json(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        _tell(MakeResult(size=make_prefix(request, _tell)))
    except BaseException as exc:  # noqa: BLE001 the edge of the program; a panic of the engine is no Exception
        known = _explain(exc)
        _tell(MakeFailure(code=known.code, message=known.public_message, detail=known.detail or ""))
        return 1
    return 0


def _end_with_input() -> None:
    while sys.stdin.read(1):
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
