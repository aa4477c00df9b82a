"""The steps of a build, in order: what makes the environment usable, and then its artifacts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from conda_store_hub.builder.bytecode import BytecodeStore
from conda_store_hub.builder.cache_folder import hold_caches
from conda_store_hub.builder.events import EventWriter, say
from conda_store_hub.builder.files import write_file
from conda_store_hub.builder.install import Installed, Installer
from conda_store_hub.builder.limits import Limits
from conda_store_hub.builder.piplock import FILE_NAME, find_pip_lock
from conda_store_hub.builder.prefix import list_kernels, write_variables
from conda_store_hub.builder.records import describe_records, dump_records
from conda_store_hub.builder.seal import Sealed, seal_prefix
from conda_store_hub.builder.solve import Solution, Solver, require_this_platform
from conda_store_hub.builder.words import count, format_seconds, format_size, format_table
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.errors import BuildError, InvalidRequestError
from conda_store_hub.core.protocol import (
    ArtifactEvent,
    ArtifactType,
    BuildRequest,
    LockEvent,
    Package,
    Phase,
    ResultEvent,
    UsableEvent,
)

RECORDS = "records.json"
"""The lock that counts, in the work directory."""


class Pipeline:
    """One build."""

    def __init__(self, request: BuildRequest, events: EventWriter, give_up: Callable[[BuildError], None]) -> None:
        """`give_up` ends the builder, from another thread, when the build takes more than it may."""
        self._request = request
        self._events = events
        self._limits = Limits(request, give_up)
        self._prefix = Path(request.directories.prefix)
        self._work = Path(request.directories.work)

    def run(self) -> None:
        """Do all that was asked; raise a CondaStoreHubError at the first step that fails."""
        self._limits.start()
        self._work.mkdir(parents=True, exist_ok=True)
        if self._request.solve_only or not self._request.prefix_ready:
            with hold_caches(Path(self._request.directories.packages)):
                self._solve_only() if self._request.solve_only else self._make_usable()
        if self._request.artifacts and not self._request.solve_only:
            # Heavy libraries wait until the environment is usable.
            from conda_store_hub.builder.artifacts import ArtifactWriter

            ArtifactWriter(self._request, self._events).write()
        self._events.write(ResultEvent())
        say(f"Done after {format_seconds(self._events.elapsed)}")

    def _solve_only(self) -> None:
        asyncio.run(self._solve(Solver(self._request)))

    def _make_usable(self) -> None:
        require_this_platform(self._request.platform)
        if not self._request.directories.prefix:
            raise InvalidRequestError("A build that is no dry run needs a prefix.")
        solution, installed = asyncio.run(self._solve_and_install())
        bytecode = BytecodeStore.open(
            Path(self._request.directories.bytecode), self._prefix, installed.packages, self._events
        )
        shared_bytecode = self._link_bytecode(bytecode)
        packages = tuple(each.package for each in installed.packages)
        sealed = installed.sealed
        if self._request.has_pip_part:
            packages += self._add_pip_part(installed, bytecode, find_pip_lock(self._request, reused=solution.reused))
            sealed = seal_prefix(self._prefix)
            self._limits.require_fit(sealed)
        else:
            sealed = replace(sealed, shared=sealed.shared + shared_bytecode)
        self._tell_usable(packages, sealed)

    async def _solve_and_install(self) -> tuple[Solution, Installed]:
        solver = Solver(self._request)
        solution = await self._solve(solver)
        self._limits.require_room(solution.records)
        with self._phase(Phase.INSTALL):
            installed = await Installer(self._request, self._events, solver.specs).install(solution.records)
        self._limits.require_fit(installed.sealed)
        return solution, installed

    async def _solve(self, solver: Solver) -> Solution:
        with self._phase(Phase.SOLVE):
            say(f"Channels: {', '.join(map(strip_credentials, self._request.channels))}")
            started = time.monotonic()
            solution = await solver.solve()
            took = format_seconds(time.monotonic() - started)
            say(f"{solution.how}: {count(len(solution.records), 'package')} in {took}")
            self._write_lock(solution)
        return solution

    def _write_lock(self, solution: Solution) -> None:
        path = self._work / RECORDS
        path.write_text(dump_records(solution.records), encoding="utf-8")
        packages = describe_records(solution.records)
        self._events.write(
            LockEvent(path=str(path), packages=packages, channel_state=solution.channel_state, reused=solution.reused)
        )
        for line in format_table(packages):
            say(line)

    def _link_bytecode(self, store: BytecodeStore | None) -> int:
        """Return the bytes that the bytecode shares with other prefixes."""
        with self._phase(Phase.BYTECODE):
            if store is None:
                return 0
            linked = store.link()
            say(f"Bytecode: {count(linked.compiled, 'file')} compiled, {linked.linked:,} linked")
            return linked.size

    def _add_pip_part(
        self, installed: Installed, bytecode: BytecodeStore | None, lock: str | None
    ) -> tuple[Package, ...]:
        from conda_store_hub.builder.pip_install import PipInstaller

        with self._phase(Phase.PIP):
            how = count(len(self._request.pip), "line") if lock is None else "as locked"
            say(f"Installing the pip part: {how}")
            part = PipInstaller(self._request, installed.packages).install(lock)
            written = write_file(self._work / FILE_NAME, part.lock)
            self._events.write(
                ArtifactEvent(
                    artifact=ArtifactType.PIP_LOCK, path=str(written.path), sha256=written.sha256, size=written.size
                )
            )
            if bytecode is not None:
                bytecode.compile_in_place(part.files)
            return part.packages

    def _tell_usable(self, packages: tuple[Package, ...], sealed: Sealed) -> None:
        with self._phase(Phase.ACTIVATE):
            write_variables(self._prefix, self._request.variables)
            kernels = list_kernels(self._prefix)
        self._events.write(UsableEvent(packages=packages, kernels=kernels, size=sealed.own, shared_size=sealed.shared))
        say(
            f"Usable after {format_seconds(self._events.elapsed)}: {count(len(packages), 'package')},"
            f" {format_size(sealed.own)} of its own and {format_size(sealed.shared)} shared"
        )

    @contextmanager
    def _phase(self, phase: Phase) -> Generator[None]:
        """Tell when a phase begins and, unless it fails, ends."""
        started = time.monotonic()
        self._events.start(phase)
        with self._limits.watching(phase):
            yield
        self._events.finish(phase, seconds=time.monotonic() - started)
