"""The solve: from what a person asked for to the exact packages."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from rattler import (
    BuildString,
    ChannelPriority,
    Gateway,
    GenericVirtualPackage,
    PackageName,
    RepoDataRecord,
    SourceConfig,
    Subdir,
    Version,
    VirtualPackage,
)
from rattler import solve as run_solver
from rattler.exceptions import GatewayError, SolverError
from rattler.networking import CacheAction, Client

from conda_store_hub.builder.reasons import explain_channel, explain_solver
from conda_store_hub.builder.records import load_records
from conda_store_hub.core.errors import InvalidRequestError, PipError
from conda_store_hub.core.matchspec import parse_dependency
from conda_store_hub.core.protocol import BuildRequest

_RETRIES = 2

# What runs on every machine of a platform: the processor of the one that solves may be newer than that of
# the one that computes.
_BASELINE = {"linux-64": "x86_64", "linux-aarch64": "aarch64", "linux-ppc64le": "ppc64le", "osx-64": "x86_64"}


def make_index_client(request: BuildRequest) -> Client:
    """Return a client that retries and gives up; the engine's own default does neither.

    Its time-out is for a whole answer, so it is not for packages.
    """
    return Client.default_client(max_retries=_RETRIES, timeout=2 * request.network_seconds)


class Solver:
    """Solves one request; keeps what it read of the channels for the words of a failure."""

    def __init__(self, request: BuildRequest) -> None:
        self._request = request
        self._client = make_index_client(request)
        self._gateway = self._open_gateway(cache="cache-or-fetch")
        self._fresh = False
        self.specs = [parse_dependency(entry) for entry in request.dependencies]

    async def solve(self) -> list[RepoDataRecord]:
        """Return the packages in the order of their names.

        Raises ChannelUnavailableError, PackageNotFoundError, SolveError, BuildTimedOutError, PipError.
        """
        records = await self._solve() if self._request.records is None else self._read_lock()
        names = {record.name.normalized for record in records}
        if self._request.pip and "python" not in names:
            first = self._request.pip[0]
            raise PipError(
                "The pip part needs Python: add `python` to the dependencies.",
                line=first.line,
                column=first.column,
            )
        return sorted(records, key=lambda record: record.name.normalized)

    async def _solve(self) -> list[RepoDataRecord]:
        try:
            return await self._run()
        except GatewayError as exc:
            # A server that answers 304 without the ETag that belongs to it: read everything anew, once.
            if self._fresh or "304 Not Modified" not in str(exc):
                raise explain_channel(str(exc), self._request.channels) from exc
        except SolverError as exc:
            raise await explain_solver(str(exc), self._request, self._gateway, self.specs) from exc
        self._fresh = True
        self._gateway = self._open_gateway(cache="no-cache")
        return await self._solve()

    async def _run(self) -> list[RepoDataRecord]:
        return await run_solver(
            self._request.channels,
            self.specs,
            gateway=self._gateway,
            platforms=[Subdir(self._request.platform), Subdir("noarch")],
            virtual_packages=detect_virtual_packages(self._request.platform),
            channel_priority=ChannelPriority.Strict,
            timeout=timedelta(seconds=self._request.solve_seconds),
            # A channel may name further channels (CEP 42): nobody has allowed those.
            channel_relations="disabled",
        )

    def _open_gateway(self, *, cache: CacheAction) -> Gateway:
        return Gateway(
            cache_dir=Path(self._request.directories.repodata),
            client=self._client,
            default_config=SourceConfig(cache_action=cache),
        )

    def _read_lock(self) -> list[RepoDataRecord]:
        return load_records(Path(self._request.records or ""))


def detect_virtual_packages(platform: str) -> list[GenericVirtualPackage]:
    """Return what this machine offers to packages, with the plainest processor of its kind."""
    found = [package.into_generic() for package in VirtualPackage.detect()]
    kept = [package for package in found if package.name.normalized != "__archspec"]
    if platform in _BASELINE:
        build = BuildString(_BASELINE[platform])
        kept.append(GenericVirtualPackage(PackageName("__archspec"), Version("1"), build))
    return kept


def require_this_platform(platform: str) -> None:
    """Raise InvalidRequestError when packages of `platform` would not run here."""
    here = str(Subdir.current())
    if platform != here:
        raise InvalidRequestError(f"This machine can build for {here}, not for {platform}.")
