"""The server extension: kernels laid over the server's own and kept fresh, and the pages' way to the service."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import cast

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_events import EventLogger
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from tornado import web
from traitlets import Float, Unicode, default
from traitlets.config import Config
from traitlets.utils.importstring import import_item

from conda_store_hub.client.envcache import KEEP_BYTES, KEEP_DAYS
from conda_store_hub.client.kernelspecs import DEFAULT_PATTERN, check_pattern
from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.states import BuildStatus
from conda_store_hub.lab.allowed import Place
from conda_store_hub.lab.builds import BuildFollower
from conda_store_hub.lab.kernels import KernelCatalog, compose_manager
from conda_store_hub.lab.leases import LeaseKeeper
from conda_store_hub.lab.local import LocalBuilds
from conda_store_hub.lab.makings import MakingHandler
from conda_store_hub.lab.pins import Pins
from conda_store_hub.lab.poller import KernelFile, KernelPoller
from conda_store_hub.lab.provisioner import CondaStoreHubProvisioner
from conda_store_hub.lab.proxy import Change, ProxyHandler, Upstream
from conda_store_hub.lab.running import RunningHandler, RunningKernels

ENVIRONMENTS_EVENT_ID = "https://conda-store-hub/events/environments/v1"
_ENVIRONMENTS_SCHEMA = Path(__file__).parent / "events" / "environments-v1.yaml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How the kernels of this server stand: the state (`disabled` or a PollState), why, and the kernels listed."""

    state: str
    message: str
    kernels: list[str]


