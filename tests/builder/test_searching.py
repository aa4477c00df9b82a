"""The parts of the process that searches channels."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from conda_store_hub.builder import channel_index
from conda_store_hub.builder.finder import Finder
from conda_store_hub.core.search import FindNames, Paging, Place, SearcherSetup
from conda_store_hub.demo.channel import index, make_package, serve_channel


def test_what_the_engine_keeps_of_a_channel_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_index, "_MOST_RECORDS", 2)
    for name in ("one", "two", "three", "four"):
        make_package(tmp_path / "main", name, "1.0")
    index(tmp_path / "main")
    cleared: list[Any] = []

    async def search(address: str) -> list[str | None]:
        finder = Finder(SearcherSetup(repodata=str(tmp_path / "cache")))
        clear = finder._gateway.clear_repodata_cache
        count = lambda *args, **named: (cleared.append(args), clear(*args, **named))  # noqa: E731
        monkeypatch.setattr(finder._gateway, "clear_repodata_cache", count)
        place = Place(channels=(f"{address}/main",), platforms=("linux-64",))
        found: list[str | None] = []
        for page in (1, 2, 3, 4, 1):
            answer = await finder.find_names(FindNames(place=place, paging=Paging(page=page, size=1)))
            found += [each.name for each in answer.found if each.version == "1.0"]
        return found

    with serve_channel(tmp_path) as address:
        assert asyncio.run(search(address)) == ["four", "one", "three", "two", "four"]
    assert len(cleared) == 4  # twice before it is read for the first time, and after every second record
