"""Which environment and build each running kernel is in, and which of them a newer build waits for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_events import EventLogger
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from conda_store_hub.core.names import KernelName
from conda_store_hub.lab.kernels import KernelCatalog, KernelChange
from conda_store_hub.lab.local import KernelProgress
from conda_store_hub.lab.provisioner import CondaStoreHubProvisioner

if TYPE_CHECKING:
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

KERNELS_EVENT = "https://conda-store-hub/events/kernels/v1"
RUNNING_EVENT = "https://conda-store-hub/events/running-kernels/v1"
PROGRESS_EVENT = "https://conda-store-hub/events/environment-progress/v1"
SCHEMAS = tuple(
    Path(__file__).parent / "events" / f"{name}.yaml"
    for name in ("kernels-v1", "running-kernels-v1", "environment-progress-v1")
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningKernel:
    """A kernel that runs in an environment: in which build, and in which a restart would be."""

    kernel_id: str
    kernel_name: str
    namespace: str
    environment: str
    build_id: int
    active_build_id: int | None
    """None for an environment that is gone, or no longer shared with this server's owner."""
    pinned: bool
    """Whether it stays in its build when it restarts."""
    local: bool
    """Whether the environment was made on this machine."""

    @property
    def outdated(self) -> bool:
        """Tell whether a restart would take up another build."""
        return not self.pinned and self.active_build_id not in (None, self.build_id)


def list_running(kernels: MappingKernelManager, catalog: KernelCatalog) -> list[RunningKernel]:
    """Return the running kernels of environments; others are none of our business."""
    found = ((kernel_id, kernels.get_kernel(kernel_id)) for kernel_id in kernels.list_kernel_ids())
    return [
        _describe(kernel_id, manager.kernel_name, manager.provisioner, catalog)
        for kernel_id, manager in found
        if isinstance(manager.provisioner, CondaStoreHubProvisioner)
    ]


def _describe(
    kernel_id: str, kernel_name: str, provisioner: CondaStoreHubProvisioner, catalog: KernelCatalog
) -> RunningKernel:
    namespace, _, environment = provisioner.environment.partition("/")
    active = catalog.find_active(kernel_name)
    return RunningKernel(
        kernel_id=kernel_id,
        kernel_name=kernel_name,
        namespace=namespace,
        environment=environment,
        build_id=provisioner.build_id,
        active_build_id=None if active is None else active.build_id,
        pinned=KernelName.is_of_build(kernel_name),
        local=provisioner.is_local,
    )


class RunningKernels:
    """The kernels of one server as front ends are told of them."""

    def __init__(self, kernels: MappingKernelManager, catalog: KernelCatalog, events: EventLogger) -> None:
        self._kernels = kernels
        self._catalog = catalog
        self._events = events
        for schema in SCHEMAS:
            events.register_event_schema(schema)

    def list(self) -> Sequence[RunningKernel]:
        """Return what runs."""
        return list_running(self._kernels, self._catalog)

    def announce(self, change: KernelChange) -> None:
        """Tell what changed in the picker, and which running kernels a restart would take into another build."""
        data = {name: list(kernels) for name, kernels in asdict(change).items()}
        self._events.emit(schema_id=KERNELS_EVENT, data=data)
        outdated = [describe(each) for each in self.list() if each.outdated]
        if outdated:
            self._events.emit(schema_id=RUNNING_EVENT, data={"outdated": outdated})

    def announce_progress(self, progress: KernelProgress) -> None:
        """Tell how far the environment of a kernel is that is about to start."""
        self._events.emit(schema_id=PROGRESS_EVENT, data=asdict(progress))


def describe(kernel: RunningKernel) -> dict[str, Any]:
    """Return it as front ends get it."""
    return {**asdict(kernel), "outdated": kernel.outdated}


class RunsKernels(Protocol):
    """What knows the running kernels, once the server has started; None where environments have none."""

    running: RunningKernels | None


class RunningHandler(APIHandler):
    """`GET conda-store-hub/api/running[/KERNEL]`: what runs, or one. Asking does not keep an idle server alive."""

    auth_resource = "conda-store-hub"
    _track_activity = False

    def initialize(self, extension: RunsKernels) -> None:
        """Keep what knows."""
        self._extension = extension

    @web.authenticated
    @authorized
    async def get(self, kernel_id: str | None = None) -> None:
        """Answer with a list, or with the kernel of an id."""
        running = self._extension.running
        listed = [describe(each) for each in (running.list() if running else ())]
        if kernel_id is None:
            await self.finish(json.dumps({"kernels": listed}))
            return
        found = next((each for each in listed if each["kernel_id"] == kernel_id), None)
        if found is None:
            self.set_status(404)
            await self.finish(json.dumps({"message": "This kernel runs in no environment of conda-store-hub."}))
        else:
            await self.finish(json.dumps(found))
