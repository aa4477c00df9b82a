"""The statements that count all there is: some go through whole indexes, and are run every few minutes at most."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from conda_store_hub.core.protocol import LIVE, ArtifactState, BuildStatus
from conda_store_hub.db import images
from conda_store_hub.db.claims import is_live
from conda_store_hub.db.tables import Artifact, Build


class Totals(NamedTuple):
    """What is on disk, in bytes; an artifact, or a layer of images, that several builds have counts once."""

    prefixes: int
    artifacts: int
    images: int


def count_live(session: Session) -> dict[BuildStatus, int]:
    """Count what is queued and what runs; an index has these alone."""
    rows = session.execute(select(Build.status, func.count()).where(is_live()).group_by(Build.status))
    counted = {status: count for status, count in rows}  # noqa: C416 - a row is no pair to the checker
    return {status: counted.get(status, 0) for status in sorted(LIVE)}


def add_up(session: Session) -> Totals:
    """Add up prefixes, artifacts and layers; of these an index has all it takes, in the order that it takes."""
    there = (Build.prefix_name.is_not(None), Build.status == BuildStatus.COMPLETED)
    prefixes = session.scalar(select(func.coalesce(func.sum(Build.size), 0)).where(*there))
    ready = Artifact.state == ArtifactState.READY
    kept = select(func.max(Artifact.size).label("size")).where(ready).group_by(Artifact.key).subquery()
    artifacts = session.scalar(select(func.coalesce(func.sum(kept.c.size), 0)))
    return Totals(int(prefixes or 0), int(artifacts or 0), images.add_up(session))
