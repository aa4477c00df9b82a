from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.orm import Session

from conda_store_hub.core import policy, schemas, source
from conda_store_hub.core.errors import (
    ForbiddenError,
    InvalidSpecificationError,
    NotFoundError,
    PolicyRefusedError,
    QuotaExceededError,
)
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.policy import Scope
from conda_store_hub.core.protocol import ArtifactEvent, ArtifactType, Package
from conda_store_hub.core.spec import Entry
from conda_store_hub.db import policies as rows
from conda_store_hub.db import queries
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Build, Environment
from conda_store_hub.services import (
    artifacts,
    audit,
    builds,
    hook,
    policies,
    removals,
    retention,
    specifications,
    users,
    work,
)
from conda_store_hub.services.artifacts import Location, Missing
from conda_store_hub.services.policies import Place
from conda_store_hub.services.rules import BuildRules, Proposal
from tests.support import make
from tests.support.make import ADMIN, ALICE, BOB, CAROL

SERVICE, OWN = Place(), Place(namespace="alice")
ML = Place(namespace="alice", environment="ml")
GROUP = Place(namespace="group.physics")


def change(db: Database, place: Place, by: Identity = ALICE, **given: Any) -> dict[str, schemas.Setting]:
    db.write_sync(users.ensure_namespaces, by)
    return db.write_sync(policies.change, by, place, policy.read_change(given), make.rules())


def show(db: Database, place: Place, by: Identity = ALICE) -> dict[str, schemas.Setting]:
    return db.read_sync(policies.describe, by, place, make.rules())


def target(db: Database, by: Identity = ALICE, namespace: str | None = None, name: str = "ml") -> BuildRules:
    db.write_sync(users.ensure_namespaces, by)
    return db.read_sync(builds.find_target, by, namespace, name, make.rules()).rules


def check(rules: BuildRules, text: str) -> specifications.Plan:
    prepared = builds.prepare(schemas.SubmitSpecification(specification=text), rules)
    return specifications.make_plan(prepared.source, rules)


# Setting


def test_a_value_is_set_shown_with_its_source_and_taken_back(db: Database) -> None:
    make.submit(db)
    assert change(db, SERVICE, ADMIN, build_seconds=600)["build_seconds"].source is Scope.SERVICE
    assert change(db, OWN, build_seconds=300, keep_builds=4)["build_seconds"].value == 300
    there = change(db, ML, build_seconds=60, forbidden_packages=["numpy<2"])
    assert (there["build_seconds"].value, there["build_seconds"].source) == (60, Scope.ENVIRONMENT)
    assert [(one.source, one.value) for one in there["build_seconds"].given] == [
        (Scope.SERVICE, 600),
        (Scope.NAMESPACE, 300),
        (Scope.ENVIRONMENT, 60),
    ]
    assert show(db, ML)["keep_builds"].source is Scope.NAMESPACE
    back = change(db, ML, build_seconds=None, solve_seconds=None)
    assert (back["build_seconds"].value, back["build_seconds"].source) == (300, Scope.NAMESPACE)
    assert show(db, ML)["forbidden_packages"].value == ["numpy<2"]


def test_settings_of_one_namespace_show_in_no_other(db: Database) -> None:
    """conda-store changed the defaults themselves: what one namespace had set was then everybody's."""
    for who in (ALICE, BOB):
        db.write_sync(users.ensure_namespaces, who)
    before = show(db, Place(namespace="bob"), BOB)
    change(db, OWN, default_channels=["mine"], forbidden_packages=["numpy"], pip_allowed=False, quota_builds=1)
    for _ in range(2):
        assert show(db, OWN)["pip_allowed"].value is False
        assert show(db, Place(namespace="bob"), BOB) == before
        assert show(db, SERVICE, ADMIN)["default_channels"].value == ["main"]
    assert target(db, BOB).values.forbidden_packages == ()


