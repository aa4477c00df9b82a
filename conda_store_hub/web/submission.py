"""The one way in for a specification, from the API and from the form: no rule can be walked around."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING

from conda_store_hub.services import builds, specifications

if TYPE_CHECKING:
    from conda_store_hub.core import schemas
    from conda_store_hub.core.permissions import Identity
    from conda_store_hub.web.base import Services


async def submit_specification(
    services: Services, identity: Identity, request: schemas.SubmitSpecification, *, log: logging.Logger
) -> int:
    """Queue a build of what was submitted and return its id; what takes long is done outside of any transaction."""
    submission = await asyncio.to_thread(specifications.read, request)
    target = await services.db.read(builds.find_target, identity, request.namespace, submission.name, services.rules)
    prepared = await asyncio.to_thread(specifications.check, submission, target.rules)
    await asyncio.to_thread(
        functools.partial(
            specifications.ask_hook, submission, target.rules, namespace=target.namespace, identity=identity, log=log
        )
    )
    return await services.db.write(
        builds.submit,
        identity,
        request.namespace,
        prepared,
        services.rules,
        activates=request.activate,
        latest=request.latest_build_id,
    )
