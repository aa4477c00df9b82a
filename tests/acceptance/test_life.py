"""Real builds over their life: made exactly once more, cloned, deleted, freed, and back from the lock."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db.tables import Environment
from conda_store_hub.queue import janitor
from conda_store_hub.services import comparisons, environments, rebuilds, removals
from tests.acceptance.test_crashes import SMALL, Bench, bench, channel
from tests.support import make
from tests.support.make import ALICE
from tests.support.process import until

__all__ = ["bench", "channel"]

pytestmark = pytest.mark.timeout(600)


def completed(bench: Bench, build_id: int) -> None:
    until(lambda: bench.has_ended(build_id), 240)
    assert bench.build(build_id).status is BuildStatus.COMPLETED, bench.log(build_id)


def test_a_build_is_made_exactly_once_more_and_cloned_and_comes_back(bench: Bench) -> None:
    rules = make.rules(bench.alias)
    with bench.service():
        first = bench.submit()
        completed(bench, first)
        exact = bench.db.write_sync(rebuilds.rebuild, ALICE, first, rules, exact=True, activate=True)
        clone = bench.db.write_sync(rebuilds.clone, ALICE, ("alice", "ml"), ("group.physics", "copy"), rules)
        for build_id in (exact, clone):
            completed(bench, build_id)
            assert "Taken from the lock" in bench.log(build_id)
            changed = bench.db.read_sync(comparisons.compare, ALICE, build_id, first)
            assert (changed.added, changed.removed, changed.changed) == ([], [], [])
            assert changed.unchanged >= len(SMALL)
        prefix = bench.build(exact).prefix
        assert prefix is not None
        assert os.access(f"{prefix}/bin/python", os.X_OK)
        link = bench.data.link("alice", "ml")
        until(lambda: str(link.readlink()) == prefix)
        bench.db.write_sync(environments.rename, ALICE, "alice", "ml", "stats")
        bench.db.write_sync(removals.delete_build, ALICE, first, rules.kept_artifacts, force=False)
        bench.db.write_sync(removals.delete_environment, ALICE, "alice", "stats", force=False)
        bench.db.write_sync(_two_days_later)
    # The next start follows the rows at once, and frees what is due in its first round.
    with bench.service():
        until(lambda: not link.is_symlink())
        until(lambda: len(list(bench.data.prefixes.iterdir())) == 1, janitor.EVERY_SECONDS + 60)
        bench.db.write_sync(removals.restore_environment, ALICE, "alice", "stats", None, rules)
        again = exact + 2
        completed(bench, again)
        back = bench.data.link("alice", "stats")
        until(back.is_symlink)
        assert str(back.readlink()) == bench.build(again).prefix


def _two_days_later(session: Session) -> None:
    for row in session.query(Environment).where(Environment.deleted_at.is_not(None)):
        row.deleted_at = datetime.now(UTC) - timedelta(days=2)
