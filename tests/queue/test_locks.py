"""Which lock a real build takes: none, that of an earlier build, or the lock file that it was made of."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Generator

import pytest

from conda_store_hub.core import schemas
from conda_store_hub.core.artifacts import FILES
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.queue.process import BUILDER
from conda_store_hub.services import artifacts, builds, comparisons, environments, rebuilds, users
from conda_store_hub.services import hook as hooks
from conda_store_hub.services.artifacts import Location
from conda_store_hub.services.rules import BuildRules, Hook, Proposal
from conda_store_hub.storage.base import artifact_key
from tests.queue.test_runner import Bench, bench, run
from tests.support import make
from tests.support.channel import tiny_channel
from tests.support.make import ALICE


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with serve_channel(tiny_channel(tmp_path_factory.mktemp("channels") / "main")) as address:
        yield address


def rules(channel: str, hook: Hook | None = None, **values: object) -> BuildRules:
    return make.rules(channel_aliases={"main": channel}, allowed_channels=[channel], hook=hook, **values)


def run_real(data: DataDirectory, at: BuildRules, scenario: Callable[[Bench], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with bench(data, rules=at, command=BUILDER) as running:
            running.db.write_sync(users.ensure_namespaces, ALICE)
            await scenario(running)

    run(whole)


async def build(bench: Bench, at: BuildRules, text: str, **request: str) -> schemas.Build:
    prepared = builds.prepare(schemas.SubmitSpecification(specification=text, **request), at)
    made = await bench.ended(bench.db.write_sync(builds.submit, ALICE, None, prepared, at))
    assert made.status is BuildStatus.COMPLETED, bench.log_of(made.id).data.decode()
    return made


def log(bench: Bench, made: schemas.Build) -> str:
    return bench.log_of(made.id).data.decode()


def test_while_no_channel_changes_the_lock_is_reused_and_a_lockfile_makes_the_same(
    data: DataDirectory, channel: str
) -> None:
    at = rules(channel)

    async def scenario(bench: Bench) -> None:
        first = await build(bench, at, make.text("one", "app"))
        again = await build(bench, at, make.text("two", "app"))
        assert "No channel changed: reused" in log(bench, again)
        assert again.lock_build_id == first.id
        lockfile = bench.artifact(first, ArtifactType.LOCKFILE)
        assert lockfile.state is ArtifactState.READY
        stored = (data.objects / "sha256" / str(lockfile.sha256)[:2] / str(lockfile.sha256)).read_text()
        locked = await build(bench, at, stored, environment_name="three")
        assert "Taken from the lock file" in log(bench, locked)
        for made in (first, locked):
            rows, _ = bench.db.read_sync(builds.list_packages, ALICE, made.id, page=1, size=9, why=True)
            why = [(row.name, row.reason, row.needed_by, row.needed_by_count) for row in rows]
            assert why == [("app", "asked", [], 0), ("base-lib", "needed", ["app"], 1)]
        for other in (again, locked):
            changed = bench.db.read_sync(comparisons.compare, ALICE, other.id, first.id)
            assert (changed.added, changed.removed, changed.changed, changed.unchanged) == ([], [], [], 2)
        anew = bench.db.write_sync(rebuilds.rebuild, ALICE, again.id, at, exact=False, activate=True)
        assert "Solved: " in log(bench, await bench.ended(anew))

    run_real(data, at, scenario)


def test_a_lock_that_was_changed_on_disk_is_built_from_by_nobody(
    data: DataDirectory, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    at = rules(channel)

    async def scenario(bench: Bench) -> None:
        first = await build(bench, at, make.text("one", "app"))
        lock = bench.artifact(first, ArtifactType.RECORDS)
        path = data.objects / artifact_key(str(lock.sha256))
        path.chmod(0o600)
        path.write_text(path.read_text().replace("app", "pap", 1))
        again = await build(bench, at, make.text("two", "app"))
        assert (again.lock_build_id, "Solved: " in log(bench, again)) == (None, True)
        assert f"the lock of build {first.id} was changed on disk" in caplog.text
        # What was solved again is the same, and put the bytes right; so they are changed once more.
        path.write_text(path.read_text() + " ")
        exactly = bench.db.write_sync(rebuilds.rebuild, ALICE, first.id, at, exact=True, activate=True)
        refused = await bench.ended(exactly)
        assert refused.status is BuildStatus.FAILED
        assert "was changed on disk; build the specification anew" in str(refused.status_info)

    run_real(data, at, scenario)


def test_a_build_is_held_against_the_rules_of_now_whichever_way_it_came(
    data: DataDirectory, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, asked, ended = rules(channel), list[Proposal](), threading.Event()

    def hook(proposal: Proposal) -> str | None:
        asked.append(proposal)
        return "Not on a Friday." if len(asked) > 1 else None

    async def make_first(bench: Bench) -> None:
        await build(bench, at, make.text("ml", "app"))
        bench.db.write_sync(environments.rename, ALICE, "alice", "ml", "stats")

    async def rebuild(bench: Bench, at: BuildRules) -> schemas.Build:
        return await bench.ended(bench.db.write_sync(rebuilds.rebuild, ALICE, 1, at, exact=True, activate=True))

    def refuse(strict: BuildRules, words: str, code: str) -> None:
        async def scenario(bench: Bench) -> None:
            refused = await rebuild(bench, strict)
            assert (refused.status, refused.error_code) == (BuildStatus.FAILED, code)
            assert words in str(refused.status_info)

        run_real(data, strict, scenario)

    def never(_: object) -> None:
        ended.wait(60)

    run_real(data, rules(channel, hook=hook), make_first)
    assert len(asked) == 1
    refuse(rules(channel, hook=hook), "Not on a Friday.", "policy-refused")
    assert (asked[1].environment, asked[1].specification.name) == ("stats", "stats")
    refuse(rules(channel, forbidden_packages=["base-lib >=2"]), "excludes “base-lib >=2”", "unsatisfiable")
    refuse(rules(channel, included_packages=["odd-app"]), "demands “odd-app”, and the lock lacks it", "unsatisfiable")
    monkeypatch.setattr(hooks, "_LONGEST_SECONDS", 0.2)
    try:
        refuse(rules(channel, hook=never), "did not answer", "policy-refused")
    finally:
        ended.set()
    moved = make.rules(channel_aliases={"main": f"{channel}/moved"}, allowed_channels=[f"{channel}/moved"])
    refuse(moved, "a channel that is not allowed here", "unsatisfiable")


def test_all_that_can_be_asked_for_is_made_of_a_finished_build(data: DataDirectory, channel: str) -> None:
    at = rules(channel, artifacts=[])
    begins = {
        ArtifactType.YAML: b"name: ml\n",
        ArtifactType.LOCKFILE: b"version: 1\n",
        ArtifactType.EXPLICIT: b"",
        ArtifactType.PIXI_LOCK: b"version: ",
        ArtifactType.SBOM: b'{\n  "$schema"',
        ArtifactType.CONDA_PACK: b"\x1f\x8b",
    }

    async def scenario(bench: Bench) -> None:
        made = await build(bench, at, make.text("ml", "app"))
        for kind in FILES:
            bench.db.write_sync(artifacts.request, ALICE, made.id, kind, at)
        await bench.until(lambda: all(_is_there(bench, made.id, kind) for kind in FILES))
        for kind, first in begins.items():
            found = bench.db.read_sync(artifacts.find, ALICE, made.id, kind)
            assert isinstance(found, Location)
            bytes_of = (data.objects / found.key).read_bytes()
            assert (len(bytes_of), bytes_of[: len(first)]) == (found.size, first), kind

    run_real(data, at, scenario)


def _is_there(bench: Bench, build_id: int, kind: ArtifactType) -> bool:
    return isinstance(bench.db.read_sync(artifacts.find, ALICE, build_id, kind), Location)
