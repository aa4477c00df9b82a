"""What one may have by images on demand: how much in an hour, how much in all, and what not at all."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from conda_store_hub.core.errors import PolicyRefusedError, QuotaExceededError, TooManyRequestsError
from conda_store_hub.core.names import shorten
from conda_store_hub.core.packages import PackageRange, read_package
from conda_store_hub.core.permissions import Identity
from conda_store_hub.db import lifecycle, queries
from conda_store_hub.db import ondemand as rows
from conda_store_hub.db import policies as policy_rows
from conda_store_hub.db.tables import Namespace
from conda_store_hub.services import policies, rights
from conda_store_hub.services.rules import BuildRules

MOST_AN_HOUR = 20
"""Images that one may have built in an hour; those that are there, or are built for others, are not counted."""
_HOUR = timedelta(hours=1)


def require_rate(session: Session, identity: Identity, namespace: Namespace, now: datetime) -> None:
    """Raise TooManyRequestsError for who has asked for all that one may in an hour; the anonymous are one."""
    asked = rows.count_since(session, namespace.id, identity.name, now - _HOUR)
    if asked.builds < MOST_AN_HOUR or asked.first is None:
        return
    seconds = max(1, int((asked.first + _HOUR - now).total_seconds()) + 1)
    raise TooManyRequestsError.until(
        seconds,
        f"You have had {asked.builds} images built in an hour, and more are not built for one: ask again in {seconds}"
        " seconds. What is there can be pulled meanwhile.",
    )


def require_quota(session: Session, identity: Identity, namespace: Namespace, rules: BuildRules) -> None:
    """Raise QuotaExceededError where there is no room left in one's own namespace, with all that one has asked for.

    For who has no namespace, the limit on what is asked for in an hour counts, and the quota of where it is built.
    """
    name = rights.find_own_namespace(session, identity)
    own = queries.find_namespace(session, name) if name else None
    if own is None or identity.name is None:
        return
    values = policies.rules_at(session, rules, own).values
    if values.quota_builds is None and values.quota_bytes is None:
        return
    there = policy_rows.count_held(session, own.id, None)
    asked = rows.count_held(session, namespace.id, identity.name, own.id)
    has = f"“{shorten(own.name)}” has {{}}, your images on demand {{}}, and all of it may be {{}}"
    if values.quota_builds is not None and there.builds + asked.builds >= values.quota_builds:
        said = has.format(f"{there.builds} builds", asked.builds, values.quota_builds)
    elif values.quota_bytes is not None and there.storage + asked.storage >= values.quota_bytes:
        said = has.format(f"{there.storage:,} bytes", f"{asked.storage:,}", f"{values.quota_bytes:,}")
    else:
        return
    raise QuotaExceededError(f"{said}: delete builds that nobody needs, or ask who may change its settings.")


def require_allowed(session: Session, build_id: int, own: BuildRules | None) -> None:
    """Raise PolicyRefusedError where a build has what the policy of who asks forbids, though they did not name it."""
    forbidden = own.values.forbidden_packages if own is not None else ()
    if not forbidden:
        return
    ranges = [(text, PackageRange(*read_package(text))) for text in forbidden]
    for package in lifecycle.packages_of(session, build_id):
        for text, each in ranges:
            if each.covers(package.manager, package.name, package.version):
                raise PolicyRefusedError(
                    f"This image has {package.name} {package.version}: the policy of your namespace forbids “{text}”."
                )
