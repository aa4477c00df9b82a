"""Environments made on this machine for kernels, where the service's disk is not shared; what the person is told of it.

Everything that waits for the service or for the disk does so in threads of its own: those of the loop are few.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TypeVar

from pydantic import ValidationError

from conda_store_hub.client.addresses import name_server
from conda_store_hub.client.api import Client
from conda_store_hub.client.cached import Hold
from conda_store_hub.client.envcache import KEEP_BYTES, KEEP_DAYS, EnvironmentCache
from conda_store_hub.client.envs import ensure_environment
from conda_store_hub.client.making import MakePhase, Progress
from conda_store_hub.core.errors import (
    ActivationError,
    CondaStoreHubError,
    GoneError,
    MakingCancelledError,
    NotFoundError,
    UnavailableError,
)
from conda_store_hub.core.schemas import KernelView
from conda_store_hub.lab.specs import EnvironmentKernelSpec, make_pinned_spec, make_spec

T = TypeVar("T")

_SHOW_SECONDS = 0.2
_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelProgress:
    """How far the environment of a kernel is: `making`, `ready`, `failed` or `cancelled`, and the step."""

    kernel_id: str
    environment: str
    build_id: int
    state: str
    phase: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Start:
    """A kernel's start that waits for a build to be made; `cancelled` ends the wait."""

    kernel_id: str
    build_id: int
    place: str
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(kw_only=True)
class LocalBuilds:
    """Makes what kernels need, and asks the service about builds; for one service, with the server's token."""

    url: str
    token: str | None
    log: logging.Logger
    on_progress: Callable[[KernelProgress], object] = lambda _: None
    """Called in threads."""
    cache: EnvironmentCache = field(default_factory=EnvironmentCache)
    keep_days: float = KEEP_DAYS
    keep_bytes: int = KEEP_BYTES
    _under_way: set[_Start] = field(default_factory=set[_Start])

    async def ensure(self, kernel_id: str, environment: str, build_id: int, place: str) -> Hold:
        """Return the environment of a kernel, made if it is not here; given up when the task is cancelled.

        Raises ActivationError; the person has been told by then.
        """
        try:
            hold = await asyncio.to_thread(self.cache.hold, self.url, build_id, place=place)
            return hold or await self._make_in_thread(kernel_id, environment, build_id, place)
        except (NotFoundError, GoneError) as exc:
            raise ActivationError(
                f"Build {build_id} of {environment} is not on this machine, and the service does not offer it."
                f" {exc.public_message} Choose the kernel again."
            ) from exc
        except MakingCancelledError as exc:
            raise ActivationError(
                f"Making build {build_id} of {environment} was cancelled, so its kernel has not started:"
                " start it again to have it made."
            ) from exc
        except CondaStoreHubError as exc:
            raise ActivationError(
                f"Build {build_id} of {environment} could not be made on this machine. {exc.public_message}"
            ) from exc

    async def _make_in_thread(self, kernel_id: str, environment: str, build_id: int, place: str) -> Hold:
        start = _Start(kernel_id=kernel_id, build_id=build_id, place=place)
        self._under_way.add(start)
        shown = KernelProgress(kernel_id=kernel_id, environment=environment, build_id=build_id, state="making")
        teller = _Teller(self.on_progress, shown)
        making = _start(lambda: self._make(build_id, place, teller, start.cancelled))
        try:
            hold = await asyncio.wrap_future(making)
        except asyncio.CancelledError:
            start.cancelled.set()
            making.add_done_callback(_let_go)
            raise
        finally:
            self._under_way.discard(start)
        return _require_wanted(hold, start.cancelled)

    async def find_active_spec(self, name: str) -> EnvironmentKernelSpec | None:
        """Return the kernel of an active build by its name, or None when there is none or the service is away."""
        try:
            view = await asyncio.wrap_future(_start(lambda: self._find_kernel(name)))
            return None if view is None else make_spec(view)
        except (CondaStoreHubError, ValidationError) as exc:
            self.log.warning("Whether %s has a newer build is not known: %s", name, exc)
            return None

    async def find_build_spec(self, name: str, build_id: int) -> EnvironmentKernelSpec | None:
        """Return the kernel of one build by its pinned name, or None; raises ActivationError if nobody can tell."""
        try:
            views = await asyncio.wrap_future(_start(lambda: self._list_build_kernels(build_id)))
            specs = [make_pinned_spec(view) for view in views]
        except UnavailableError as exc:
            raise ActivationError(f"What build {build_id} has is not known here: {exc.public_message}") from exc
        except (CondaStoreHubError, ValidationError):
            return None
        return next((spec for spec in specs if name in (spec.name, *spec.aliases)), None)

    def stop(self) -> None:
        """Give up what is being made."""
        for each in self._under_way:
            each.cancelled.set()

    def cancel(self, kernel_id: str) -> Sequence[str]:
        """Give up the build that a kernel waits for; return the kernels that waited for it, none of which starts.

        Nothing, where that kernel waits for none. Another server or program of the person's that makes the same build
        goes on with it.
        """
        builds = {(each.build_id, each.place) for each in self._under_way if each.kernel_id == kernel_id}
        ended = [each for each in self._under_way if (each.build_id, each.place) in builds]
        for each in ended:
            each.cancelled.set()
        return sorted({each.kernel_id for each in ended})

    def _make(self, build_id: int, place: str, teller: _Teller, cancelled: threading.Event) -> Hold:
        began = time.monotonic()
        environment = teller.shown.environment
        self.log.info("Making build %s of %s on this machine", build_id, environment)
        try:
            with Client(self.url, token=self.token) as client:
                hold = ensure_environment(
                    self.cache, client, build_id, place=place, on_progress=teller.show, cancelled=cancelled
                )
            _require_wanted(hold, cancelled)
        except CondaStoreHubError as exc:
            given_up = isinstance(exc, MakingCancelledError)
            teller.end("cancelled" if given_up else "failed", exc.public_message)
            self.log.warning("Build %s of %s was not made: %s", build_id, environment, exc.detail or exc.message)
            raise
        self.log.info(
            "Made build %s of %s of its %s in %.1f s", build_id, environment, hold.made.origin, time.monotonic() - began
        )
        teller.end("ready")
        _start(self._trim)  # what goes may be much, and the kernel need not wait for that
        return hold

    def _trim(self) -> None:
        try:
            for gone in self.cache.trim(keep_days=self.keep_days, keep_bytes=self.keep_bytes):
                self.log.info("Removed build %s of %s from this machine", gone.made.build_id, gone.made.environment)
        except OSError as exc:
            self.log.warning("The cache of environments could not be tidied: %s", exc)

    def _list_build_kernels(self, build_id: int) -> list[KernelView]:
        with Client(self.url, token=self.token, timeout=_ANSWER_SECONDS) as client:
            return client.build_kernels(build_id)

    def _find_kernel(self, name: str) -> KernelView | None:
        with Client(self.url, token=self.token, timeout=_ANSWER_SECONDS) as client:
            listed = client.kernels()
        kernels = listed.kernels if listed else []
        return next((view for view in kernels if name in (view.name, *view.aliases)), None)


