"""`conda-store-hub`: the commands, and the only place that knows the concrete classes of every layer."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import IO, Any, NoReturn
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from traitlets import Integer, Unicode, default
from traitlets.config import Application, Config

from conda_store_hub import __version__, configfile
from conda_store_hub.core.errors import CondaStoreHubError, ConfigurationError, StorageError
from conda_store_hub.db.session import Database
from conda_store_hub.queue.builders import Builders
from conda_store_hub.queue.cleaner import Cleaner, Freed
from conda_store_hub.queue.executor import LocalExecutor
from conda_store_hub.queue.janitor import Janitor
from conda_store_hub.queue.links import Links
from conda_store_hub.queue.runner import Runner
from conda_store_hub.queue.searcher import ProcessSearcher
from conda_store_hub.queue.solver import ProcessSolver
from conda_store_hub.queue.watcher import Watcher
from conda_store_hub.services.changes import Changes
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.settings import CondaStore
from conda_store_hub.storage import prefixes
from conda_store_hub.storage.base import ArtifactStore, LocalArtifactStore
from conda_store_hub.storage.folders import WatchedPath
from conda_store_hub.storage.secrets import ensure_secret
from conda_store_hub.web.appearance import Pages
from conda_store_hub.web.auth import HubAuthenticator
from conda_store_hub.web.base import Readiness, Services
from conda_store_hub.web.listening import make_registry_application, open_registry, open_service, raise_limit_of_files
from conda_store_hub.web.predefined import AuthenticationBackend
from conda_store_hub.web.registry.place import Registry, read_given
from conda_store_hub.web.routes import make_application
from conda_store_hub.web.warming import look_at_hub, warm_up

CONFIG_FILE = "conda_store_hub_config.py"
_PR_SET_PDEATHSIG = 1  # prctl(2)


class Command(Application):
    """A command that reads the service's configuration file."""

    version = __version__
    classes = [CondaStore, HubAuthenticator, AuthenticationBackend, LocalExecutor, Pages, Registry]  # noqa: RUF012 - traitlets' way
    config_file = Unicode(CONFIG_FILE, help="The service's configuration file.").tag(config=True)
    aliases = {"config": "Command.config_file", "log-level": "Application.log_level"}  # noqa: RUF012

    @default("log_level")
    def _default_log_level(self) -> int:
        return logging.INFO

    @default("log_format")
    def _default_log_format(self) -> str:
        return "[%(levelname)1.1s %(asctime)s %(name)s] %(message)s"

    def initialize(self, argv: list[str] | None = None) -> None:
        """Read the command line, then the file; what the command line says wins."""
        # Others may enter the data directory for their prefixes: the database and the rest in it is not theirs to read.
        os.umask(0o077)
        self.parse_command_line(argv)
        said = self.config
        file = configfile.load(Path(self.config_file).absolute(), [*self.classes, type(self), Application])
        self.update_config(_with_environment(file))
        self.update_config(said)
        self.store = CondaStore(parent=self)
        self.pages = Pages(parent=self)
        self.registry = Registry(parent=self)

    def start(self) -> None:
        """Run, and say in one line what an administrator has to mend."""
        try:
            self.run()
        except CondaStoreHubError as exc:
            self.log.critical("%s", exc.public_message)
            self.exit(exc.exit_code)

    def run(self) -> None:
        """Do what the command is for."""
        raise NotImplementedError


def _with_environment(config: Config) -> Config:
    """Take from the environment what the file leaves open: where `configure` said that the data and the images are."""
    data = os.environ.get("CONDA_STORE_HUB_DATA")
    if data and "store_directory" not in config.CondaStore:
        config.CondaStore.store_directory = data
    for name, value in read_given(os.environ.get("CONDA_STORE_HUB_REGISTRY") or "{}").items():
        if name not in config.Registry:
            config.Registry[name] = value
    return config


class UpgradeDb(Command):
    """Bring the database's schema to this version's; `serve` does it too."""

    name = "conda-store-hub-upgrade-db"

    def run(self) -> None:
        """Upgrade."""
        prefixes.ensure_data_directory(self.store.data, publish_links=self.store.publish_links)
        db = Database(self.store.url)
        db.upgrade()
        db.close()
        self.log.info("the database is up to date")


class Check(Command):
    """Read the configuration and try what can be tried without serving."""

    name = "conda-store-hub-check"

    def run(self) -> None:
        """Check."""
        prefixes.ensure_data_directory(self.store.data, publish_links=self.store.publish_links)
        executor = LocalExecutor(parent=self)
        refusal = executor.find_refusal()
        self.store.build_rules(refusal, build_seconds=executor.build_seconds)
        self.registry.load_certificate()
        if refusal:
            raise ConfigurationError(refusal)
        for path in self.store.watch_paths:
            if WatchedPath.of(Path(path)).find_place() is None:
                self.log.warning("watch_paths: %s is not there, or this account may not enter it", path)
        self.log.info("the configuration is good; data in %s", self.store.data.root)


