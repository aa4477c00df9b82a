"""Who waits for how many answers at once: one person does not take up all that can be waited for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from conda_store_hub.core.errors import UnavailableError


class Waiting:
    """Counts those who wait for something, by person; knows nobody who waits for nothing."""

    def __init__(self, noun: str, *, of_one: int, of_all: int | None = None) -> None:
        """`noun`: what is waited for, as people read it; `of_one` person, and `of_all` together, at most."""
        self.noun = noun
        self.of_one = of_one
        self.of_all = of_all
        self._counts: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """How many answers are waited for."""
        return self._counts.total()

    @contextmanager
    def one_more(self, who: str) -> Generator[None]:
        """Count somebody while the block runs; raise UnavailableError in words when too many wait already."""
        if self._counts[who] >= self.of_one:
            raise UnavailableError(f"You wait for {self.of_one} {self.noun} already; ask again when one has ended.")
        if self.of_all is not None and self.total >= self.of_all:
            raise UnavailableError(f"Too many {self.noun} are under way; try again in a moment.")
        self._counts[who] += 1
        try:
            yield
        finally:
            self._counts[who] -= 1
            self._counts += Counter()  # forgets who waits for nothing
