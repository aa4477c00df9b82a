"""Ask the service over its REST API: one typed method an endpoint, errors rebuilt from their stable codes."""

from __future__ import annotations

from http import HTTPStatus

import httpx

from conda_store_hub.client.api_access import AccessCalls
from conda_store_hub.client.api_builds import BuildCalls
from conda_store_hub.client.api_environments import EnvironmentCalls
from conda_store_hub.client.api_files import HOLD_SECONDS, FileCalls, LogPart
from conda_store_hub.core import schemas

__all__ = ["Client", "LogPart"]


class Client(AccessCalls, EnvironmentCalls, BuildCalls, FileCalls):
    """A connection to one service, with all that can be asked of it."""

    def kernels(self, since: str | None = None, wait: float = HOLD_SECONDS) -> schemas.KernelList | None:
        """Return the kernels of the active builds, or None when `wait` seconds changed nothing since an etag."""
        query = {"since": since, "wait": None if since is None else f"{wait:g}"}
        slack = httpx.Timeout(self._timeout, read=max(wait, HOLD_SECONDS) + self._timeout)
        response = self._ask("GET", "kernels/", query=query, timeout=slack, or_unchanged=since is not None)
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            return None
        answer = self._read(response, schemas.Answer[schemas.KernelList]).data
        return None if answer.etag == since else answer