def test_nothing_can_be_set_that_is_looser_than_what_counts_around_it(db: Database) -> None:
    change(db, SERVICE, ADMIN, build_seconds=600, pip_allowed=False, allowed_channels=["main"], keep_days=30)
    for given, says in (
        ({"build_seconds": 601}, "`build_seconds` can only be made tighter here: around it counts 600 (service)"),
        ({"pip_allowed": True}, "around it counts false (service)"),
        ({"allowed_channels": ["main", "other"]}, "https://channels.example/main"),
        ({"keep_days": 31}, "around it counts 30"),
        ({"solve_seconds": 61}, "around it counts 60 (configuration)"),
        ({"channel_aliases": {"main": "https://evil.example"}}, "can only be set for: service"),
    ):
        with pytest.raises(PolicyRefusedError) as caught:
            change(db, OWN, **given)
        assert says in caught.value.message
    assert all(not setting.given or setting.source != "namespace" for setting in show(db, OWN).values())
    change(db, SERVICE, ADMIN, build_seconds=9000)  # over the configuration's


def test_what_was_set_counts_for_less_when_what_is_around_becomes_tighter(db: Database) -> None:
    change(db, OWN, build_seconds=500)
    change(db, SERVICE, ADMIN, build_seconds=100)
    there = show(db, OWN)["build_seconds"]
    assert (there.value, there.source, there.given[-1].value) == (100, Scope.SERVICE, 500)


def test_who_may_set_and_read_what(db: Database) -> None:
    make.submit(db)
    for who in (ALICE, BOB, CAROL):
        db.write_sync(users.ensure_namespaces, who)
    for act in (lambda who, place: show(db, place, who), lambda who, place: change(db, place, who, keep_builds=1)):
        with pytest.raises(ForbiddenError, match="administrators of the Hub"):
            act(ALICE, SERVICE)
        for place in (OWN, ML):
            with pytest.raises(NotFoundError):
                act(BOB, place)
    assert show(db, GROUP, CAROL)["keep_builds"].value is None  # a developer reads
    with pytest.raises(ForbiddenError, match="setting::update"):
        change(db, GROUP, CAROL, keep_builds=1)
    assert change(db, GROUP, ADMIN, keep_builds=1)["keep_builds"].value == 1


def test_each_change_is_written_down_and_no_more(db: Database) -> None:
    for _ in range(2):
        change(db, OWN, forbidden_packages=["numpy"], keep_days=None)
    change(db, OWN, forbidden_packages=None)
    change(db, OWN, included_packages=[f"p{number}" for number in range(999)])
    entries = db.read_sync(audit.list_entries, ALICE, namespace="alice", size=100)
    told = [(entry.action, entry.detail) for entry in entries if entry.action.startswith("policy")]
    assert [action for action, _ in told] == ["policy.set", "policy.unset", "policy.set"]
    assert told[2][1] == 'forbidden_packages: ["numpy"]'
    assert len(told[0][1]) < 600


# Specifications


def test_rules_are_those_of_the_environment_or_of_the_namespace_of_a_new_one(db: Database) -> None:
    make.submit(db)
    change(db, OWN, forbidden_packages=["a"])
    change(db, ML, forbidden_packages=["b"])
    assert target(db).values.forbidden_packages == ("a", "b")
    assert target(db, name="new").values.forbidden_packages == ("a",)


def test_who_may_not_build_there_learns_nothing_of_the_rules(db: Database) -> None:
    change(db, OWN, forbidden_packages=["python"])
    with pytest.raises(NotFoundError):
        target(db, BOB, "alice")


@pytest.mark.parametrize(
    ("given", "dependencies", "line", "says"),
    [
        ({"forbidden_packages": ["numpy"]}, ("python", "numpy>=3"), 6, "the configuration forbids “numpy”"),
        ({"forbidden_packages": ["NumPy<2"]}, ("numpy=1.26",), 5, "forbids “NumPy<2”"),
        ({"forbidden_packages": ["z", "a"]}, ("python", "a", "z"), 6, "“a” cannot be used"),
        ({"required_packages": ["ipykernel", "python>=3.10"]}, ("python",), None, "requires “ipykernel”:"),
        ({"pip_allowed": False}, ("python", "pip:\n      - flask"), 7, "allows no pip part"),
        ({"forbidden_packages": ["Flask_X"]}, ("python", "pip:\n      - flask.x>1"), 7, "forbids “Flask_X”"),
        ({"forbidden_packages": ["flask<2"]}, ("python", "pip:\n      - flask==1.1"), 7, "forbids “flask<2”"),
        ({"forbidden_packages": ["flask<2"]}, ("python", "pip:\n      - flask~=1.8.0"), 7, "forbids “flask<2”"),
        ({"forbidden_packages": ["flask<2"]}, ("python", "pip:\n      - flask>0.1,<1.9"), 7, "forbids “flask<2”"),
        ({}, ("python", "pip:\n      - --index-url https://evil.example\n      - flask"), 7, "no index"),
        (
            {"pip_indexes": ["https://a.example", "https://b.example"]},
            ("python", "pip:\n      - -i https://a.example\n      - -i https://b.example"),
            8,
            "a second one",
        ),
    ],
)  # fmt: skip
def test_what_a_policy_does_not_allow_is_refused_at_its_line(
    given: dict[str, Any], dependencies: tuple[str, ...], line: int | None, says: str
) -> None:
    with pytest.raises(PolicyRefusedError) as caught:
        check(make.rules(**given), make.text("ml", *dependencies))
    assert says in caught.value.message
    assert caught.value.line == line


