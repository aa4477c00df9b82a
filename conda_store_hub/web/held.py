"""Solves for the form that go on when its page is left: who comes back finds them by what they are for."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial

from conda_store_hub.core.errors import NotFoundError, UnavailableError
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.services.solves import Solved, Solver
from conda_store_hub.services.specifications import Plan

_KEPT_SECONDS = 600.0  # since it was last asked for
_MOST_OF_ONE = 8
_MOST = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A solve that goes on, or has ended with packages or with an error; whoever cancels its task ends it."""

    plan: Plan
    rules: BuildRules
    task: asyncio.Task[Solved]
    began: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> str:
        """What it is found by, together with who asked for it."""
        return self.plan.answer_key(self.rules)

    @property
    def seconds(self) -> float:
        """How long ago it was begun."""
        return time.monotonic() - self.began

    async def wait(self, seconds: float) -> bool:
        """Wait a while; return whether it has ended."""
        await asyncio.wait({self.task}, timeout=seconds)
        return self.task.done()

    def read(self) -> Solved:
        """Return what it came to; raise as it failed."""
        if self.task.cancelled():
            raise NotFoundError("This preview was cancelled.")
        return self.task.result()


class HeldSolves:
    """Who holds which; what nobody asks for any more is let go of, and ended if it goes on."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], Held] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}

    def begin(self, solver: Solver, who: str, plan: Plan, rules: BuildRules, *, anew: bool) -> Held:
        """Return the solve of this plan, which is begun where there is none; `anew`: also where it has ended."""
        key = who, plan.answer_key(rules)
        known = self._held.get(key)
        if known is None or (known.task.done() and (anew or _was_sent_away(known.task))):
            self._let_go(key)
            self._make_room(who)
            task = asyncio.create_task(solver.solve(plan, rules, fresh=False, who=who), name="preview")
            task.add_done_callback(_note)
            known = Held(plan=plan, rules=rules, task=task)
        self._keep(key, known)
        return known

    def find(self, who: str, key: str) -> Held:
        """Return what somebody holds; raise NotFoundError where that is nothing."""
        known = self._held.get((who, key))
        if known is None:
            raise NotFoundError("This preview is not known any more.")
        self._keep((who, key), known)
        return known

    def give_up(self, who: str, key: str) -> None:
        """Let go of what somebody holds, and end it if it goes on."""
        self._drop((who, key))

    def _keep(self, key: tuple[str, str], held: Held) -> None:
        """Hold it for a while from now on, as the newest."""
        self._let_go(key)
        self._held[key] = held
        self._timers[key] = asyncio.get_running_loop().call_later(_KEPT_SECONDS, partial(self._drop, key))

    def _make_room(self, who: str) -> None:
        """End the oldest of many, before one more is begun: it is no longer waited for by then."""
        mine = [key for key in self._held if key[0] == who]
        while len(mine) >= _MOST_OF_ONE:
            self._drop(mine.pop(0))
        while len(self._held) >= _MOST:
            self._drop(next(iter(self._held)))

    def _drop(self, key: tuple[str, str]) -> None:
        held = self._let_go(key)
        if held is not None:
            held.task.cancel()

    def _let_go(self, key: tuple[str, str]) -> Held | None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        return self._held.pop(key, None)


def _was_sent_away(task: asyncio.Task[Solved]) -> bool:
    """Tell whether too many waited: that is not so any more, and nothing was tried."""
    return not task.cancelled() and isinstance(task.exception(), UnavailableError)


def _note(task: asyncio.Task[Solved]) -> None:
    """Have seen how it failed: nobody may come back to be told."""
    if not task.cancelled():
        task.exception()
