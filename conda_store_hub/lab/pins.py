"""Builds that notebooks are pinned to: shown in the picker, and kept, because Lab opens a notebook with no other."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable

from pydantic import ValidationError

from conda_store_hub.core.schemas import KernelList, KernelView
from conda_store_hub.lab.kernels import KernelCatalog, KernelChange
from conda_store_hub.lab.poller import KernelFile
from conda_store_hub.lab.specs import EnvironmentKernelSpec, make_pinned_spec

MAX_PINS = 50  # the one that was started least lately goes


class Pins:
    """The pinned builds of one server, by kernel name."""

    def __init__(
        self,
        *,
        catalog: KernelCatalog,
        file: KernelFile,
        log: logging.Logger,
        on_change: Callable[[KernelChange], None],
    ) -> None:
        self._catalog = catalog
        self._file = file
        self._log = log
        self._on_change = on_change
        self._views: OrderedDict[str, KernelView] = OrderedDict()

    async def restore(self) -> None:
        """Show what was pinned when the server ran last."""
        kernels = await asyncio.to_thread(self._file.find)
        for view in kernels.kernels if kernels else ():
            self._views[_name(view)] = view
        await self._show()

    async def keep(self, view: KernelView) -> None:
        """Show a build from now on."""
        known = self._views.get(_name(view)) == view
        self._views[_name(view)] = view
        self._views.move_to_end(_name(view))
        if not known:
            while len(self._views) > MAX_PINS:
                self._views.popitem(last=False)
            await self._change()

    async def drop(self, name: str) -> None:
        """Show a build no longer, by the name of its kernel."""
        if self._views.pop(name, None) is not None:
            await self._change()

    async def _change(self) -> None:
        await self._show()
        kernels = KernelList(etag="", kernels=list(self._views.values()))
        try:
            await asyncio.to_thread(self._file.write, kernels)
        except OSError as exc:
            self._log.warning("conda-store-hub: pinned builds cannot be kept: %s", exc)

    async def _show(self) -> None:
        specs = await asyncio.to_thread(_make_specs, list(self._views.values()))
        if change := self._catalog.pin(specs):
            self._on_change(change)


def _name(view: KernelView) -> str:
    return f"{view.name}.b{view.build_id}"


def _make_specs(views: list[KernelView]) -> list[EnvironmentKernelSpec]:
    specs: list[EnvironmentKernelSpec] = []
    for view in views:
        try:
            specs.append(make_pinned_spec(view))
        except ValidationError:
            continue
    return specs