def find_local_builds(service: str, log: logging.Logger) -> LocalBuilds | None:
    """Return what can be made of a service outside of a server, or None where no service is known.

    A token goes to the service that it is for, whatever a `kernel.json` names.
    """
    hub_url = os.environ.get("CONDA_STORE_HUB_URL", "")
    own_url = os.environ.get("CONDA_STORE_URL", "") or hub_url
    url = service or own_url
    if not url.startswith(("http://", "https://")):
        return None
    token = os.environ.get("CONDA_STORE_TOKEN") if _is_same(url, own_url) else None
    if _is_same(url, hub_url):
        token = token or os.environ.get("CONDA_STORE_HUB_TOKEN") or os.environ.get("JUPYTERHUB_API_TOKEN")
    return LocalBuilds(url=url, token=token, log=log)


def _is_same(url: str, other: str) -> bool:
    return bool(other) and name_server(url) == name_server(other)


class _Teller:
    """Tells of one making, not too often."""

    def __init__(self, on_progress: Callable[[KernelProgress], object], shown: KernelProgress) -> None:
        self.shown = shown
        self._on_progress = on_progress
        self._phase: MakePhase | None = None
        self._told = 0.0

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.phase is self._phase and now - self._told < _SHOW_SECONDS:
            return
        self._phase, self._told = progress.phase, now
        self._on_progress(
            replace(self.shown, phase=progress.phase, done=progress.done, total=progress.total, unit=progress.unit)
        )

    def end(self, state: str, message: str = "") -> None:
        self._on_progress(replace(self.shown, state=state, message=message))


def _start(work: Callable[[], T]) -> Future[T]:
    """Run something in a thread that nobody waits for when the process ends."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # who waits may leave; the work goes on

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as exc:  # noqa: BLE001 it is raised where it is waited for
            future.set_exception(exc)

    threading.Thread(target=run, daemon=True, name="conda-store-hub-local").start()
    return future


def _require_wanted(hold: Hold, cancelled: threading.Event) -> Hold:
    """Let go of what was cancelled when it was all but made: who did so was told that no kernel starts in it."""
    if cancelled.is_set():
        hold.close()
        raise MakingCancelledError
    return hold


def _let_go(future: Future[Hold]) -> None:
    """Let go of what was made for somebody who has left."""
    if future.exception() is None:
        future.result().close()
