"""The program around a build: its surroundings, its request, and how its end is told."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import resource
import select
import signal
import sys
import traceback
from contextlib import suppress
from typing import NoReturn, cast

from pydantic import ValidationError

from conda_store_hub.builder import STARTED
from conda_store_hub.builder.events import EventWriter, say
from conda_store_hub.core import disk
from conda_store_hub.core.errors import BuildDiskFullError, BuildError, CondaStoreHubError, InvalidRequestError
from conda_store_hub.core.protocol import BuildRequest, ErrorEvent

_NICENESS = 10


def run(arguments: argparse.Namespace) -> NoReturn:
    """Read a request from standard input, carry it out, and end with what `exit_code` of its error says."""
    _settle_in()
    events = EventWriter(_open_events(arguments), started=STARTED)
    code = 0
    try:
        _load_until_asked(events)
        _build(events, is_child=arguments.parent is not None)
    except CondaStoreHubError as exc:
        code = _fail(events, exc)
    except OSError as exc:
        traceback.print_exc()
        code = _fail(events, _translate(exc))
    except BaseException:  # noqa: BLE001 - a process edge; a panic of the engine is no Exception
        traceback.print_exc()
        code = _fail(events, BuildError("The builder failed in a way that nobody foresaw; its log says where."))
    _end(code)


def _end(code: int) -> NoReturn:
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    # The engine's threads may crash an interpreter that winds down, after all was done.
    os._exit(code)


def _settle_in() -> None:
    """Make what is written readable for users, and leave the machine to the service."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.umask(0o022)
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The engine downloads all packages at once.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for stream in (sys.stdout, sys.stderr):
        cast("io.TextIOWrapper", stream).reconfigure(encoding="utf-8", errors="replace")


def _open_events(arguments: argparse.Namespace) -> int | None:
    if arguments.events_file is not None:
        return os.open(arguments.events_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.set_inheritable(arguments.events_fd, False)
    except OSError:
        return None
    return arguments.events_fd


def _load_until_asked(events: EventWriter) -> None:
    """Load what every build needs; a builder may be started before there is a request, and then waits for it."""
    is_asked = bool(select.select([sys.stdin], [], [], 0)[0])
    importlib.import_module("conda_store_hub.builder.pipeline")
    if not is_asked:
        select.select([sys.stdin], [], [])
        events.restart()


def _build(events: EventWriter, *, is_child: bool) -> None:
    text = sys.stdin.buffer.read()
    try:
        request = BuildRequest.model_validate_json(text)
    except ValidationError as exc:
        raise InvalidRequestError("This is no build request.", detail=str(exc)) from exc
    if is_child:
        _move_in(request.directories.work)
    say(f"Building “{request.name}” for {request.platform}")
    from conda_store_hub.builder.pipeline import Pipeline

    def give_up(error: BuildError) -> NoReturn:
        _end(_fail(events, error))

    Pipeline(request, events, give_up).run()


def _move_in(home: str) -> None:
    """Make the work directory the current one and the home: when a builder is started, nobody knows for what build."""
    os.chdir(home)
    os.environ.update(HOME=home, TMPDIR=home)


def _translate(exc: OSError) -> CondaStoreHubError:
    if disk.is_full(exc):
        return BuildDiskFullError(detail=str(exc))
    return BuildError(f"The builder could not read or write: {exc.strerror}.", detail=str(exc))


def _fail(events: EventWriter, error: CondaStoreHubError) -> int:
    """Tell the error in the log and as an event; return the exit code."""
    say(f"Failed: {error.public_message}")
    for line in (error.detail or "").splitlines():
        say(f"  {line}")
    events.write_last(
        ErrorEvent(code=error.code, message=error.message, detail=error.detail, line=error.line, column=error.column)
    )
    return error.exit_code