class KernelsHandler(APIHandler):
    """`GET conda-store-hub/api/kernels`: a Standing. Asking it does not keep an idle server alive."""

    auth_resource = "conda-store-hub"
    _track_activity = False

    def initialize(self, extension: CondaStoreHubExtension) -> None:
        """Keep the extension."""
        self._extension = extension

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with a Standing."""
        await self.finish(json.dumps(asdict(self._extension.standing())))


class CondaStoreHubExtension(ExtensionApp):
    """Shows the environments of conda-store-hub as kernels, and lets the server's pages manage them."""

    name = "conda_store_hub"

    url = Unicode(
        help="Address of the service as this server reaches it; by default $CONDA_STORE_HUB_URL.",
        config=True,
    )

    kernel_name_pattern = Unicode(
        DEFAULT_PATTERN,
        help="What kernels are called in the launcher; {namespace}, {environment}, {kernel} and {build} are filled in.",
        config=True,
    )
    local_cache_days = Float(
        KEEP_DAYS,
        help="Environments made on this machine go when they were not used for so many days.",
        config=True,
    )
    local_cache_gigabytes = Float(
        KEEP_BYTES / 1e9,
        help="How large they may be together; those that were used least lately go first.",
        config=True,
    )

    @default("url")
    def _default_url_of_service(self) -> str:
        return os.environ.get("CONDA_STORE_HUB_URL", "")

    def __init__(self, **values: object) -> None:
        super().__init__(**values)
        self._catalog = KernelCatalog()
        self._poller: KernelPoller | None = None
        self._keeper: LeaseKeeper | None = None
        self.builds: LocalBuilds | None = None
        self.running: RunningKernels | None = None
        self._upstream: Upstream | None = None
        self._follower: BuildFollower | None = None
        self._events: EventLogger | None = None
        self._disabled = ""

    def _link_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        super()._link_jupyter_server_extension(serverapp)
        self._disabled = self._why_disabled(serverapp)
        if self._disabled:
            self.log.info("conda-store-hub: no kernels of environments: %s", self._disabled)
            return
        # The trait itself cannot be read before the gateway's configuration is, and an assignment would be
        # undone by the next extension that updates the configuration.
        manager = compose_manager(_configured_manager(serverapp.config), self._catalog)
        serverapp.update_config(Config({"ServerApp": {"kernel_spec_manager_class": manager}}))

    def initialize_handlers(self) -> None:
        """Add the addresses of this extension."""
        self.handlers.append((r"/conda-store-hub/api/kernels/?", KernelsHandler, {"extension": self}))
        self.handlers.append((r"/conda-store-hub/api/running(?:/([\w-]+))?/?", RunningHandler, {"extension": self}))
        self.handlers.append((r"/conda-store-hub/api/making/([\w-]+)/?", MakingHandler, {"extension": self}))
        self.handlers.append((r"/conda-store-hub/api/v1/(.*)", ProxyHandler, {"find_upstream": self.find_upstream}))

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        if self._disabled:
            return
        events = self._events = cast("EventLogger", serverapp.event_logger)
        events.register_event_schema(_ENVIRONMENTS_SCHEMA)
        running = self.running = RunningKernels(serverapp.kernel_manager, self._catalog, events)
        token = _find_token() or ""
        await self._start_local(serverapp, token, running)
        self._upstream = Upstream(url=self.url, token=token, on_change=self._note_change)
        self._follower = BuildFollower(self._upstream, on_state=self._announce_state)
        self._poller = KernelPoller(
            url=self.url,
            token=token,
            catalog=self._catalog,
            file=KernelFile.in_directory(
                serverapp.runtime_dir, url=self.url, user=os.environ.get("JUPYTERHUB_USER", "")
            ),
            log=self.log,
            on_change=running.announce,
            pattern=self._choose_pattern(),
        )
        self._poller.start()
        self._keeper = CondaStoreHubProvisioner.keeper = LeaseKeeper(url=self.url, token=token, log=self.log)
        self._keeper.start()

    async def stop_extension(self) -> None:
        """End the poll, give up what is being made, and let go of builds: the server's kernels end now."""
        if self.builds is not None:
            CondaStoreHubProvisioner.builds = CondaStoreHubProvisioner.pins = None
            self.builds.stop()
        if self._keeper is not None:
            CondaStoreHubProvisioner.keeper = None
            await self._keeper.stop()
        if self._poller is not None:
            await self._poller.stop()
        if self._follower is not None:
            await self._follower.stop()
        if self._upstream is not None:
            await self._upstream.close()

    async def _start_local(self, serverapp: ServerApp, token: str, running: RunningKernels) -> None:
        loop = asyncio.get_running_loop()
        self.builds = CondaStoreHubProvisioner.builds = LocalBuilds(
            url=self.url,
            token=token,
            log=self.log,
            on_progress=partial(loop.call_soon_threadsafe, running.announce_progress),
            keep_days=self.local_cache_days,
            keep_bytes=int(self.local_cache_gigabytes * 1e9),
        )
        user = os.environ.get("JUPYTERHUB_USER", "")
        file = KernelFile.in_directory(serverapp.runtime_dir, url=self.url, user=user, kind="pinned")
        pins = Pins(catalog=self._catalog, file=file, log=self.log, on_change=running.announce)
        CondaStoreHubProvisioner.pins = pins
        await pins.restore()

    def _choose_pattern(self) -> str:
        try:
            return check_pattern(self.kernel_name_pattern)
        except InvalidRequestError as exc:  # names are no reason to have no kernels
            self.log.warning("conda-store-hub: %s", exc.message)
            return DEFAULT_PATTERN

    def standing(self) -> Standing:
        """Return how the kernels of this server stand."""
        if self._poller is None:
            return Standing(state="disabled", message=self._disabled, kernels=[])
        status = self._poller.status
        return Standing(state=status.state, message=status.message, kernels=sorted(self._catalog.listed))

    def find_upstream(self) -> Upstream | str:
        """Return the way to the service, or why there is none."""
        return self._upstream or self._disabled or "this server is still starting"

    def _note_change(self, change: Change) -> None:
        """Tell all pages of a change that one of them has made, and follow what it has begun."""
        self._announce_environments(change.place, build_id=change.build_id or change.place.build_id)
        if change.build_id is not None and self._follower is not None:
            self._follower.follow(change.build_id)
        if self._poller is not None:
            self._poller.hurry()

    def _announce_state(self, build_id: int, status: BuildStatus) -> None:
        self._announce_environments(Place(), build_id=build_id, status=status)

    def _announce_environments(
        self, place: Place, *, build_id: int | None = None, status: BuildStatus | None = None
    ) -> None:
        if self._events is not None:
            where = {"namespace": place.namespace, "environment": place.environment}
            data = {**where, "build_id": build_id, "status": status}
            self._events.emit(schema_id=ENVIRONMENTS_EVENT_ID, data=data)

    def _why_disabled(self, serverapp: ServerApp) -> str:
        if serverapp.config.GatewayClient.get("url") or os.environ.get("JUPYTER_GATEWAY_URL"):
            return "kernels come from a gateway"
        if not self.url:
            return "CONDA_STORE_HUB_URL is not set"
        if not self.url.startswith(("http://", "https://")):
            return f"{self.url!r} is not an address; it begins with http:// or https://"
        if _find_token() is None:
            return "there is no token: neither CONDA_STORE_HUB_TOKEN nor JUPYTERHUB_API_TOKEN is set"
        return ""


def _find_token() -> str | None:
    # Not a trait: a secret has no place in configuration files or on a command line.
    return os.environ.get("CONDA_STORE_HUB_TOKEN") or os.environ.get("JUPYTERHUB_API_TOKEN")


def _configured_manager(config: Config) -> type[KernelSpecManager]:
    """Return the class that the server would use without us."""
    for section in ("ServerApp", "JupyterApp"):
        configured = config[section].get("kernel_spec_manager_class")
        if configured is not None:
            return import_item(configured) if isinstance(configured, str) else configured
    return KernelSpecManager
