"""The one way in for a specification, from the API and from the form: no rule can be walked around."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conda_store_hub.core import schemas
from conda_store_hub.core.source import Source
from conda_store_hub.services import builds, hook, solves, specifications
from conda_store_hub.services.rules import BuildRules, Proposal

if TYPE_CHECKING:
    import logging

    from conda_store_hub.core.permissions import Identity
    from conda_store_hub.services.specifications import PreparedSpecification, Submission
    from conda_store_hub.web.base import Services
    from conda_store_hub.web.held import Held

_MOMENT = 1.0  # seconds
_LARGE = 100_000  # characters, which take a tenth of a second


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What nothing in the way of: where it goes, under which rules, and what it is."""

    namespace: str
    rules: BuildRules
    prepared: PreparedSpecification


async def submit_specification(
    services: Services, identity: Identity, request: schemas.SubmitSpecification, *, log: logging.Logger
) -> int:
    """Queue a build of what was submitted and return its id; what takes long is done outside of any transaction."""
    checked = await _check(services, identity, request, log, platform=services.rules.platform)
    return await services.db.write(
        builds.submit,
        identity,
        request.namespace,
        checked.prepared,
        services.rules,
        activates=request.activate,
        fresh=request.fresh,
        latest=request.latest_build_id,
    )


async def solve_specification(
    services: Services, identity: Identity, request: schemas.SolveSpecification, *, log: logging.Logger
) -> schemas.SolvedSpecification:
    """Return what would be built of it, and what that changes; nothing is."""
    platform = request.platform or services.rules.platform
    checked = await _check(services, identity, request, log, platform=platform)
    plan = await asyncio.to_thread(specifications.make_plan, checked.prepared.source, checked.rules)
    solved = await services.solver.solve(plan, checked.rules, fresh=request.fresh, who=name_asker(identity))
    # What the active build has is for the service's platform: another one's packages are no change of it.
    place = (checked.namespace, checked.prepared.name) if platform == services.rules.platform else None
    return await services.db.read(solves.describe, identity, place, plan.wanted, solved)


async def hold_solve(
    services: Services, identity: Identity, request: schemas.SolveSpecification, *, anew: bool, log: logging.Logger
) -> schemas.SolvedSpecification | Held:
    """Return the same for this platform, or what holds it if that takes longer than a moment: it then goes on alone.

    What is held is a choice of packages: who comes back for it is held against the rights and rules of then.
    """
    checked = await _check(services, identity, request, log, platform=services.rules.platform)
    plan = await asyncio.to_thread(specifications.make_plan, checked.prepared.source, checked.rules)
    held = services.held.begin(services.solver, name_asker(identity), plan, checked.rules, anew=anew)
    if not await held.wait(_MOMENT):
        return held
    place = checked.namespace, checked.prepared.name
    return await services.db.read(solves.describe, identity, place, plan.wanted, held.read())


async def solve_source(services: Services, identity: Identity, source: Source) -> schemas.SolvedSpecification:
    """Return what would be built in one's own namespace of what has no name."""
    target = await services.db.read(builds.find_target, identity, None, None, services.rules)
    target.rules.require_builds()
    plan = await asyncio.to_thread(specifications.make_plan, source, target.rules)
    solved = await services.solver.solve(plan, target.rules, fresh=False, who=name_asker(identity))
    return await services.db.read(solves.describe, identity, None, plan.wanted, solved)


async def find_place(services: Services, identity: Identity, request: schemas.ReadSpecification) -> tuple[str, str]:
    """Return the namespace and the name of the environment that a text is for."""
    submission = await read_submission(request, services.rules.platform, services.reading)
    target = await services.db.read(builds.find_target, identity, request.namespace, submission.name, services.rules)
    return target.namespace, submission.name


async def read_submission(request: schemas.ReadSpecification, platform: str, reading: asyncio.Lock) -> Submission:
    """Read what was sent; of large texts, one at a time."""
    async with reading if len(request.specification) > _LARGE else nullcontext():
        return await asyncio.to_thread(specifications.read, request, platform)


async def _check(
    services: Services,
    identity: Identity,
    request: schemas.ReadSpecification,
    log: logging.Logger,
    *,
    platform: str,
) -> Checked:
    """Read what was sent, and hold it against the rules of its place and the administrator's own check."""
    rules = replace(services.rules, platform=platform)
    submission = await read_submission(request, platform, services.reading)
    target = await services.db.read(builds.find_target, identity, request.namespace, submission.name, rules)
    prepared = await asyncio.to_thread(specifications.check, submission, target.rules)
    proposal = _propose(submission, target.namespace, identity)
    await hook.ask_in_time(proposal, target.rules, log)
    return Checked(namespace=target.namespace, rules=target.rules, prepared=prepared)


def name_asker(identity: Identity) -> str:
    """Return what one asks for solves under."""
    return f"{identity.kind} {identity.user_id or identity.name}"


def _propose(submission: Submission, namespace: str, identity: Identity) -> Proposal:
    return Proposal(
        namespace=namespace,
        environment=submission.name,
        text=submission.text,
        specification=submission.source.specification,
        who=identity.name,
    )
