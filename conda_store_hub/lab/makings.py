"""Environments that are being made for kernels, ended by who wants them no more."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Protocol

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from conda_store_hub.core.errors import NotFoundError
from conda_store_hub.core.schemas import ErrorAnswer
from conda_store_hub.lab.local import LocalBuilds


class MakesBuilds(Protocol):
    """What knows the builds that are made on this machine; None where environments have no kernels."""

    builds: LocalBuilds | None


class MakingHandler(APIHandler):
    """`DELETE conda-store-hub/api/making/KERNEL`: no longer make what that kernel waits for.

    Answers with the kernels that waited for it, none of which starts: one build is made once, however many want it.
    """

    auth_resource = "conda-store-hub"

    def initialize(self, extension: MakesBuilds) -> None:
        """Keep what knows."""
        self._extension = extension

    @web.authenticated
    @authorized
    async def delete(self, kernel_id: str) -> None:
        """End it, or answer that there is nothing to end."""
        builds = self._extension.builds
        ended = builds.cancel(kernel_id) if builds is not None else ()
        if ended:
            await self.finish(json.dumps({"kernels": list(ended)}))
            return
        self.set_status(HTTPStatus.NOT_FOUND)
        said = "Nothing is being made for this kernel."
        await self.finish(ErrorAnswer(message=said, code=NotFoundError.code).model_dump_json())
