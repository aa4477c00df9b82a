"""The parts of the process that searches channels."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from conda_store_hub.builder import channel_index
from conda_store_hub.builder import finder as finder_module
from conda_store_hub.builder.finder import Finder
from conda_store_hub.core.search import (
    FindDeparted,
    FindNames,
    FoundNames,
    Paging,
    PinnedPackage,
    Place,
    SearcherSetup,
)
from conda_store_hub.demo.channel import index, make_package, serve_channel

NAMES = ("one", "two", "three", "four")


@pytest.fixture
def main(tmp_path: Path) -> Generator[str]:
    """A channel with four packages, all of them in `noarch`."""
    for name in NAMES:
        make_package(tmp_path / "main", name, "1.0")
    index(tmp_path / "main")
    with serve_channel(tmp_path) as address:
        yield f"{address}/main"


@pytest.fixture
def finder(tmp_path: Path) -> Finder:
    return Finder(SearcherSetup(repodata=str(tmp_path / "cache")))


@pytest.fixture
def cleared(finder: Finder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The channels of which the engine forgot what it had read, in order."""
    clear, found = finder._gateway.clear_repodata_cache, list[str]()

    def note(channel: str, *args: Any, **named: Any) -> None:
        found.append(channel)
        clear(channel, *args, **named)

    monkeypatch.setattr(finder._gateway, "clear_repodata_cache", note)
    return found


def on_page(channel: str, page: int, size: int = 1) -> FindNames:
    place = Place(channels=(channel,), platforms=("linux-64",))
    return FindNames(place=place, paging=Paging(page=page, size=size))


def test_what_the_engine_keeps_of_a_channel_has_an_end(
    main: str, finder: Finder, cleared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_index, "_MOST_RECORDS", 2)

    async def search() -> list[str | None]:
        answers = [await finder.find_names(on_page(main, page)) for page in (1, 2, 3, 4, 1)]
        return [each.name for answer in answers for each in answer.found if each.version == "1.0"]

    assert asyncio.run(search()) == ["four", "one", "three", "two", "four"]
    assert len(cleared) == 4  # twice before it is read for the first time, and after every second record


def test_what_is_asked_of_a_build_takes_no_place_of_what_is_searched(
    main: str, finder: Finder, cleared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_index, "_MOST_RECORDS", 2)
    monkeypatch.setattr(channel_index, "_LOT", 1)
    packages = [
        PinnedPackage(name=name, channel=main, subdir="noarch", file=f"{name}-1.0-0.conda") for name in (*NAMES, "five")
    ]
    departed = FindDeparted(packages=tuple(packages))

    async def search() -> list[str]:
        found = await finder.find_names(on_page(main, 1))
        forgotten = len(cleared)
        answer = await finder.find_departed(departed)
        assert [(each.package.name, each.how) for each in answer.found] == [("five", "gone")]
        assert (answer.unknown, answer.problems) == ((), ())
        found = await finder.find_names(on_page(main, 2))
        assert len(cleared) == forgotten
        return [each.name for each in found.found]

    assert asyncio.run(search()) == ["one"]
    assert len(finder._indexes) == 1


def test_a_channel_is_read_once_whatever_is_asked_first(main: str, finder: Finder) -> None:
    package = PinnedPackage(name="one", channel=main, subdir="noarch", file="one-1.0-0.conda")

    async def ask() -> None:
        await finder.find_departed(FindDeparted(packages=(package,)))
        await finder.find_names(on_page(main, 1))
        await finder.find_departed(FindDeparted(packages=(package,)))

    asyncio.run(ask())
    assert list(finder._indexes) == [(main, ("linux-64", "noarch"))]


def test_what_is_kept_of_all_channels_has_an_end_and_is_given_back(
    main: str, tmp_path: Path, finder: Finder, cleared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_package(tmp_path / "other", "five", "1.0")
    index(tmp_path / "other")
    other = main.replace("/main", "/other")
    monkeypatch.setattr(finder_module, "_MOST_KEPT", len(NAMES) + 1)

    async def ask(channel: str) -> list[str]:
        answer = await finder.answer(on_page(channel, 1, size=9))
        assert isinstance(answer, FoundNames)
        return [each.name for each in answer.found]

    async def search() -> None:
        assert await ask(main) == sorted(NAMES)
        under_way = [*finder._indexes.values()]  # as a question has it
        before = len(cleared)
        assert await ask(other) == ["five"]
        assert [channel for channel, _ in finder._indexes] == [other]
        assert main not in cleared[before:]
        under_way.clear()
        assert cleared[-1] == main
        assert await ask(main) == sorted(NAMES)

    asyncio.run(search())


@pytest.mark.parametrize("form", ["repodata.json.zst", "repodata_shards.msgpack.zst"])
def test_a_newer_form_of_an_index_that_is_broken_does_not_hide_the_oldest(main: str, tmp_path: Path, form: str) -> None:
    finder = Finder(SearcherSetup(repodata=str(tmp_path / "cache"), fresh=0, sulk=0))
    for newer in (tmp_path / "main").glob("*/repodata*.zst"):
        newer.unlink()
    broken = tmp_path / "main" / "noarch" / form
    broken.write_bytes(b"\x28\xb5\x2f\xfdrubbish")
    package = PinnedPackage(name="one", channel=main, subdir="noarch", file="one-1.0-0.conda")

    async def ask() -> list[tuple[str, str | None]]:
        answer = await finder.find_names(on_page(main, 1, size=9))
        departed = await finder.find_departed(FindDeparted(packages=(package,)))
        assert (answer.problems, departed.problems, departed.found) == ((), (), ())
        return [(each.name, each.version) for each in answer.found]

    async def search() -> None:
        assert await ask() == [(name, "1.0") for name in sorted(NAMES)]
        make_package(tmp_path / "main", "five", "1.0")
        index(tmp_path / "main")
        assert ("five", "1.0") in await ask()

    asyncio.run(search())
