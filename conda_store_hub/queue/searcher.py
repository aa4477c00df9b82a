"""The process that reads channels: started by a question, ended after some idle minutes, replaced if it dies."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from conda_store_hub.core.errors import UnavailableError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.search import Ask, Failed, Found, Question, SearcherSetup, reply
from conda_store_hub.core.waiting import Waiting
from conda_store_hub.queue.process import SEARCHER, BuilderProcess
from conda_store_hub.services.processes import ProcessState

_IDLE_SECONDS = 300.0
_PATIENCE = 60.0  # it names channels that take long long before
_ATTEMPTS = 2
_MOST_WAITING = 100
_MOST_OF_ONE = 8  # that one person waits for at once


class _DiedError(Exception):
    """The process ended before it answered."""


@dataclass(kw_only=True)
class _Running:
    """A process, the questions that it has not answered, and what reads its answers."""

    process: BuilderProcess
    asked: dict[int, asyncio.Future[Found]] = field(default_factory=dict[int, "asyncio.Future[Found]"])
    reading: asyncio.Task[None] | None = None


class ProcessSearcher:
    """Asks a process of its own about packages; there is at most one, and none when nobody asks."""

    def __init__(
        self,
        data: DataDirectory,
        *,
        command: Sequence[str] = SEARCHER,
        setup: SearcherSetup | None = None,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._data = data
        self._command = command
        self._setup = setup or SearcherSetup(repodata=str(data.repodata))
        self._idle_seconds = idle_seconds
        self._log = logging.getLogger("conda_store_hub.search")
        self._numbers = itertools.count(1)
        self._waiting = Waiting("searches", of_one=_MOST_OF_ONE, of_all=_MOST_WAITING)
        self._running: _Running | None = None
        self._starting = asyncio.Lock()
        self._letting_go: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._fault = ""

    async def ask(self, ask: Ask, *, who: str) -> Found:
        """Answer a question; raise UnavailableError when too many wait, or when nothing comes of it."""
        try:
            with self._waiting.one_more(who):
                self._stay()
                return await self._ask(ask)
        finally:
            if not self._waiting.total:
                self._leave_later()

    async def stop(self) -> None:
        """End the process, and take no more questions."""
        self._stopped = True
        self._stay()
        self._end(self._running)
        await asyncio.gather(*self._ending)

    def describe(self) -> ProcessState:
        """Say how it stands."""
        running = 0 if self._running is None else 1
        return ProcessState(running=running, waiting=self._waiting.total, fault=self._fault)

    async def _ask(self, ask: Ask) -> Found:
        try:
            found = await self._ask_twice(ask)
        except UnavailableError as exc:
            self._fault = exc.message
            raise
        self._fault = ""
        return found

    async def _ask_twice(self, ask: Ask) -> Found:
        for _ in range(_ATTEMPTS):
            running = await self._ensure_running()
            try:
                async with asyncio.timeout(_PATIENCE):
                    found = await self._ask_process(running, ask)
            except _DiedError:
                continue
            except TimeoutError as exc:
                self._end(running)
                raise UnavailableError("The search took too long; name fewer channels, or try again.") from exc
            if not isinstance(found, Failed):
                return found
            self._log.error("a search failed: %s", found.detail)
            raise UnavailableError("The search failed; the service's log says why.")
        raise UnavailableError("The search ended before it had an answer, twice; try again in a moment.")

    async def _ask_process(self, running: _Running, ask: Ask) -> Found:
        number = next(self._numbers)
        answer: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        running.asked[number] = answer
        try:
            await running.process.say(Question(id=number, ask=ask).model_dump_json().encode())
            return await answer
        except OSError as exc:
            raise _DiedError from exc
        except asyncio.CancelledError:
            self._keep(self._call_off(running, number))
            raise
        finally:
            running.asked.pop(number, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # it may have died before it could be asked

    async def _call_off(self, running: _Running, number: int) -> None:
        with contextlib.suppress(OSError):
            await running.process.say(Question(id=number).model_dump_json().encode())

    async def _ensure_running(self) -> _Running:
        async with self._starting:
            if self._stopped:
                raise UnavailableError("The service is stopping; try again in a moment.")
            return self._running or await self._start()

    async def _start(self) -> _Running:
        try:
            process = await BuilderProcess.start(self._data.work, self._command)
        except OSError as exc:
            raise UnavailableError("The search could not be started; try again in a moment.") from exc
        running = self._running = _Running(process=process)  # before who waits for it may leave
        running.reading = asyncio.create_task(self._read(running), name="search")
        with contextlib.suppress(OSError):  # one that died at once is found out by who asks it
            await process.say(self._setup.model_dump_json().encode())
        return running

    async def _read(self, running: _Running) -> None:
        """Hand out answers until the process ends; then whoever waits is told."""
        draining = asyncio.create_task(self._drain(running.process))
        try:
            async for line in running.process.lines():
                try:
                    self._hand_out(running, line)
                except ValidationError as exc:  # who asked is told when their patience ends
                    self._log.error("a search answered what cannot be read: %s", exc)
        finally:
            draining.cancel()
            self._end(running)

    def _hand_out(self, running: _Running, line: bytes) -> None:
        answer = reply.validate_json(line)
        waiting = running.asked.get(answer.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer.found)

    async def _drain(self, process: BuilderProcess) -> None:
        async for text in process.log():
            self._log.info("%s", text.decode().rstrip())

    def _end(self, running: _Running | None) -> None:
        """Let go of a process: the next question starts another."""
        if running is None or running is not self._running:
            return
        self._running = None
        for answer in running.asked.values():
            if not answer.done():
                answer.set_exception(_DiedError())
        self._keep(_finish(running))

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _stay(self) -> None:
        if self._letting_go is not None:
            self._letting_go.cancel()

    def _leave_later(self) -> None:
        self._stay()
        self._letting_go = asyncio.get_running_loop().call_later(self._idle_seconds, self._leave)

    def _leave(self) -> None:
        if not self._waiting.total:
            self._end(self._running)


async def _finish(running: _Running) -> None:
    await running.process.stop()
    running.process.close()
    if running.reading is not None:
        await asyncio.gather(running.reading, return_exceptions=True)
