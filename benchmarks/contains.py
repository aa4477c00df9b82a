"""What it costs to find the environments that contain a package, among 10,000 builds of 100 packages.

Beside an empty request, as in `lists`: for a package that all have, in one build of it or in many, for one that few
have, and for one that nobody has.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks.figures import Figure, median, spread
from benchmarks.lists import EMPTY, ask_in_turn
from benchmarks.served import serving
from benchmarks.world import fill

GOAL = 10
VERSIONS = 12
#: What the world has beside its own packages: a name, how its versions begin, one of how many builds has it, in how
#: many versions.
MADE = (("everywhere", "2.", 1, 1), ("anywhere", "3.", 1, VERSIONS), ("somewhere", "1.", 400, 2))
PAGE = "api/v1/environment/?page=1&size=100&packages="
READS = {
    "environments with a package that all have": f"{PAGE}everywhere",
    f"environments with one that all have, in one of {VERSIONS} builds": f"{PAGE}anywhere>=3",
    "environments with a package that few have": f"{PAGE}somewhere>=1.0,<2",
    "environments with a package that nobody has": f"{PAGE}nowhere",
    "environments with two packages": f"{PAGE}everywhere>=2&packages=anywhere=3.*",
}
_MADE = """
INSERT INTO package
(digest, manager, name, version, build, channel, subdir, url, sha256, md5, size, installed_size, license, depends)
VALUES (:name || :version, 'conda', :name, :version, '0', '', '', '', '', '', 0, 0, '', '[]')
"""
_HELD = """
INSERT INTO build_package (build_id, name, package_id)
SELECT build.id, package.name, package.id FROM build JOIN package
ON package.name = :name AND package.version = :start || (build.id / :step % :versions) WHERE build.id % :step = 0
"""


def measure() -> Iterator[Figure]:
    """Measure single requests in turn."""
    yield from asyncio.run(_measure())


def _fill(session: Session) -> None:
    fill(session, environments=1_000, builds=10_000, packages=97)
    for name, start, step, versions in MADE:
        for version in range(versions):
            session.execute(text(_MADE), {"name": name, "version": f"{start}{version}"})
        session.execute(text(_HELD), {"name": name, "start": start, "step": step, "versions": versions})


async def _measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="b") as scratch:
        async with serving(Path(scratch), _fill) as service, service.connect() as connection:
            asked = {EMPTY: EMPTY} | READS
            taken = await ask_in_turn({name: (connection, path) for name, path in asked.items()})
    return [
        Figure(
            what=name,
            value=median(taken[name]) / median(taken[EMPTY]),
            goal=GOAL,
            unit="empty requests",
            reference=f"{spread(taken[name], 'ms')}, the empty request {spread(taken[EMPTY], 'ms')}",
        )
        for name in READS
    ]