def test_what_is_asked_of_the_builder_follows_from_the_policy() -> None:
    rules = make.rules(
        forbidden_packages=["numpy<2", "badlib", "flask<1"],
        required_packages=["python>=3.10"],
        included_packages=["ipykernel", "pandas", "scipy>=1"],
        pip_indexes=["https://a.example/simple", "https://b.example"],
    )
    text = make.text("ml", "python", "numpy", "pandas=2", "scipy", "pip:\n      - -i https://b.example/\n      - flask")
    plan = check(rules, text)
    assert [entry.text for entry in plan.dependencies] == [
        "python", "numpy", "pandas=2", "scipy", "ipykernel", "scipy>=1",
    ]  # fmt: skip
    assert plan.constraints == ("python>=3.10",)
    assert plan.excluded == ("numpy<2", "badlib", "flask<1")
    assert plan.demanded == ("python>=3.10", "ipykernel", "scipy>=1")
    assert plan.wheel_places == ("https://a.example", "https://b.example")
    assert (plan.pip_index, [entry.text for entry in plan.pip]) == ("https://b.example", ["flask"])
    assert check(rules, make.text("ml", "python")).pip_index == "https://a.example/simple"
    assert check(make.rules(), make.text()).pip_index is None


def test_aliases_are_names_of_addresses_that_have_to_be_allowed() -> None:
    text = make.text().replace("- main", "- ours\n  - https://x.example/ours/label/dev")
    aliases = {"ours": "https://x.example/ours/"}
    assert check(make.rules(channel_aliases=aliases), text).channels == (
        "https://x.example/ours",
        "https://x.example/ours/label/dev",
    )
    with pytest.raises(PolicyRefusedError) as caught:
        check(make.rules(channel_aliases=aliases, allowed_channels=["main"]), text)
    assert caught.value.line == 3


def test_a_specification_without_packages_gets_the_default_ones() -> None:
    empty = "name: ml\nchannels: [main]\ndependencies: []\n"
    assert [entry.text for entry in check(make.rules(default_packages=["python", "numpy"]), empty).dependencies] == [
        "python",
        "numpy",
    ]
    with pytest.raises(InvalidSpecificationError, match="at least one") as caught:
        check(make.rules(included_packages=["python"]), empty)
    assert caught.value.line == 3


# The administrator's own check


def ask(asked: Any) -> list[str]:
    said: list[str] = []
    log = logging.Logger("test")
    log.addHandler(handler := logging.StreamHandler())
    handler.emit = lambda record: said.append(handler.format(record))  # type: ignore[method-assign]
    found = source.read(make.text(), "linux-64").specification
    proposal = Proposal(namespace="alice", environment="ml", text=make.text(), specification=found, who="alice")
    hook.ask(proposal, make.rules(hook=asked), log)
    return said


def test_a_check_is_told_what_is_proposed_and_can_change_nothing() -> None:
    seen: list[Proposal] = []
    ask(seen.append)
    (proposal,) = seen
    assert (proposal.namespace, proposal.environment, proposal.who) == ("alice", "ml", "alice")
    assert proposal.specification.dependencies == (Entry(text="python", line=5, column=5),)
    with pytest.raises(AttributeError):
        proposal.who = "root"  # type: ignore[misc]


