"""The install: from exact packages to files in the prefix, by hard link from the package cache."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rattler import MatchSpec, RepoDataRecord, install
from rattler.exceptions import InstallerError
from rattler.networking import Client

from conda_store_hub.builder.cache_folder import CacheFolder
from conda_store_hub.builder.events import EventWriter, say
from conda_store_hub.builder.prefix import (
    CondaPackage,
    forget_credentials,
    list_clobbered,
    read_conda_packages,
    require_folders,
    require_own_records,
)
from conda_store_hub.builder.reporter import Reporter
from conda_store_hub.builder.seal import Sealed, list_damaged, seal_prefix
from conda_store_hub.builder.words import count, format_size
from conda_store_hub.core.engine import explain_install, strip_credentials
from conda_store_hub.core.errors import InstallError, PackageCorruptError
from conda_store_hub.core.protocol import BuildRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """A prefix with conda's packages in it, sealed."""

    packages: tuple[CondaPackage, ...]
    sealed: Sealed


class Installer:
    """Installs one request's packages, and once more those that the package cache had in pieces."""

    def __init__(self, request: BuildRequest, events: EventWriter, specs: Sequence[MatchSpec]) -> None:
        self._prefix = Path(request.directories.prefix)
        self._cache = CacheFolder(Path(request.directories.packages))
        # Without a time-out: the engine's is for the whole download of a package.
        self._client = Client.default_client(max_retries=3)
        self._patience = request.network_seconds
        self._events = events
        self._specs = specs

    async def install(self, records: Sequence[RepoDataRecord]) -> Installed:
        """Return the sealed prefix; raise InstallError, PackageCorruptError or BuildDiskFullError.

        A prefix that failed is left as it is: work may go on in the engine's threads until the process ends.
        """
        self._require_empty_prefix()
        self._announce(records)
        await self._install_or_repair(records)
        installed = self._seal()
        if damaged := list_damaged(installed.packages, installed.sealed.sizes):
            await self._repair(records, {each.package.name: each.file_name for each in damaged})
            installed = self._seal()
            if damaged := list_damaged(installed.packages, installed.sealed.sizes):
                names = ", ".join(each.package.name for each in damaged)
                raise PackageCorruptError(f"The files of {names} are not what their package says.")
        require_folders(installed.packages)
        require_own_records(self._prefix, installed.packages, [record.name.normalized for record in records])
        self._warn_clobbered(installed.packages)
        self._cache.record_use(record.file_name for record in records)
        return installed

    def _require_empty_prefix(self) -> None:
        if self._prefix.is_dir() and any(self._prefix.iterdir()):
            raise InstallError(f"The folder {self._prefix.name} of this build is not empty.")

    def _announce(self, records: Sequence[RepoDataRecord]) -> None:
        missing = [record for record in records if not self._cache.has(record.file_name)]
        size = format_size(sum(record.size or 0 for record in missing))
        to_fetch = f"{len(missing):,} to download ({size})" if missing else "all in the package cache"
        say(f"Installing {count(len(records), 'package')}: {to_fetch}")

    async def _install_or_repair(self, records: Sequence[RepoDataRecord]) -> None:
        try:
            await self._install(records)
        except InstallerError as exc:
            damaged = [record for record in records if self._cache.is_damaged(record.file_name)]
            if not damaged:
                raise explain_install(str(exc)) from exc
            await self._repair(records, {record.name.normalized: record.file_name for record in damaged})

    async def _repair(self, records: Sequence[RepoDataRecord], damaged: Mapping[str, str]) -> None:
        """Install once more, with packages, given as name and file name, that are downloaded anew."""
        say(f"The package cache has {', '.join(damaged)} in pieces; downloading again")
        for file_name in damaged.values():
            self._cache.remove(file_name)
        try:
            await self._install(records, again=set(damaged))
        except InstallerError as exc:
            raise explain_install(str(exc)) from exc

    async def _install(self, records: Sequence[RepoDataRecord], again: set[str] | None = None) -> None:
        reporter = Reporter(self._events, records)
        work = install(
            list(records),
            self._prefix,
            cache_dir=self._cache.folder,
            client=self._client,
            show_progress=False,
            execute_link_scripts=False,
            reinstall_packages=again,
            # The engine's own wrapper wants the inner objects here (py-rattler 0.28).
            requested_specs=[spec._match_spec for spec in self._specs],  # type: ignore[misc]  # noqa: SLF001
            reporter=reporter,
        )
        await reporter.watch(asyncio.ensure_future(work), patience=self._patience)
        if any(record.url != strip_credentials(record.url) for record in records):
            forget_credentials(self._prefix)

    def _seal(self) -> Installed:
        # This tag tells backup tools, and some options of tar, to leave the folder out.
        (self._prefix / "CACHEDIR.TAG").unlink(missing_ok=True)
        return Installed(packages=read_conda_packages(self._prefix), sealed=seal_prefix(self._prefix))

    def _warn_clobbered(self, packages: tuple[CondaPackage, ...]) -> None:
        if clobbered := sorted(list_clobbered(packages)):
            say(f"Warning: more than one package has {', '.join(clobbered[:5])}{' …' if clobbered[5:] else ''}")
