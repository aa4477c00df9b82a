"""Places: how many builders work at once. One that only waits for a machine elsewhere leaves its place to others."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto


class _Use(Enum):
    WORKS = auto()
    WAITS = auto()
    WAITS_AS_ALL_WOULD = auto()


class Places:
    """All of them. `changed` is called when one gets free, or may be needed for something else."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._uses: dict[Place, _Use] = {}
        self._changed = changed

    def take(self) -> Place:
        """Return one more."""
        place = Place(self)
        self._uses[place] = _Use.WORKS
        return place

    @property
    def taken(self) -> int:
        """How many builders work."""
        return sum(use is _Use.WORKS for use in self._uses.values())

    @property
    def may_make_images(self) -> bool:
        """Whether a builder of an image would not have to wait for what another one waits for already."""
        return _Use.WAITS_AS_ALL_WOULD not in self._uses.values()

    def note(self, place: Place, use: _Use | None) -> None:
        """Note what becomes of a place; None: nobody has it any more."""
        if use is None:
            self._uses.pop(place, None)
        else:
            self._uses[place] = use
        self._changed()


class Place:
    """That of one builder."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def leave(self, *, as_all_would: bool) -> None:
        """Let others work meanwhile; `as_all_would`: whoever makes an image now would have to wait too."""
        self._places.note(self, _Use.WAITS_AS_ALL_WOULD if as_all_would else _Use.WAITS)

    def come_back(self) -> None:
        """Work on, also where others have begun: the next one begins when there is room again."""
        self._places.note(self, _Use.WORKS)

    def give_up(self) -> None:
        """Need it no more."""
        self._places.note(self, None)