def fail(error: BaseException) -> Any:
    def hook(_: Proposal) -> None:
        raise error

    return hook


@pytest.mark.parametrize(
    ("hook", "says", "traceback"),
    [
        (lambda _: "Not on Fridays.", "Not on Fridays.", False),
        (fail(PolicyRefusedError("Not here.", line=2)), "Not here.", False),
        (fail(KeyError("secret")), "own check of specifications failed", True),
        (fail(SystemExit(1)), "own check of specifications failed", True),
        (lambda _: False, "own check of specifications failed", True),
    ],
)
def test_a_check_refuses_in_words_however_it_ends(
    hook: Any, says: str, traceback: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[object] = []
    monkeypatch.setattr(logging.Logger, "exception", lambda self, *args: logged.append(args))
    with pytest.raises(PolicyRefusedError) as caught:
        ask(hook)
    assert says in caught.value.message
    assert "secret" not in caught.value.message
    assert bool(logged) is traceback


# Builds


def test_a_change_counts_for_what_is_queued(db: Database) -> None:
    build_id = make.submit(db)
    change(db, OWN, build_seconds=7, forbidden_packages=["python"])
    claim = db.write_sync(work.claim, "local:test")
    assert claim is not None
    assert claim.build_id == build_id
    rules = make.rules().at(claim.policy)
    assert rules.values.build_seconds == 7
    with pytest.raises(PolicyRefusedError, match="policy of the namespace forbids"):
        check(rules, claim.text)


def test_artifacts_are_those_of_the_place(db: Database, data: DataDirectory) -> None:
    change(db, OWN, artifacts=["YAML"])
    build = db.read_sync(builds.get_build, ALICE, make.submit(db), data=data)
    assert [item.artifact_type for item in [*build.build_artifacts, *build.unfinished_artifacts]] == [ArtifactType.YAML]


def test_a_quota_of_builds_says_what_could_go(db: Database) -> None:
    first = make.submit(db)
    make.complete(db, first)
    second = make.submit(db)
    make.complete(db, second)
    change(db, OWN, quota_builds=2)
    with pytest.raises(QuotaExceededError, match=rf"“alice” has 2 builds and may have 2.*build {first} of “ml”"):
        make.submit(db, yaml=make.text("other"))
    listed, count = db.read_sync(builds.list_builds, ALICE, page=1, size=10)
    assert (count, {build.environment for build in listed}) == (2, {"ml"})
    make.submit(db, BOB)
    make.submit(db, CAROL, namespace="group.physics")


def test_a_build_that_failed_takes_no_room_and_one_that_is_queued_does(db: Database) -> None:
    change(db, OWN, quota_builds=1)
    db.write_sync(work.finish, make.claim(db, make.submit(db)), PolicyRefusedError())
    make.submit(db)
    with pytest.raises(QuotaExceededError):
        make.submit(db)


def test_what_was_deleted_comes_back_whatever_the_quota(db: Database) -> None:
    build_id = make.submit(db)
    ticket = make.claim(db, build_id)
    event = ArtifactEvent(artifact=ArtifactType.RECORDS, path="", sha256="a" * 64, size=1)
    db.write_sync(work.record_artifact, ticket, event, "records")
    db.write_sync(work.mark_usable, ticket, make.usable())
    db.write_sync(work.finish, ticket, None)
    db.write_sync(removals.delete_environment, ALICE, "alice", "ml", force=False)
    db.write_sync(_lose_prefix, build_id)
    change(db, OWN, quota_builds=0)
    db.write_sync(removals.restore_environment, ALICE, "alice", "ml", None, make.rules())
    again = db.write_sync(work.claim, "local:test")
    assert again is not None
    assert (again.build_id, again.lock) == (build_id + 1, work.StoredLock(build_id=build_id, records="records"))
    with pytest.raises(QuotaExceededError):
        make.submit(db)


def _lose_prefix(session: Session, build_id: int) -> None:
    row = queries.find_build(session, build_id)
    assert row is not None
    row.prefix_name = None


def test_an_environment_and_its_namespace_have_quotas_of_their_own(db: Database) -> None:
    make.complete(db, make.submit(db))
    change(db, OWN, quota_builds=2)
    change(db, ML, quota_builds=1)
    with pytest.raises(QuotaExceededError, match="“alice/ml” has 1 builds and may have 1"):
        make.submit(db)
    make.submit(db, yaml=make.text("other"))
    with pytest.raises(QuotaExceededError, match="“alice” has 2"):
        make.submit(db, yaml=make.text("third"))


def held(db: Database, environment: int | None = None) -> int:
    return db.read_sync(rows.count_held, db.read_sync(_get_build, 1).environment.namespace_id, environment).storage


def _get_build(session: Session, build_id: int) -> Build:
    row = queries.find_build(session, build_id)
    assert row is not None
    return row


def test_a_quota_of_bytes_is_of_what_is_on_disk_and_shared_bytes_count_once(db: Database) -> None:
    shared = Package(manager="conda", name="python", version="3.11.7", installed_size=50_000)
    event = make.usable().model_copy(update={"packages": (shared,)})
    for name in ("one", "two"):
        ticket = make.complete(db, make.submit(db, yaml=make.text(name)), event)
        for artifact, key in ((ArtifactType.CONDA_PACK, name), (ArtifactType.LOCKFILE, "the same")):
            made = ArtifactEvent(artifact=artifact, path="x", sha256="a" * 64, size=300)
            db.write_sync(work.record_artifact, ticket, made, key)
        db.write_sync(work.tick, ticket, log=b"12345", phases=(), progress=None)
        db.write_sync(work.finish, ticket, None)
    make.complete(db, make.submit(db, BOB), event)
    assert held(db) == 2 * 1_000 + 50_000 + 3 * 300 + 2 * 5
    assert held(db, 1) == 1_000 + 50_000 + 2 * 300 + 5
    change(db, OWN, quota_bytes=52_910)
    with pytest.raises(QuotaExceededError, match=r"52,910 bytes of 2 builds and may have 52,910"):
        make.submit(db)


def test_no_more_files_are_made_of_a_build_than_there_is_room_for(db: Database) -> None:
    """Who may only read was able to fill the owner's place, file by file."""
    ticket = make.complete(db, make.submit(db))
    made = ArtifactEvent(artifact=ArtifactType.CONDA_PACK, path="x", sha256="a" * 64, size=300)
    db.write_sync(work.record_artifact, ticket, made, "key")
    db.write_sync(work.finish, ticket, None)
    asked = (ALICE, ticket.build_id, ArtifactType.EXPLICIT, make.rules())
    change(db, OWN, quota_bytes=held(db))
    for ask in (artifacts.request, artifacts.request_again):
        with pytest.raises(QuotaExceededError, match=r"bytes of 1 builds and may have"):
            db.write_sync(ask, *asked)
    there = db.read_sync(artifacts.find, ALICE, ticket.build_id, ArtifactType.CONDA_PACK)
    assert isinstance(there, Location)
    db.write_sync(artifacts.replace_damaged, there, "was changed on disk", make.rules())
    assert db.read_sync(artifacts.find, ALICE, ticket.build_id, ArtifactType.CONDA_PACK) is Missing.PENDING
    change(db, OWN, quota_bytes=held(db) + 1)
    db.write_sync(artifacts.request, *asked)


def test_what_can_be_brought_back_counts_until_it_cannot(db: Database) -> None:
    """Deleting and bringing back was a way to have any number of builds."""
    change(db, OWN, quota_builds=1)
    make.complete(db, make.submit(db))
    bytes_held = held(db)
    db.write_sync(removals.delete_environment, ALICE, "alice", "ml", force=False)
    assert held(db) == bytes_held
    with pytest.raises(QuotaExceededError, match=r"1 builds \(1 of deleted environments, which can still be brought"):
        make.submit(db, yaml=make.text("other"))
    db.write_sync(_lose_prefix, 1)
    assert held(db) == 0
    with pytest.raises(QuotaExceededError):
        make.submit(db, yaml=make.text("other"))
    db.write_sync(_expire, 1)
    db.write_sync(retention.give_up, 1)
    make.submit(db, yaml=make.text("other"))


def _expire(session: Session, environment_id: int) -> None:
    row = session.get(Environment, environment_id)
    assert row is not None
    row.deleted_at = datetime.now(UTC) - retention.GIVEN_UP_AFTER
