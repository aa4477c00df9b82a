"""What changed between two builds."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.db import lifecycle
from conda_store_hub.db.tables import Package
from conda_store_hub.services import builds


def compare(session: Session, identity: Identity, build_id: int, other_id: int) -> schemas.PackageDiff:
    """Return what has to change in build `other_id` to become `build_id`; one may have to be able to read both."""
    for number in (build_id, other_id):
        builds.require(session, identity, number, Permission.ENVIRONMENT_READ)
    new, old = lifecycle.packages_of(session, build_id), lifecycle.packages_of(session, other_id)
    return diff(list_versions(old), list_versions(new))


def diff(old: Iterable[schemas.PackageVersion], new: Iterable[schemas.PackageVersion]) -> schemas.PackageDiff:
    """Return the difference of two sets of packages, each by manager and name."""
    before = {(item.manager, item.name): item for item in old}
    after = {(item.manager, item.name): item for item in new}
    both = sorted(before.keys() & after.keys())
    changed = [key for key in both if not _are_same(before[key], after[key])]
    return schemas.PackageDiff(
        added=[after[key] for key in sorted(after.keys() - before.keys())],
        removed=[before[key] for key in sorted(before.keys() - after.keys())],
        changed=[schemas.PackageChange(old=before[key], new=after[key]) for key in changed],
        unchanged=len(both) - len(changed),
    )


def _are_same(one: schemas.PackageVersion, other: schemas.PackageVersion) -> bool:
    """Compare what is known of both: models of two classes are never equal, and a solve tells more than a build."""
    return (one.version, one.build, one.channel) == (other.version, other.build, other.channel)


def list_versions(rows: Iterable[Package]) -> list[schemas.PackageVersion]:
    """Return what of a build's packages is compared."""
    return [
        schemas.PackageVersion(
            manager="pip" if row.manager == "pip" else "conda",
            name=row.name,
            version=row.version,
            build=row.build,
            channel=row.channel,
        )
        for row in rows
    ]