class CleanUp(Command):
    """Free now what nobody needs; the service does it each hour, and may be running."""

    name = "conda-store-hub-janitor"

    def run(self) -> None:
        """Do one round and print what it freed; fail at the end if a part of it failed."""
        prefixes.require_own(self.store.data)
        prefixes.ensure_data_directory(self.store.data, publish_links=self.store.publish_links)
        db = Database(self.store.url)
        try:
            db.upgrade()
            whole = asyncio.run(self._go_round(db))
        finally:
            db.close()
        if not whole:
            self.exit(StorageError.exit_code)

    async def _go_round(self, db: Database) -> bool:
        """Repair and clean up; tell whether all of it went well."""
        executor = LocalExecutor(parent=self)
        rules = self.store.build_rules(executor.find_refusal(), build_seconds=executor.build_seconds)
        store = LocalArtifactStore(self.store.data.objects)
        cleaner = _make_cleaner(self.store, db, store, rules, self.log)
        await Links(db=db, data=self.store.data, log=self.log).follow()
        done = [await self._attempt(words, job) for words, job in cleaner.jobs.items()]
        return all(done)

    async def _attempt(self, words: str, job: Callable[[], Awaitable[Freed]]) -> bool:
        try:
            freed = await job()
        except (CondaStoreHubError, OSError) as exc:
            self.log.warning("%s: failed: %s", words, exc)
            return False
        sys.stdout.write(f"{words}: {freed}\n")
        return True


def _make_cleaner(
    settings: CondaStore, db: Database, store: ArtifactStore, rules: BuildRules, log: logging.Logger
) -> Cleaner:
    return Cleaner(db=db, data=settings.data, store=store, rules=rules, cache_days=settings.cache_days, log=log)


class Serve(Command):
    """Serve pages and API under the Hub's prefix, and run builds."""

    name = "conda-store-hub-serve"
    port = Integer(10101, help="Port, when no Hub gives the address.").tag(config=True)

    def run(self) -> None:
        """Serve until a signal."""
        if os.environ.get("CONDA_STORE_HUB_MANAGED"):
            _end_with_parent()
        prefixes.ensure_data_directory(self.store.data, publish_links=self.store.publish_links)
        with _only_one(self.store.data.lock):
            asyncio.run(self._serve())
        self._leave()

    def _leave(self) -> NoReturn:
        """End now: the engine's threads can crash an interpreter that winds down, and nothing is left to write."""
        logging.shutdown()
        os._exit(0)

    async def _serve(self) -> None:
        raise_limit_of_files()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        changes = Changes()
        executor = LocalExecutor(parent=self)
        services = self._make_services(changes, executor)
        servers = self._listen(services)
        self.warming = asyncio.create_task(self._warm_up(services))
        starting = asyncio.create_task(self._start_work(services, executor))
        starting.add_done_callback(lambda task: _stop_on_failure(task, stop))
        await stop.wait()
        for server in servers:
            server.stop()
            await server.close_all_connections()  # those who wait for kernels or a log ask again
        if not starting.done():
            self._leave()  # an upgrade in a thread cannot be cancelled; its transaction can be left
        started = (await asyncio.gather(starting, return_exceptions=True))[0]
        if isinstance(started, Janitor):
            await self.watcher.stop()
            await executor.stop()
            await started.stop()
        await services.solver.stop()
        await services.searcher.stop()
        await self.builders.stop()
        await services.auth.close()
        services.db.close()
        if isinstance(started, Exception):
            raise started

    def _make_services(self, changes: Changes, executor: LocalExecutor) -> Services:
        db = Database(self.store.url, listener=changes.publish)
        store = LocalArtifactStore(self.store.data.objects)
        self.builders = Builders(self.store.data)
        return Services(
            db=db,
            store=store,
            changes=changes,
            data=self.store.data,
            rules=self.store.build_rules(executor.find_refusal(), build_seconds=executor.build_seconds),
            solver=ProcessSolver(
                db=db, store=store, data=self.store.data, builders=self.builders, slots=executor.slots()
            ),
            searcher=ProcessSearcher(self.store.data),
            auth=HubAuthenticator(parent=self, pepper=ensure_secret(self.store.data, "pepper")),
            readiness=Readiness(),
            builds_at_once=executor.slots(),
            pages=self.pages,
            registry=self.registry,
        )

    def _listen(self, services: Services) -> list[HTTPServer]:
        address = urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL") or f"http://127.0.0.1:{self.port}")
        prefix = _find_prefix()
        secret = ensure_secret(self.store.data, "cookie")
        application = make_application(services, prefix=prefix, cookie_secret=secret)
        try:
            server = open_service(application, address.hostname, address.port or self.port)
        except OSError as exc:
            raise ConfigurationError(
                f"The address {address.geturl()} cannot be used: {exc.strerror}."
                " Choose another port with configure(c, port=…)."
            ) from exc
        self.log.info("listening on %s%s", address.geturl(), prefix)
        images = open_registry(make_registry_application(application), self.registry)
        return [server] if images is None else [server, images]

    async def _start_work(self, services: Services, executor: LocalExecutor) -> Janitor:
        """Everything that may take long, while the port already answers."""
        await asyncio.to_thread(services.db.upgrade)
        links = Links(db=services.db, data=services.data, log=self.log)
        janitor = Janitor(
            db=services.db,
            data=services.data,
            links=links,
            cleaner=_make_cleaner(self.store, services.db, services.store, services.rules, self.log),
            changes=services.changes,
            worker=executor.worker,
            log=self.log,
        )
        await janitor.repair_after_start()
        if services.rules.refusal:
            self.log.warning("%s", services.rules.refusal)
        else:
            runner = self._make_runner(services, executor, links)
            executor.start(db=services.db, changes=services.changes, runner=runner)
        janitor.start()
        self.watcher = Watcher(db=services.db, rules=services.rules, paths=self.store.watch_paths, log=self.log)
        self.watcher.start()
        services.readiness.ready = True
        await self.warming
        gc.collect()
        gc.freeze()
        return janitor

    async def _warm_up(self, services: Services) -> None:
        """Load what the first page would wait for; what cannot be loaded is told by the page that needs it."""
        try:
            await asyncio.to_thread(warm_up, services, _find_prefix())
            await look_at_hub(services)
        except Exception:
            self.log.exception("the pages could not be loaded ahead")
        else:
            self.log.info("the pages are loaded")

    def _make_runner(self, services: Services, executor: LocalExecutor, links: Links) -> Runner:
        return Runner(
            db=services.db,
            store=services.store,
            data=services.data,
            links=links,
            rules=services.rules,
            builders=self.builders,
            metrics=services.metrics,
            log=logging.getLogger(f"{self.log.name}.runner"),
        )


