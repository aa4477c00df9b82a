"""The solve: from what a person asked for to the exact packages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rattler import ChannelPriority, Gateway, MatchSpec, RepoDataRecord, SourceConfig, Subdir
from rattler import solve as run_solver
from rattler.exceptions import GatewayError, SolverError
from rattler.networking import CacheAction, Client

from conda_store_hub.builder.channel_state import (
    IndexCache,
    read_channel_state,
    take_oldest_form,
    tells_bad_form,
)
from conda_store_hub.builder.events import say
from conda_store_hub.builder.locked import LockedRecords
from conda_store_hub.builder.policy import Policy
from conda_store_hub.builder.reasons import explain_channel, explain_policy, explain_solver
from conda_store_hub.builder.records import load_records
from conda_store_hub.builder.virtual import list_virtual_packages
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.errors import CondaStoreHubError, InvalidRequestError, PipError
from conda_store_hub.core.matchspec import parse_dependency
from conda_store_hub.core.protocol import BuildRequest

_RETRIES = 2
_STATE_SECONDS = 5  # an answer of one line; without it there is a solve


def make_index_client(request: BuildRequest) -> Client:
    """Return a client that retries and gives up; the engine's own default does neither.

    Its time-out is for a whole answer, so it is not for packages.
    """
    return Client.default_client(max_retries=_RETRIES, timeout=2 * request.network_seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """Exact packages by name, how they were found, and the state of the channels before that."""

    records: tuple[RepoDataRecord, ...]
    how: str
    channel_state: str | None = None
    reused: bool = False


class Solver:
    """Solves one request; keeps what it read of the channels for the words of a failure."""

    def __init__(self, request: BuildRequest) -> None:
        self._request = request
        self._client = make_index_client(request)
        self._takes_oldest = False
        self._gateway = self._open_gateway(cache="cache-or-fetch")
        self._index_cache = IndexCache(Path(request.directories.repodata), request.channels, request.platform)
        self._policy = Policy(request)
        self.specs = [parse_dependency(entry) for entry in request.dependencies]

    async def solve(self) -> Solution:
        """Return the packages, from a lock if there is one that counts.

        Raises ChannelUnavailableError, PackageNotFoundError, SolveError, BuildTimedOutError, PipError,
        PackageCorruptError.
        """
        solution = await self._find()
        if breach := self._policy.find_breach(solution.records):
            raise breach
        self._require_python(solution.records)
        return solution

    async def _find(self) -> Solution:
        request = self._request
        if request.locked:
            records = await LockedRecords(self._gateway, request.platform).find(request.list_locked())
            return Solution(records=_sort(records), how="Taken from the lock file")
        if request.records is not None:
            return Solution(records=_sort(load_records(Path(request.records))), how="Taken from the lock")
        patience = min(_STATE_SECONDS, request.network_seconds)
        # Before the solve: what changes in between makes the next build solve again.
        state = await asyncio.to_thread(read_channel_state, request.channels, request.platform, patience=patience)
        if reused := self._find_reusable(state):
            return Solution(records=_sort(reused), how="No channel changed: reused", channel_state=state, reused=True)
        self._index_cache.renew(self._gateway, state)
        records = await self._solve()
        if self._takes_oldest:  # the state is of a newer form, and tells nothing of what was read
            state = None
        self._index_cache.remember(state)
        return Solution(records=_sort(records), how="Solved", channel_state=state)

    def _find_reusable(self, state: str | None) -> list[RepoDataRecord] | None:
        """Return the records of an earlier build, if this one would solve for the same."""
        reuse = self._request.reuse
        if reuse is None or state is None or reuse.channel_state != state:
            return None
        try:
            records = load_records(Path(reuse.records))
        except InvalidRequestError as exc:
            say(f"Warning: the earlier lock cannot be read, so this is solved anew: {exc.detail}")
            return None
        return None if self._policy.find_breach(records) else records

    def _require_python(self, records: Sequence[RepoDataRecord]) -> None:
        if not self._request.has_pip_part or any(record.name.normalized == "python" for record in records):
            return
        first = self._request.pip[0] if self._request.pip else None
        raise PipError(
            "The pip part needs Python: add `python` to the dependencies.",
            line=first.line if first else None,
            column=first.column if first else None,
        )

    async def _solve(self, *, cache: CacheAction = "cache-or-fetch") -> list[RepoDataRecord]:
        try:
            return await self._run(self._policy.specs)
        except GatewayError as exc:
            other = self._find_other_way(str(exc), cache)
            if other is None:
                raise explain_channel(str(exc), self._request.channels) from exc
        except SolverError as exc:
            raise await self._explain(str(exc)) from exc
        self._gateway = self._open_gateway(cache=other)
        return await self._solve(cache=other)

    def _find_other_way(self, text: str, cache: CacheAction) -> CacheAction | None:
        """Return how the channels can be read after this failure, each way once; None if there is none."""
        if tells_bad_form(text) and not self._takes_oldest:
            say(f"Warning: a newer form of an index fails, so the oldest is read: {strip_credentials(text)}")
            self._takes_oldest = True
            return cache
        # A server that answers 304 without the ETag that belongs to it: read everything anew, once.
        return "no-cache" if "304 Not Modified" in text and cache != "no-cache" else None

    async def _run(self, constraints: Sequence[MatchSpec]) -> list[RepoDataRecord]:
        return await run_solver(
            self._request.channels,
            self.specs,
            gateway=self._gateway,
            platforms=[Subdir(self._request.platform), Subdir("noarch")],
            virtual_packages=list_virtual_packages(self._request.platform, self._request.virtual_packages),
            channel_priority=ChannelPriority.Strict,
            timeout=timedelta(seconds=self._request.solve_seconds),
            constraints=constraints,
            # A channel may name further channels (CEP 42): nobody has allowed those.
            channel_relations="disabled",
        )

    async def _explain(self, text: str) -> CondaStoreHubError:
        """Return the error for the solver's words: the policy's fault if there is a solution without it."""
        if self._policy.rules and "cancelled" not in text:
            try:
                await self._run([])
            except SolverError as exc:
                text = str(exc)
            else:
                return explain_policy(text, self._policy, self._request, self.specs)
        return await explain_solver(text, self._request, self._gateway, self.specs)

    def _open_gateway(self, *, cache: CacheAction) -> Gateway:
        config = SourceConfig(cache_action=cache)
        return Gateway(
            cache_dir=Path(self._request.directories.repodata),
            client=self._client,
            default_config=take_oldest_form(config) if self._takes_oldest else config,
        )


def require_this_platform(platform: str) -> None:
    """Raise InvalidRequestError when packages of `platform` would not run here."""
    here = str(Subdir.current())
    if platform != here:
        raise InvalidRequestError(f"This machine can build for {here}, not for {platform}.")


def _sort(records: Sequence[RepoDataRecord]) -> tuple[RepoDataRecord, ...]:
    return tuple(sorted(records, key=lambda record: record.name.normalized))
