"""Retention: which builds an environment keeps and for how long, and what goes once it cannot be brought back.

A build stays as long as it is among the newest `keep_builds` of its environment, or younger than `keep_days`. The
newest completed one always stays, and so do the active one, one that is pinned or has a tag, and one that somebody uses
or waits for.
Those that failed or were cancelled count among themselves in the same way, and nothing is kept of one that goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from sqlalchemy.orm import Session

from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.layers import Effective
from conda_store_hub.core.policy import PolicyValues
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db import policies as rows
from conda_store_hub.db import queries, retention
from conda_store_hub.db.retention import Spare
from conda_store_hub.db.tables import Environment
from conda_store_hub.services import audit, policies, removals
from conda_store_hub.services.rules import BuildRules

KEYS = ("keep_builds", "keep_days")
MOST_BUILDS = 100
#: A little longer than an environment can be brought back: nobody does both at one moment.
GIVEN_UP_AFTER = removals.UNDO + timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Environments that have builds to remove; `position` is where to go on, None at the end."""

    due: tuple[int, ...]
    position: int | None


def is_limited(session: Session, rules: BuildRules) -> bool:
    """Tell whether anything says anywhere that not all builds are kept."""
    set_here = any(getattr(rules.values, key) is not None for key in KEYS)
    return set_here or rows.is_set_anywhere(session, KEYS)


def find_due(session: Session, rules: BuildRules, after: int, limit: int) -> Found:
    """Look at the next environments above the id `after`."""
    looked_at = retention.living_environments(session, after, limit)
    due = _list_due(session, [number for number, several in looked_at if several], rules)
    return Found(due=due, position=looked_at[-1][0] if looked_at else None)


def find_due_where_ended(session: Session, rules: BuildRules, first: int | None) -> Found:
    """Look at the environments of builds that have ended since `position` was `first`; None is from now on."""
    position = retention.first_unfinished(session)
    changed = [] if first is None else retention.environments_ended_in(session, first)
    limited = bool(changed) and is_limited(session, rules)
    return Found(due=_list_due(session, changed, rules) if limited else (), position=position)


def _list_due(session: Session, environment_ids: Sequence[int], rules: BuildRules) -> tuple[int, ...]:
    now = datetime.now(UTC)
    spare = retention.spare_builds(session, environment_ids, now)
    layers = policies.list_layers_of(session, KEYS, {each.environment_id: each.namespace_id for each in spare})
    return tuple(
        number
        for number, own in groupby(spare, lambda each: each.environment_id)
        if _select_due(own, rules.at(layers[number]).values, now)
    )


def _select_due(spare: Iterable[Spare], values: PolicyValues, now: datetime) -> list[Spare]:
    """Return those spare builds of one environment that may go."""
    newest, days = values.keep_builds, values.keep_days
    if newest is None and days is None:
        return []
    return [each for each in spare if not _is_kept(each, newest, days, now)]


def _is_kept(spare: Spare, newest: int | None, days: int | None, now: datetime) -> bool:
    is_new = newest is not None and spare.place <= newest
    return is_new or (days is not None and now - spare.ended_at < timedelta(days=days))


def remove_due(session: Session, environment_id: int, rules: BuildRules) -> int:
    """Remove what an environment does not keep, at most MOST_BUILDS; return how many builds that were.

    Everything is asked anew: somebody may have activated, pinned or begun to use one since it was found.
    """
    environment = retention.hold_environment(session, environment_id)
    if environment is None:
        return 0
    policy = policies.rules_at(session, rules, environment.namespace, environment).policy
    now = datetime.now(UTC)
    due = _select_due(retention.spare_builds(session, [environment_id], now), policy.values, now)
    oldest_first = due[::-1][:MOST_BUILDS]
    for each in oldest_first:
        _remove(session, environment, each, rules, _say(policy))
    return len(oldest_first)


def _remove(session: Session, environment: Environment, spare: Spare, rules: BuildRules, words: str) -> None:
    row = queries.find_build(session, spare.build_id)
    if row is None:
        return
    is_completed = row.status is BuildStatus.COMPLETED
    size = row.size if is_completed else row.log_size
    removals.remove(session, row, rules.kept_artifacts if is_completed else ())
    audit.record(
        session,
        audit.ITSELF,
        AuditAction.BUILD_DELETE,
        namespace=environment.namespace,
        environment=environment,
        build_id=row.id,
        detail=f"not kept by {words}: {size} bytes",
    )


def _say(policy: Effective) -> str:
    """Return what was set, and where: `keep_builds 3 (service)`."""
    given = ((key, getattr(policy.values, key)) for key in KEYS)
    return ", ".join(f"{key} {value} ({policy.source(key)})" for key, value in given if value is not None)


# What cannot be brought back


def find_expired(session: Session, after: int, limit: int) -> Sequence[int]:
    """Return environments above the id `after` that cannot be brought back any more and still have something.

    Those of a deleted namespace are among them: they were deleted with it, at the same moment.
    """
    return retention.expired_environments(session, datetime.now(UTC) - GIVEN_UP_AFTER, after, limit)


def give_up(session: Session, environment_id: int) -> int:
    """Remove artifacts, locks and logs of what an environment built, at most MOST_BUILDS; return how many builds.

    The rows stay, and what the audit trail tells of them.
    """
    row = retention.hold_environment(session, environment_id)
    if row is None or row.deleted_at is None or row.deleted_at > datetime.now(UTC) - GIVEN_UP_AFTER:
        return 0
    builds = retention.ended_builds(session, environment_id, MOST_BUILDS)
    size = retention.artifact_bytes(session, [build.id for build in builds]) + sum(build.log_size for build in builds)
    for build in builds:
        removals.remove(session, build, ())
    if builds:
        _tell_given_up(session, row, len(builds), size)
    return len(builds)


def _tell_given_up(session: Session, row: Environment, count: int, size: int) -> None:
    audit.record(
        session,
        audit.ITSELF,
        AuditAction.ENVIRONMENT_EXPIRE,
        namespace=row.namespace,
        environment=row,
        detail=f"cannot be brought back any more: {count} builds, {size} bytes of artifacts and logs",
    )
