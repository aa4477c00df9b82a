"""One build from claim to end: the builder's events become rows, its files artifacts, its prefix the active one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from conda_store_hub.core import errors, source
from conda_store_hub.core.errors import (
    BuildError,
    BuildLostError,
    BuildTimedOutError,
    CondaStoreHubError,
    DamagedError,
    NotFoundError,
    StorageError,
    UnavailableError,
)
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import (
    ArtifactEvent,
    ArtifactType,
    AsideEvent,
    BlobEvent,
    BuildEvent,
    BuildRequest,
    BuildStatus,
    ErrorEvent,
    LockEvent,
    PhaseEvent,
    ProgressEvent,
    ResultEvent,
    UsableEvent,
)
from conda_store_hub.core.reasons import Wanted
from conda_store_hub.db.session import Database
from conda_store_hub.queue.builders import Builders
from conda_store_hub.queue.failures import explain_death, rebuild_error
from conda_store_hub.queue.links import Links
from conda_store_hub.queue.places import Place
from conda_store_hub.queue.process import BuilderProcess
from conda_store_hub.queue.requests import (
    add_exact_lock,
    add_reusable_lock,
    bring_layers,
    leave_out_lost_layers,
    make_build_request,
)
from conda_store_hub.services import hook, recovery, specifications, work
from conda_store_hub.services.changes import wait
from conda_store_hub.services.metrics import Metrics
from conda_store_hub.services.rules import BuildRules, Proposal
from conda_store_hub.services.specifications import Plan
from conda_store_hub.services.work import Claim, Solve, StoredLock, Usable
from conda_store_hub.storage import prefixes
from conda_store_hub.storage.base import ArtifactStore, artifact_key

R = TypeVar("R")

HEARTBEAT_SECONDS = 1.0
_FLUSH_SECONDS = 0.1  # what a reader of the live log waits at most, before the network
_LONGEST_LOG = 64 << 20
_PATIENCE_SECONDS = 2.0  # between tries to write down an end that the database would not take
_NOT_NOW = (StorageError, UnavailableError)


@dataclass(kw_only=True)
class _Progress:
    """What the builder said since the last tick, and what it said for good."""

    place: Place
    log: bytearray = field(default_factory=bytearray)
    phases: list[PhaseEvent] = field(default_factory=lambda: list[PhaseEvent]())
    progress: ProgressEvent | None = None
    logged: int = 0
    error: CondaStoreHubError | None = None
    usable: bool = False
    done: bool = False
    cancelled: bool = False
    over: bool = False
    reusable: StoredLock | None = None
    wanted: Wanted | None = None
    blobs: set[str] = field(default_factory=set[str])
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, event: ProgressEvent | AsideEvent | ErrorEvent | ResultEvent) -> None:
        """Take in what nothing else follows from."""
        match event:
            case ProgressEvent():
                self.progress = event
            case AsideEvent(state="started"):
                self.place.leave(as_all_would=event.as_all_would)
            case AsideEvent():
                self.place.come_back()
            case ErrorEvent():
                self.error = rebuild_error(event)
            case ResultEvent():
                self.done = True


class Runner:
    """Runs claimed builds; one instance serves many at once."""

    def __init__(
        self,
        *,
        db: Database,
        store: ArtifactStore,
        data: DataDirectory,
        links: Links,
        rules: BuildRules,
        log: logging.Logger,
        builders: Builders,
        metrics: Metrics | None = None,
    ) -> None:
        self._db = db
        self._store = store
        self._data = data
        self._links = links
        self._rules = rules
        self._log = log
        self._builders = builders
        self._metrics = metrics or Metrics()

    async def run(self, claim: Claim, place: Place) -> None:
        """Do a build to its end, at a place of its own. Cancelling this task gives the build back to the queue."""
        self._log.info("build %s starts: %s, attempt %s", claim.build_id, claim.name, claim.attempt)
        if claim.waited is not None:
            self._metrics.note_start(claim.waited)
        home = self._data.work / f"{claim.build_id}-{claim.ticket.turn}"
        state = _Progress(place=place)
        try:
            await self._guard(claim, home, state)
            await self._make_room(claim, home, state)
            await self._end(claim, state)
            await self._builders.make_ready()
        except asyncio.CancelledError:
            with contextlib.suppress(BuildLostError):  # it had just ended
                await asyncio.shield(self._patiently(lambda: self._db.write(recovery.give_back, claim.ticket)))
            raise
        except BuildLostError:
            self._log.warning("build %s: another worker has it now", claim.build_id)
            await self._remove_prefix(claim)
        finally:
            await asyncio.to_thread(prefixes.remove_tree, home)

    async def _guard(self, claim: Claim, home: Path, state: _Progress) -> None:
        """Build, and turn whatever fails into the build's error."""
        try:
            await asyncio.to_thread(home.mkdir, mode=0o700, exist_ok=True)
            await self._build_with_layers(claim, home, state)
        except BuildLostError:
            raise
        except (OSError, StorageError) as exc:
            state.error = _as_build_error(exc)
        except CondaStoreHubError as exc:
            state.error = exc
        except Exception:  # noqa: BLE001 - a process edge: it logs, and the service goes on
            self._log.exception("build %s: the runner failed", claim.build_id)
            state.error = BuildError("The service failed while it ran this build; its log has the details.")

    async def _build_with_layers(self, claim: Claim, home: Path, state: _Progress) -> None:
        """Build, and once more when a layer of other images was lost meanwhile: the second time it is left out."""
        try:
            await self._build(claim, home, state)
        except (NotFoundError, DamagedError) as exc:
            if not claim.layers:
                raise
            self._log.warning("build %s: a layer was lost while it was needed: %s", claim.build_id, exc.message)
            await asyncio.to_thread(prefixes.remove_tree, home)
            await asyncio.to_thread(home.mkdir, mode=0o700)
            await self._build(claim, home, state)

    async def _build(self, claim: Claim, home: Path, state: _Progress) -> None:
        rules = self._rules.at(claim.policy)
        seconds = rules.values.build_seconds
        builder: BuilderProcess | None = None
        try:
            async with asyncio.timeout(seconds):
                request = await self._request(claim, home, rules, state)
                builder = await self._builders.start(request, home)
                await self._follow(claim, home, builder, state)
        except TimeoutError:
            state.error = BuildTimedOutError(f"The build took longer than {seconds} s.")
        finally:
            if builder is not None:
                await asyncio.shield(builder.stop())
                builder.close()
        if builder is not None and state.error is None and not state.done and not state.cancelled:
            state.error = explain_death(await builder.wait())

    async def _follow(self, claim: Claim, home: Path, builder: BuilderProcess, state: _Progress) -> None:
        state.over, state.done = False, False
        state.blobs.clear()
        ticking = asyncio.create_task(self._tick_until_stopped(claim, builder, state))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read_log(builder, state))
                group.create_task(self._read_events(claim, home, builder, state))
                group.create_task(builder.reap())
        except ExceptionGroup as group_of_errors:
            raise group_of_errors.exceptions[0] from group_of_errors
        finally:
            # Not cancelled: a tick that is being written would be written again.
            state.over = True
            state.place.come_back()
            state.news.set()
            await asyncio.shield(ticking)
        await self._tick(claim, state)

    async def _read_log(self, builder: BuilderProcess, state: _Progress) -> None:
        async for data in builder.log():
            if state.logged < _LONGEST_LOG:
                state.log += data
                state.logged += len(data)
                if state.logged >= _LONGEST_LOG:
                    state.log += b"\n[the log is cut here: it has more than 64 MB]\n"
                state.news.set()

    async def _read_events(self, claim: Claim, home: Path, builder: BuilderProcess, state: _Progress) -> None:
        async for event in builder.events():
            await self._take(claim, home, builder, event, state)
            state.news.set()
        await builder.end()

    async def _take(
        self, claim: Claim, home: Path, builder: BuilderProcess, event: BuildEvent, state: _Progress
    ) -> None:
        match event:
            case PhaseEvent():
                state.phases.append(event)
                if event.state == "finished":
                    self._metrics.note_phase(event.name, event.seconds)
            case LockEvent():
                solve = Solve(channel_state=event.channel_state, reused=state.reusable if event.reused else None)
                await self._keep(claim, home, await asyncio.to_thread(_records_artifact, event), solve)
            case UsableEvent():
                await self._activate(claim, builder, event, state)
            case ArtifactEvent():
                await self._keep(claim, home, event, blobs=state.blobs)
            case BlobEvent():
                state.blobs.add(await self._keep_blob(claim, home, event))
            case ProgressEvent() | AsideEvent() | ErrorEvent() | ResultEvent():
                state.note(event)

    async def _activate(self, claim: Claim, builder: BuilderProcess, event: UsableEvent, state: _Progress) -> None:
        state.usable = True
        outcome = await self._patiently(
            lambda: self._db.write(work.mark_usable, claim.ticket, event, self._rules, state.wanted),
            (UnavailableError,),
        )
        self._log.info("build %s is usable and %s", claim.build_id, outcome)
        if outcome is not Usable.CANCELLED:
            self._metrics.note_end(BuildStatus.COMPLETED)
        if outcome is Usable.ACTIVE:
            await self._links.follow()
        elif outcome is Usable.CANCELLED:
            state.cancelled = True
            await builder.stop()
        await self._builders.make_ready()

    async def _keep(
        self,
        claim: Claim,
        home: Path,
        event: ArtifactEvent,
        solve: Solve | None = None,
        blobs: Iterable[str] | None = None,
    ) -> None:
        """Bytes first, row second: a row never points at bytes that are not there."""
        key = "" if event.error else artifact_key(event.sha256)
        if key:
            await asyncio.to_thread(self._send_ahead, home, Path(event.path), key)
        async with self._store.changing:
            if key:
                await asyncio.to_thread(self._store.adopt, Path(event.path), key)
            await self._patiently(
                lambda: self._db.write(work.record_artifact, claim.ticket, event, key, solve, blobs),
                (UnavailableError,),
            )

    async def _keep_blob(self, claim: Claim, home: Path, event: BlobEvent) -> str:
        """Keep a blob of an image, or hold on to one that another image has; the manifest comes after all of them.

        Returns the key of its bytes.
        """
        key = artifact_key(event.digest.removeprefix("sha256:"))
        if event.path:
            await asyncio.to_thread(self._send_ahead, home, Path(event.path), key)
        async with self._store.changing:
            if event.path:
                await asyncio.to_thread(self._store.adopt, Path(event.path), key)
            else:
                await self._store.check(key, event.size)
            await self._patiently(
                lambda: self._db.write(work.record_blob, claim.ticket, event, key), (UnavailableError,)
            )
        return key

    def _send_ahead(self, home: Path, path: Path, key: str) -> None:
        """Upload without the lock that all builds share: that may take minutes."""
        if path.resolve().parent != home.resolve() or not path.is_file():
            raise BuildError(f"The builder reported an artifact outside of its directory: {path.name}.")
        self._store.send_ahead(path, key)

    async def _tick_until_stopped(self, claim: Claim, builder: BuilderProcess, state: _Progress) -> None:
        while not state.over:
            await wait(state.news, HEARTBEAT_SECONDS)
            state.news.clear()
            try:
                state.cancelled = not await self._tick(claim, state) or state.cancelled
            except Exception:
                await builder.stop()
                raise
            if state.cancelled:
                await builder.stop()
                return
            await asyncio.sleep(_FLUSH_SECONDS)

    async def _tick(self, claim: Claim, state: _Progress) -> bool:
        log, phases, progress = bytes(state.log), list(state.phases), state.progress
        try:
            go_on = await self._db.write(work.tick, claim.ticket, log=log, phases=phases, progress=progress)
        except _NOT_NOW as exc:
            self._log.warning("build %s: cannot record progress: %s", claim.build_id, exc.message)
            return True
        del state.log[: len(log)]
        del state.phases[: len(phases)]
        if state.progress is progress:
            state.progress = None
        return go_on

    async def _make_room(self, claim: Claim, home: Path, state: _Progress) -> None:
        """Remove what nobody needs before the end is written down: on a full disk, there may be no room for that."""
        try:
            await asyncio.to_thread(prefixes.remove_tree, home)
            if not state.usable:
                await self._remove_prefix(claim)
        except OSError as exc:
            self._log.warning("build %s: what it left cannot be removed: %s", claim.build_id, exc.strerror)

    async def _end(self, claim: Claim, state: _Progress) -> None:
        error = None if state.cancelled else state.error
        needed = await self._patiently(
            lambda: self._db.write(work.finish, claim.ticket, error, cancelled=state.cancelled)
        )
        if not needed:
            self._metrics.note_end(BuildStatus.CANCELED if state.cancelled else BuildStatus.FAILED)
            await self._remove_prefix(claim)
        outcome = "cancelled" if state.cancelled else error.code if error else "done"
        self._log.info("build %s ends: %s", claim.build_id, outcome)

    async def _remove_prefix(self, claim: Claim) -> None:
        """Remove what was begun; a prefix that was ready before is the environment's."""
        if not claim.prefix_ready:
            await asyncio.to_thread(prefixes.remove_prefix, self._data, claim.prefix_name)

    async def _patiently(
        self, write: Callable[[], Awaitable[R]], reasons: tuple[type[CondaStoreHubError], ...] = _NOT_NOW
    ) -> R:
        """Write down what must not be lost, for as long as the database does not take it for one of these reasons."""
        while True:
            try:
                return await write()
            except reasons as exc:
                self._log.warning("waiting for the database: %s", exc.public_message)
                await asyncio.sleep(_PATIENCE_SECONDS)

    async def _plan(self, claim: Claim, rules: BuildRules) -> Plan:
        """Hold what is to be built against the rules of now, whichever way it came and whenever."""
        proposal, plan = await asyncio.to_thread(_read_plan, claim, rules)
        if not claim.prefix_ready:
            await hook.ask_in_time(proposal, rules, self._log)
        return plan

    async def _request(self, claim: Claim, home: Path, rules: BuildRules, state: _Progress) -> BuildRequest:
        plan = await self._plan(claim, rules)
        state.wanted = plan.wanted
        request = make_build_request(claim, plan, rules, data=self._data, home=home)
        if claim.prefix_ready:
            request = await leave_out_lost_layers(request, claim.layers, self._store)
            has_archive = ArtifactType.OCI_ARCHIVE in request.artifacts
            return await bring_layers(request, self._store, home) if has_archive else request
        if claim.lock is not None:
            return await add_exact_lock(request, claim.lock, store=self._store, home=home)
        state.reusable = await self._db.write(work.note_request, claim.ticket, plan.lock_key())
        if state.reusable is None or plan.locked:
            return request
        return await add_reusable_lock(request, state.reusable, store=self._store, home=home)


def _read_plan(claim: Claim, rules: BuildRules) -> tuple[Proposal, Plan]:
    text = source.rename(claim.text, claim.name)  # the environment may have got another since
    found = source.read(text, rules.platform)
    proposal = Proposal(
        namespace=claim.namespace,
        environment=claim.name,
        text=text,
        specification=found.specification,
        who=claim.requested_by,
    )
    return proposal, specifications.make_plan(found, rules)


def _records_artifact(event: LockEvent) -> ArtifactEvent:
    data = Path(event.path).read_bytes()
    return ArtifactEvent(
        artifact=ArtifactType.RECORDS, path=event.path, sha256=hashlib.sha256(data).hexdigest(), size=len(data)
    )


def _as_build_error(exc: OSError | StorageError) -> BuildError:
    if isinstance(exc, StorageError):
        kind = errors.BuildDiskFullError if isinstance(exc, errors.StorageFullError) else BuildError
        return kind(exc.message)
    full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
    return errors.BuildDiskFullError() if full else BuildError(f"The service could not run the build: {exc.strerror}.")