def _find_prefix() -> str:
    """Return the path that the Hub has given the service."""
    return os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/")


def _stop_on_failure(task: asyncio.Task[Any], stop: asyncio.Event) -> None:
    if task.cancelled() or task.exception() is not None:
        stop.set()


def _end_with_parent() -> None:
    """Have the kernel end this process when the Hub is gone: it would hold the port that the next Hub needs."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def _only_one(path: Path) -> Generator[IO[str]]:
    """Hold the lock of a data directory: two services on one would take over each other's builds."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise ConfigurationError(f"Another service is running on {path.parent}; end it first.") from exc
        yield file


class CondaStoreHub(Application):
    """Conda environments for JupyterHub."""

    name = "conda-store-hub"
    version = __version__
    subcommands = {  # noqa: RUF012 - traitlets' way
        "serve": (Serve, "Serve pages and API under the Hub's prefix, and run builds."),
        "check": (Check, "Read the configuration and try what can be tried without serving."),
        "janitor": (CleanUp, "Free now what nobody needs; the service does it each hour, and may be running."),
        "upgrade-db": (UpgradeDb, "Bring the database's schema to this version's."),
        "demo": (Application, "Start a Hub with the service, build an example and compute in it."),
        "demo-channel": (Application, "Make a conda channel from the running interpreter and wheels."),
        "demo-base": (Application, "Make a base for images from the C library and shell of this machine."),
    }

    def start(self) -> None:
        """Without a subcommand, show what there is."""
        if self.subapp is None:
            self.print_help()
            self.exit(2)
        super().start()


def main() -> None:
    """Run the command line."""
    command = sys.argv[1:2]
    if command == ["demo"]:
        from conda_store_hub.demo.run import main as run_demo  # only the demo needs a Hub's parts

        run_demo(sys.argv[2:])
    elif command == ["demo-channel"]:
        from conda_store_hub.demo.channel import main as make_channel  # loads the engine

        make_channel(sys.argv[2:])
    elif command == ["demo-base"]:
        from conda_store_hub.demo.base import main as make_base

        make_base(sys.argv[2:])
    else:
        _launch()


def _launch() -> None:
    try:
        CondaStoreHub.launch_instance()
    except CondaStoreHubError as exc:
        sys.stderr.write(f"conda-store-hub: {exc.public_message}\n")
        sys.exit(exc.exit_code)
