"""Texts on their way in: a large one holds up none but other large ones."""

from __future__ import annotations

import asyncio

from conda_store_hub.core import schemas
from conda_store_hub.web.submission import read_submission
from tests.support import make

SMALL = schemas.SubmitSpecification(specification=make.text("small"))
LARGE = schemas.SubmitSpecification(specification=make.text("large") + "#" * 100_000)


def test_large_texts_are_read_one_at_a_time_and_small_ones_do_not_wait() -> None:
    async def read_both() -> tuple[str, bool, str]:
        reading = asyncio.Lock()
        async with reading:
            waiting = asyncio.create_task(read_submission(LARGE, "linux-64", reading))
            small = await read_submission(SMALL, "linux-64", reading)
            done = waiting.done()
        return small.name, done, (await waiting).name

    assert asyncio.run(read_both()) == ("small", False, "large")
