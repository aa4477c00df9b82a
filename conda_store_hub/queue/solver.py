"""Dry runs in builder processes: few at once, the same one once, the last ones remembered for a minute."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from conda_store_hub.core.errors import BuilderDiedError, BuildTimedOutError, CondaStoreHubError, UnavailableError
from conda_store_hub.core.names import DataDirectory, new_prefix_name
from conda_store_hub.core.protocol import BuildRequest, ErrorEvent, LockEvent, ResultEvent
from conda_store_hub.core.waiting import Waiting
from conda_store_hub.db.session import Database
from conda_store_hub.queue.builders import Builders
from conda_store_hub.queue.failures import explain_death, rebuild_error
from conda_store_hub.queue.process import BuilderProcess
from conda_store_hub.queue.requests import add_reusable_lock, make_solve_request
from conda_store_hub.services.processes import ProcessState
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.services.solves import Solved
from conda_store_hub.services.specifications import Plan
from conda_store_hub.services.work import find_reusable_lock
from conda_store_hub.storage import prefixes
from conda_store_hub.storage.base import ArtifactStore

_MOST_AT_ONCE = 50  # that are different: who asks for the same waits with the others
_MOST_OF_ONE = 8  # that one person waits for at once
_MOST_REMEMBERED = 32
_REMEMBERED_SECONDS = 60.0


class _Question(NamedTuple):
    """What is solved for, and what that may take: whoever asks for the same gets the same answer."""

    answer_key: str
    fresh: bool


@dataclass(kw_only=True)
class _Running:
    """A solve that is under way, and how many wait for it: it ends with the last of them."""

    task: asyncio.Task[Solved]
    turn: asyncio.Event
    """Set once its turn has come."""
    waiting: int = 0


class ProcessSolver:
    """Solves plans, each in a builder of its own; `slots` at once."""

    def __init__(
        self,
        *,
        db: Database,
        store: ArtifactStore,
        data: DataDirectory,
        slots: int,
        builders: Builders,
    ) -> None:
        self._db = db
        self._store = store
        self._data = data
        self._builders = builders
        self._slots = asyncio.Semaphore(slots)
        self._running: dict[_Question, _Running] = {}
        self._waiting = Waiting("solves", of_one=_MOST_OF_ONE)
        self._tasks: set[asyncio.Task[Solved]] = set()
        self._fault = ""
        self._remembered: OrderedDict[str, tuple[float, Solved]] = OrderedDict()

    async def solve(self, plan: Plan, rules: BuildRules, *, fresh: bool, who: str) -> Solved:
        """Return the packages of a plan; raise as a build would fail, or UnavailableError when too many wait."""
        lock_key = plan.lock_key()
        if not fresh and (known := self._recall(lock_key)):
            return known
        with self._waiting.one_more(who):
            solved = await self._wait_for(_ask(plan, rules, fresh=fresh), plan, rules)
        self._remember(lock_key, solved)
        return solved

    async def _wait_for(self, question: _Question, plan: Plan, rules: BuildRules) -> Solved:
        running = self._join(question, plan, rules)
        running.waiting += 1
        try:
            return await asyncio.shield(running.task)
        finally:
            running.waiting -= 1
            if not running.waiting:
                self._leave(question, running)

    def find_place(self, plan: Plan, rules: BuildRules) -> int:
        """Return at which place a solve that is under way waits for its turn; 0 where its turn has come."""
        waiting = [question for question, running in self._running.items() if not running.turn.is_set()]
        question = _ask(plan, rules, fresh=False)
        return 1 + waiting.index(question) if question in waiting else 0

    async def stop(self) -> None:
        """End what is under way, and wait for what ends already."""
        for task in self._tasks:
            if not task.cancelling():
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def describe(self) -> ProcessState:
        """Say how it stands."""
        return ProcessState(running=len(self._running), waiting=self._waiting.total, fault=self._fault)

    def _join(self, question: _Question, plan: Plan, rules: BuildRules) -> _Running:
        """Return the solve of this that is under way, or begin it."""
        if question not in self._running:
            if len(self._running) >= _MOST_AT_ONCE:
                raise UnavailableError("Too many specifications are being solved for; try again in a moment.")
            turn = asyncio.Event()
            work = asyncio.create_task(self._solve(plan, rules, turn, fresh=question.fresh), name="solve")
            self._tasks.add(work)
            work.add_done_callback(self._tasks.discard)
            self._running[question] = _Running(task=work, turn=turn)
        return self._running[question]

    def _leave(self, question: _Question, running: _Running) -> None:
        """End a solve that nobody waits for; who asks from now on begins another."""
        if self._running.get(question) is running:
            del self._running[question]
        running.task.cancel()

    def _recall(self, key: str) -> Solved | None:
        at, solved = self._remembered.get(key, (0.0, None))
        young = solved is not None and time.monotonic() - at < _REMEMBERED_SECONDS
        return replace(solved, reused=True, seconds=0.0) if solved is not None and young else None

    def _remember(self, key: str, solved: Solved) -> None:
        self._remembered[key] = (time.monotonic(), solved)
        self._remembered.move_to_end(key)
        while len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)

    async def _solve(self, plan: Plan, rules: BuildRules, turn: asyncio.Event, *, fresh: bool) -> Solved:
        async with self._slots:
            turn.set()
            started = time.monotonic()
            home = self._data.work / f"solve-{new_prefix_name()}"
            await asyncio.to_thread(home.mkdir, mode=0o700)
            try:
                request = await self._request(plan, rules, home, fresh=fresh)
                lock = await self._run(request, home, rules.values.build_seconds)
            finally:
                await asyncio.shield(asyncio.to_thread(prefixes.remove_tree, home))
            seconds = time.monotonic() - started
            await self._builders.make_ready()
            return Solved(packages=lock.packages, reused=lock.reused, seconds=seconds)

    async def _request(self, plan: Plan, rules: BuildRules, home: Path, *, fresh: bool) -> BuildRequest:
        request = make_solve_request(plan, rules, data=self._data, home=home)
        lock = None if fresh or plan.locked else await self._db.read(find_reusable_lock, plan.lock_key())
        return request if lock is None else await add_reusable_lock(request, lock, store=self._store, home=home)

    async def _run(self, request: BuildRequest, home: Path, seconds: int) -> LockEvent:
        builder = await self._builders.start(request, home)
        try:
            async with asyncio.timeout(seconds):
                lock = await self._read(builder)
                self._fault = ""
                return lock
        except BuilderDiedError as exc:
            self._fault = exc.message
            raise
        except TimeoutError as exc:
            raise BuildTimedOutError(f"The solve took longer than {seconds} s.") from exc
        finally:
            await asyncio.shield(builder.stop())
            builder.close()

    async def _read(self, builder: BuilderProcess) -> LockEvent:
        """Return the lock once the builder says that all is done; its log goes nowhere."""
        draining = asyncio.create_task(_drain(builder))
        lock: LockEvent | None = None
        error: CondaStoreHubError | None = None
        try:
            async for event in builder.events():
                match event:
                    case LockEvent():
                        lock = event
                    case ErrorEvent():
                        error = rebuild_error(event)
                    case ResultEvent() if lock is not None:
                        return lock
                    case _:
                        pass
            raise error or explain_death(await builder.wait())
        finally:
            draining.cancel()


def _ask(plan: Plan, rules: BuildRules, *, fresh: bool) -> _Question:
    return _Question(plan.answer_key(rules), fresh)


async def _drain(builder: BuilderProcess) -> None:
    async for _ in builder.log():
        pass
