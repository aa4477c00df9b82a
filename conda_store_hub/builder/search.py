"""`python -m conda_store_hub.builder.search`: a process that reads channels, asked and answering in JSON lines.

It holds what it read in memory; whoever started it ends it to have that memory back.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING

from conda_store_hub.builder import memory
from conda_store_hub.builder.leash import end_with_parent

if TYPE_CHECKING:
    from conda_store_hub.builder.finder import Finder
    from conda_store_hub.core.search import Ask

_LONGEST_LINE = 1 << 24


def main() -> None:
    """Answer the questions on standard input until it ends; answers go to `--events-fd`, the log to standard output."""
    parser = argparse.ArgumentParser(prog="python -m conda_store_hub.builder.search", description=main.__doc__)
    parser.add_argument("--events-fd", type=int, default=1, help="where answers go, as JSON lines [%(default)s]")
    parser.add_argument("--parent", type=int, metavar="PID", help="end at once if another process is the parent")
    arguments = parser.parse_args()
    end_with_parent(arguments.parent)
    memory.keep_together()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments.events_fd))
    sys.stdout.flush()
    # The engine's threads may crash an interpreter that winds down, after all was done.
    os._exit(0)


async def _serve(descriptor: int) -> None:
    # Only now: one whose parent is killed early has to notice before it has loaded the engine.
    from conda_store_hub.builder.finder import Finder
    from conda_store_hub.core.search import Question, SearcherSetup

    lines = _read_lines(await _open_input())
    finder = Finder(SearcherSetup.model_validate_json(await anext(lines)))
    answering: dict[int, asyncio.Task[None]] = {}
    async for line in lines:
        question = Question.model_validate_json(line)
        if question.ask is None:
            if (left := answering.get(question.id)) is not None:
                left.cancel()
            continue
        task = answering[question.id] = asyncio.create_task(_answer(finder, question.id, question.ask, descriptor))
        task.add_done_callback(lambda _, number=question.id: answering.pop(number))
    await asyncio.gather(*answering.values(), return_exceptions=True)


async def _answer(finder: Finder, number: int, ask: Ask, descriptor: int) -> None:
    from conda_store_hub.core.search import Failed, Reply

    try:
        found = await finder.answer(ask)
    except Exception as exc:  # noqa: BLE001 - the edge of the process: whoever asked waits for an answer
        found = Failed(detail=f"{type(exc).__name__}: {exc}")
    _write(descriptor, Reply(id=number, found=found).model_dump_json().encode() + b"\n")


def _write(descriptor: int, line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[os.write(descriptor, view) :]


async def _open_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _read_lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while line := await reader.readline():
        yield line


if __name__ == "__main__":
    main()
