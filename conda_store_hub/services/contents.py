"""What builds contain: which have a package that somebody searches for, and what needs the packages of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy.orm import Session

from conda_store_hub.core import packages, reasons, schemas
from conda_store_hub.core.packages import PackageRange
from conda_store_hub.core.reasons import Key, Needing
from conda_store_hub.db import contents
from conda_store_hub.db.contents import NamedRow


@dataclass(frozen=True)
class Wanted:
    """What is searched for: for each range that somebody gave, the packages there are in it."""

    lots: tuple[tuple[NamedRow, ...], ...] = ()

    @cached_property
    def shown(self) -> dict[int, schemas.MatchingPackage]:
        """The packages by number, as they are shown."""
        return {row.id: _show(row) for lot in self.lots for row in lot}

    @property
    def is_nowhere(self) -> bool:
        """Whether no build can have all of it, because of one range there is no package at all."""
        return not all(self.lots)


def find_needing(session: Session, build_id: int) -> dict[Key, Needing]:
    """Return which packages of a build need each of them."""
    return reasons.find_needing(contents.list_needs(session, build_id))


def find_wanted(session: Session, texts: Sequence[str]) -> Wanted:
    """Return the packages that are meant; raise InvalidRequestError in words for what is no name with versions."""
    if not texts:
        return Wanted()
    ranges = [packages.read_range(text) for text in dict.fromkeys(texts)]
    rows = contents.list_named(session, [name for one in ranges for name in (one.name, one.pip_name)])
    return Wanted(tuple(_pick(one, rows) for one in ranges))


def _pick(wanted: PackageRange, rows: list[NamedRow]) -> tuple[NamedRow, ...]:
    return tuple(row for row in rows if wanted.covers(row.manager, row.name, row.version))


def show_matching(wanted: Wanted, package_ids: Sequence[int]) -> list[schemas.MatchingPackage] | None:
    """Return the packages that something in a list has of what is searched for; None if nothing is."""
    return [wanted.shown[number] for number in package_ids] or None


def _show(row: NamedRow) -> schemas.MatchingPackage:
    manager = "pip" if row.manager == "pip" else "conda"
    return schemas.MatchingPackage(manager=manager, name=row.name, version=row.version, build=row.build)
