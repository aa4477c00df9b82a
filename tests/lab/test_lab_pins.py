"""Builds that notebooks are pinned to: shown, kept over a restart, and no more than there is use for."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from conda_store_hub.core.schemas import KernelView
from conda_store_hub.lab.kernels import KernelCatalog, KernelChange
from conda_store_hub.lab.pins import MAX_PINS, Pins
from conda_store_hub.lab.poller import KernelFile
from conda_store_hub.lab.specs import make_spec
from tests.support.service_twin import make_kernel

ML = "csh.alice.ml.python3"


def view(build_id: int) -> KernelView:
    return KernelView.model_validate(make_kernel("/nowhere/p", build_id=build_id))


class Server:
    """What a Jupyter server has of it; another one on the same file is the same server, started again."""

    def __init__(self, path: Path) -> None:
        self.catalog = KernelCatalog()
        self.catalog.replace([make_spec(view(100))])
        self.told: list[KernelChange] = []
        self.pins = Pins(
            catalog=self.catalog, file=KernelFile(path), log=logging.getLogger("t"), on_change=self.told.append
        )
        asyncio.run(self.pins.restore())

    @property
    def shown(self) -> set[str]:
        return set(self.catalog.shown) - {ML}


def test_a_pinned_build_is_shown_beside_the_active_one_from_then_on(tmp_path: Path) -> None:
    server = Server(tmp_path / "pins.json")
    asyncio.run(server.pins.keep(view(3)))
    asyncio.run(server.pins.keep(view(3)))
    assert server.shown == {f"{ML}.b3"}
    assert server.told == [KernelChange(added=(f"{ML}.b3",))]
    server.catalog.replace([make_spec(view(101))])
    assert server.shown == {f"{ML}.b3"}
    again = Server(tmp_path / "pins.json")
    assert again.shown == {f"{ML}.b3"}
    found = again.catalog.find(f"{ML}.b3")
    assert found is not None
    assert (found.build_id, again.catalog.find_active(f"{ML}.b3")) == (3, again.catalog.listed[ML])


def test_one_that_is_gone_is_shown_no_longer(tmp_path: Path) -> None:
    server = Server(tmp_path / "pins.json")
    asyncio.run(server.pins.keep(view(3)))
    asyncio.run(server.pins.drop(f"{ML}.b3"))
    asyncio.run(server.pins.drop("python3"))
    assert server.shown == Server(tmp_path / "pins.json").shown == set()
    assert server.told[-1] == KernelChange(removed=(f"{ML}.b3",))


def test_those_that_were_started_least_lately_go(tmp_path: Path) -> None:
    server = Server(tmp_path / "pins.json")
    for build_id in (*range(1, MAX_PINS + 1), 1, MAX_PINS + 1):
        asyncio.run(server.pins.keep(view(build_id)))
    assert server.shown == {f"{ML}.b{number}" for number in range(1, MAX_PINS + 2) if number != 2}


def test_a_file_that_cannot_be_read_or_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "pins.json").write_text("{")
    server = Server(tmp_path / "pins.json")
    assert server.shown == set()
    lost = Server(tmp_path / "nowhere" / "pins.json")
    asyncio.run(lost.pins.keep(view(3)))
    assert lost.shown == {f"{ML}.b3"}
