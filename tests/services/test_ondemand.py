"""Images on demand: built once however many ask, by whose rules, how much of it, and for how long they stay."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from conda_store_hub.core import policy, schemas
from conda_store_hub.core.errors import (
    BuildError,
    ForbiddenError,
    InvalidNameError,
    NotAuthenticatedError,
    NotFoundError,
    PackageNotFoundError,
    PolicyRefusedError,
    QuotaExceededError,
    SolveError,
    TooManyRequestsError,
    UnknownRepositoryError,
)
from conda_store_hub.core.ondemand import NAMESPACE, Wish
from conda_store_hub.core.permissions import ANONYMOUS, Claim, Identity, IdentityKind, Reach, Role, SubjectKind
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Artifact, Build, Environment, OnDemand
from conda_store_hub.services import (
    artifacts,
    builds,
    environments,
    grants,
    images,
    kernels,
    namespaces,
    ondemand,
    ondemand_expiry,
    ondemand_limits,
    policies,
    retention,
    users,
    work,
)
from conda_store_hub.services.artifacts import Missing
from conda_store_hub.services.grants import Place as Sharing
from conda_store_hub.services.policies import Place
from conda_store_hub.services.rules import BuildRules, OnDemandRules
from tests.support import make
from tests.support.make import ADMIN, ALICE, BOB

RULES = make.rules()
NUMPY = "python.lt.3.12/numpy.gt.1.0"


def ask(db: Database, text: str = NUMPY, identity: Identity = ALICE, rules: BuildRules = RULES) -> int:
    """Do what a pull does but for waiting; return the build whose image is given out."""
    db.write_sync(users.ensure_namespaces, identity)
    asked = db.read_sync(ondemand.look, identity, Wish.parse(text), rules)
    prepared = ondemand.check(asked)
    build_id = asked.standing.build_id
    if build_id is None:
        return db.write_sync(ondemand.order, identity, asked.order, prepared, rules)
    if asked.standing.is_due:
        db.write_sync(ondemand.renew, asked.order, prepared, rules)
    db.write_sync(ondemand_expiry.note_pull, build_id)
    return build_id


def rows(db: Database) -> list[tuple[int, BuildStatus, str | None]]:
    found, _ = db.read_sync(builds.list_builds, ADMIN, page=1, size=99, namespace=NAMESPACE, ascending=True)
    return [(row.id, row.status, row.requested_by) for row in found]


def complete(db: Database, build_id: int) -> None:
    """Complete a build with its image."""
    ticket = make.complete(db, build_id)
    db.write_sync(work.record_artifact, ticket, make.artifact_event(ArtifactType.DOCKER_MANIFEST), "x/y")
    db.write_sync(work.finish, ticket, None)


def fail(db: Database, build_id: int, error: BuildError) -> None:
    db.write_sync(work.finish, make.claim(db, build_id), error)


def age(db: Database, **by: float) -> None:
    """Let everything have happened that long ago."""
    span = timedelta(**by)

    def move(session: Session) -> None:
        for build in session.query(Build):
            build.scheduled_on -= span
            build.ended_on = build.ended_on and build.ended_on - span
        for row in session.query(OnDemand):
            row.pulled_at -= span

    db.write_sync(move)


def name_of(db: Database, build_id: int) -> str:
    return db.read_sync(lambda session: session.get_one(Build, build_id).environment_id and _name(session, build_id))


def _name(session: Session, build_id: int) -> str:
    return session.get_one(Environment, session.get_one(Build, build_id).environment_id).name


def test_what_equal_versions_name_is_one_environment(db: Database) -> None:
    first = ask(db, "numpy.ge.1.0/numpy.lt.2")
    assert ask(db, "numpy.lt.2.0.0.ge.1", BOB) == first
    assert ask(db, "numpy.ge.1.1.lt.2") != first


def test_what_was_made_of_a_wish_before_equal_versions_were_one_is_still_found(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr("conda_store_hub.core.ondemand.unify_version", lambda version: version)
        old = ask(db, "numpy.gt.1.0")
    where = db.read_sync(ondemand.find_repository, Wish.parse("numpy.gt.1.0"), RULES)
    assert where.environment.startswith("numpy.gt.1.0-")
    assert ask(db, "numpy.gt.1.0") == old
    new = ask(db, "numpy.gt.1", BOB)
    assert ask(db, "numpy.gt.1.0.0") == new != old
    assert ask(db, "numpy.gt.1.0") == old


def test_all_who_wish_for_the_same_get_one_build(db: Database) -> None:
    first = ask(db)
    assert ask(db, "numpy.gt.1.0/python.lt.3.12", BOB) == first
    assert rows(db) == [(first, BuildStatus.QUEUED, "alice")]
    assert not db.read_sync(ondemand.is_usable, first)
    complete(db, first)
    assert db.read_sync(ondemand.is_usable, first)
    assert ask(db, identity=BOB) == first
    assert ask(db, "numpy.gt.1.0/python.lt.3.11", BOB) != first


def test_what_is_built_is_the_image_and_an_environment_as_any_other(db: Database) -> None:
    complete(db, build_id := ask(db))
    name = name_of(db, build_id)
    assert name.startswith("numpy.gt.1-python.lt.3.12-")
    for identity in (ALICE, BOB, ADMIN):
        where = db.read_sync(ondemand.find_repository, Wish.parse(NUMPY), RULES)
        assert db.read_sync(images.find_tagged, identity, where, "latest") == build_id
        assert name in [row.name for row in db.read_sync(environments.list_environments, identity, page=1, size=9)[0]]
    assert db.read_sync(kernels.list_kernels, BOB, data=None).list.kernels == [], "nobody's notebooks start in it"


def test_two_processes_that_are_asked_at_once_build_once(db: Database) -> None:
    db.write_sync(users.ensure_namespaces, ALICE)
    asked = db.read_sync(ondemand.look, ALICE, Wish.parse(NUMPY), RULES)
    prepared = ondemand.check(asked)
    others = [Database(db._engine.url.render_as_string(hide_password=False)) for _ in range(2)]
    with ThreadPoolExecutor(8) as threads:
        orders = [
            threads.submit(each.write_sync, ondemand.order, ALICE, asked.order, prepared, RULES) for each in others * 4
        ]
        assert len({each.result(30) for each in orders}) == 1
    for each in others:
        each.close()
    assert len(rows(db)) == 1


# Who may


def test_who_is_not_logged_in_may_ask_where_it_was_granted_and_nowhere_else(db: Database) -> None:
    nobody = Identity(name=None, kind=IdentityKind.NOBODY, anyone=True)
    for identity in (ANONYMOUS, nobody):
        with pytest.raises(NotAuthenticatedError):
            ask(db, identity=identity)
    complete(db, ask(db))
    for identity in (ANONYMOUS, nobody):
        with pytest.raises(NotAuthenticatedError):
            ask(db, identity=identity)
    give = schemas.GrantRole(subject=SubjectKind.ANYONE, role=Role.VIEWER)
    place = Sharing(namespace=NAMESPACE)
    db.write_sync(grants.grant, ADMIN, place, give, user_id=None, anonymous_allowed=True)
    assert ask(db, identity=nobody) == 1
    assert ask(db, "jq", nobody) == 2


def test_who_was_given_no_role_may_not_ask_and_makes_no_namespace(db: Database) -> None:
    elsewhere = Claim(role=Role.ADMIN, reach=Reach(namespace="a"))
    strange = Identity(name="bot", kind=IdentityKind.TOKEN, bindings=(elsewhere,))
    narrow = Identity(name="alice", limit=(Claim(role=Role.ADMIN, reach=Reach(namespace="alice")),))
    for identity in (strange, narrow):
        with pytest.raises(UnknownRepositoryError):
            ask(db, identity=identity)
    with pytest.raises(NotFoundError):
        db.read_sync(namespaces.describe, ADMIN, NAMESPACE)
    build_id = ask(db)
    for identity in (strange, narrow):
        with pytest.raises(UnknownRepositoryError):
            ask(db, identity=identity)
    (everybody,), _ = db.read_sync(grants.list_members, ADMIN, Sharing(namespace=NAMESPACE), page=1, size=9)
    db.write_sync(grants.remove, ADMIN, Sharing(namespace=NAMESPACE), everybody.id)
    with pytest.raises(UnknownRepositoryError):
        ask(db)
    with pytest.raises(NotFoundError):
        db.read_sync(builds.require_readable, ALICE, build_id)
    assert ask(db, identity=ADMIN) == build_id


@pytest.mark.parametrize("identity", [ALICE, ADMIN], ids=["alice", "an administrator"])
def test_nothing_is_written_there_by_hand(db: Database, identity: Identity) -> None:
    name = name_of(db, ask(db))
    for text in (make.text("mine"), make.text(name)):
        with pytest.raises(ForbiddenError, match="made of the names of images"):
            make.submit(db, identity, yaml=text, namespace=NAMESPACE)
        with pytest.raises(ForbiddenError):
            db.read_sync(builds.find_target, identity, NAMESPACE, name, RULES)
    with pytest.raises(NotAuthenticatedError):
        db.read_sync(builds.find_target, ANONYMOUS, NAMESPACE, None, RULES)


def test_a_service_that_offers_none_makes_none(db: Database) -> None:
    rules = BuildRules(policy=RULES.policy, platform=RULES.platform, on_demand=OnDemandRules(kept_days=0))
    with pytest.raises(PolicyRefusedError, match="makes no images on demand"):
        ask(db, rules=rules)


# What may be asked for


def set_policy(db: Database, namespace: str | None, **values: object) -> None:
    change = policy.read_change(values)
    db.write_sync(policies.change, ADMIN, Place(namespace=namespace), change, RULES)


def test_the_policy_of_who_asks_counts_beside_that_of_the_service(db: Database) -> None:
    complete(db, ask(db))
    set_policy(db, "alice", forbidden_packages=["numpy"])
    with pytest.raises(PolicyRefusedError, match="namespace forbids “numpy”") as refused:
        ask(db)
    assert refused.value.line is None
    assert ask(db, identity=BOB) == 1
    set_policy(db, NAMESPACE, forbidden_packages=["python"])
    with pytest.raises(PolicyRefusedError, match="forbids “python”"):
        ask(db, identity=BOB)
    set_policy(db, "bob", allowed_channels=["https://channels.example/other"])
    with pytest.raises(PolicyRefusedError, match="is not among those"):
        ask(db, "jq", BOB)


def test_what_who_asks_must_not_have_is_looked_for_in_what_was_built(db: Database) -> None:
    complete(db, build_id := ask(db, "jq"))

    def require(identity: Identity) -> None:
        db.read_sync(ondemand.require_allowed, identity, build_id, RULES)

    require(ALICE)
    set_policy(db, "alice", forbidden_packages=["ipykernel<7"])
    with pytest.raises(PolicyRefusedError, match="has ipykernel 6.29: the policy"):
        require(ALICE)
    db.write_sync(users.ensure_namespaces, BOB)
    require(BOB)


def test_other_channels_of_the_service_are_another_order(db: Database) -> None:
    complete(db, first := ask(db))
    set_policy(db, NAMESPACE, default_channels=["https://channels.example/other"])
    assert ask(db) != first


def test_versions_that_cannot_be_are_refused_before_anything_is_built(db: Database) -> None:
    with pytest.raises(InvalidNameError, match="No version of “python” can be"):
        ask(db, "python.lt.3.10.ge.3.12")
    with pytest.raises(NotFoundError):
        db.read_sync(namespaces.describe, ADMIN, NAMESPACE)


def test_the_quota_of_who_asks_counts_what_they_asked_for(db: Database) -> None:
    make.complete(db, make.submit(db))
    set_policy(db, "alice", quota_builds=2)
    complete(db, first := ask(db))
    with pytest.raises(QuotaExceededError, match="“alice” has 1 builds, your images on demand 1, .* may be 2"):
        ask(db, "jq")
    assert ask(db) == first
    assert ask(db, "jq", BOB)


def test_what_was_built_anew_counts_for_who_asked_for_it(db: Database) -> None:
    complete(db, first := ask(db))
    age(db, days=8)
    ask(db, identity=BOB)
    complete(db, first + 1)
    set_policy(db, "alice", quota_builds=2)
    with pytest.raises(QuotaExceededError, match="your images on demand 2, "):
        ask(db, "jq")
    assert ask(db, "jq", BOB)


def test_layers_count_for_the_quota_once_and_not_where_they_are_counted_already(db: Database) -> None:
    own = make.submit(db)
    ticket = make.complete(db, own)
    db.write_sync(images.add, own, make.blob_event("aa" * 32), "aa")
    db.write_sync(work.finish, ticket, None)
    for text in ("jq", "scipy"):
        complete(db, build_id := ask(db, text))
        for key in ("aa", "bb"):
            db.write_sync(images.add, build_id, make.blob_event(key * 32), key)
    set_policy(db, "alice", quota_bytes=2007)
    with pytest.raises(QuotaExceededError, match="your images on demand 2,007, "):
        ask(db)


def test_who_has_no_namespace_is_held_to_the_quota_of_where_it_is_built(db: Database) -> None:
    complete(db, first := ask(db))
    set_policy(db, NAMESPACE, quota_builds=1)
    bot = Identity(
        name="bot", kind=IdentityKind.TOKEN, bindings=(Claim(role=Role.VIEWER, reach=Reach(namespace=NAMESPACE)),)
    )
    asked = db.read_sync(ondemand.look, bot, Wish.parse("jq"), RULES)
    with pytest.raises(QuotaExceededError):
        db.write_sync(ondemand.order, bot, asked.order, ondemand.check(asked), RULES)
    assert ask(db) == first


def test_a_wish_without_an_environment_is_forgotten(db: Database) -> None:
    complete(db, ask(db))
    ask(db, "jq")

    def lose(session: Session) -> None:
        session.query(OnDemand).filter_by(wish="jq").one().environment_id = None

    db.write_sync(lose)
    db.write_sync(ondemand_expiry.forget_wishes)
    assert db.read_sync(lambda session: [row.wish for row in session.query(OnDemand)]) == ["numpy.gt.1/python.lt.3.12"]


def test_only_what_is_built_counts_for_the_rate(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ondemand_limits, "MOST_AN_HOUR", 2)
    for text in ("jq", "jq", "python", "python", "jq"):
        ask(db, text)
    with pytest.raises(TooManyRequestsError, match="ask again in 3[56]") as refused:
        ask(db, "numpy")
    assert 3500 < refused.value.seconds <= 3601
    assert ask(db, "jq") == 1
    assert ask(db, "numpy", BOB) == 3
    age(db, hours=1, minutes=1)
    assert ask(db, "scipy") == 4


# What cannot be, and what is old


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PackageNotFoundError("There is no package nosuch.", line=4, column=5), SolveError),
        (SolveError("numpy 2 needs python 3."), SolveError),
        (BuildError("The disk is full."), BuildError),
    ],
)
def test_what_failed_is_answered_with_the_reason_and_tried_again_later(
    db: Database, error: BuildError, kind: type[BuildError]
) -> None:
    fail(db, build_id := ask(db, "nosuch"), error)
    with pytest.raises(kind, match=error.message + f" The log is that of build {build_id}; .* tried again") as refused:
        ask(db, "nosuch", BOB)
    assert isinstance(refused.value, SolveError) == isinstance(error, SolveError)
    with pytest.raises(kind):
        db.read_sync(ondemand.is_usable, build_id)
    assert len(rows(db)) == 1
    age(db, minutes=11)
    assert ask(db, "nosuch", BOB) != build_id
    assert [row[1:] for row in rows(db)] == [(BuildStatus.FAILED, "alice"), (BuildStatus.QUEUED, "bob")]


def test_one_that_was_cancelled_is_said_to_be(db: Database) -> None:
    build_id = ask(db)
    db.write_sync(builds.cancel, ADMIN, build_id)
    with pytest.raises(BuildError, match="was cancelled"):
        ask(db)


def test_an_image_that_could_not_be_made_is_tried_again_later(db: Database) -> None:
    complete(db, first := ask(db))

    def break_image(session: Session, again_at: datetime | None = None) -> None:
        row = session.query(Artifact).filter_by(artifact_type=ArtifactType.DOCKER_MANIFEST).one()
        row.state, row.error, row.again_at = ArtifactState.FAILED, "The base image cannot be read.", again_at

    db.write_sync(break_image)
    with pytest.raises(BuildError, match="The base image cannot be read"):
        ask(db)
    age(db, minutes=11)
    db.write_sync(break_image, datetime.now(UTC))
    assert ask(db) == first, "the image alone is made again where its failure passes"
    db.write_sync(break_image)
    assert ask(db) != first


def test_who_may_ask_without_logging_in_has_an_image_made_again_whose_failure_passed(db: Database) -> None:
    nobody = Identity(name=None, kind=IdentityKind.NOBODY, anyone=True)
    kind = ArtifactType.DOCKER_MANIFEST
    complete(db, first := ask(db))

    def break_image(session: Session) -> None:
        row = session.query(Artifact).filter_by(artifact_type=kind).one()
        row.state, row.error, row.again_at = ArtifactState.FAILED, "The registry is away.", datetime.now(UTC)

    db.write_sync(break_image)
    with pytest.raises(NotAuthenticatedError):
        db.write_sync(artifacts.request, nobody, first, kind, RULES)
    give = schemas.GrantRole(subject=SubjectKind.ANYONE, role=Role.VIEWER)
    for namespace in (NAMESPACE, "alice"):
        db.write_sync(grants.grant, ADMIN, Sharing(namespace=namespace), give, user_id=None, anonymous_allowed=True)
    assert ask(db, identity=nobody) == first
    db.write_sync(artifacts.request, nobody, first, kind, RULES)
    assert db.read_sync(artifacts.find, nobody, first, kind) is Missing.PENDING
    make.complete(db, other := make.submit(db, ALICE))
    for build_id, each in ((other, kind), (first, ArtifactType.OCI_ARCHIVE)):
        with pytest.raises(NotAuthenticatedError):
            db.write_sync(artifacts.request, nobody, build_id, each, RULES)


def test_one_that_is_old_is_given_out_and_built_anew_meanwhile(db: Database) -> None:
    complete(db, first := ask(db))
    age(db, days=6)
    assert ask(db) == first
    assert len(rows(db)) == 1
    age(db, days=1)
    assert [ask(db), ask(db, identity=BOB)] == [first, first]
    assert rows(db)[1:] == [(first + 1, BuildStatus.QUEUED, "conda-store-hub")]
    complete(db, first + 1)
    assert ask(db) == first + 1


def test_one_that_cannot_be_built_anew_is_given_out_as_it_is(db: Database) -> None:
    complete(db, first := ask(db))
    age(db, days=8)
    assert ask(db) == first
    fail(db, first + 1, SolveError("numpy is gone."))
    assert ask(db) == first
    age(db, hours=23)
    assert ask(db) == first
    assert len(rows(db)) == 2, "it failed not long ago"
    age(db, hours=2)
    assert ask(db) == first
    assert len(rows(db)) == 3


def test_the_active_build_and_the_one_before_are_kept(db: Database) -> None:
    for number in range(1, 4):
        ask(db)
        complete(db, number)
        age(db, days=8)
    (environment,) = db.read_sync(retention.find_due, RULES, 0, 99).due
    db.write_sync(retention.remove_due, environment, RULES)
    gone = db.read_sync(lambda session: [row.id for row in session.query(Build) if row.deleted_at])
    assert gone == [1]


# What nobody pulls


def expire(db: Database) -> int:
    unused = db.read_sync(ondemand_expiry.find_unused, RULES, 0)
    return sum(db.write_sync(ondemand_expiry.expire, each, RULES) for each in unused)


def test_what_nobody_pulls_goes_and_is_built_for_who_asks_again(db: Database) -> None:
    assert expire(db) == 0, "there is no namespace yet"
    complete(db, first := ask(db))
    complete(db, ask(db, "jq"))
    age(db, days=29)
    assert ask(db, "jq")
    assert expire(db) == 0
    age(db, days=2)
    unused = db.read_sync(ondemand_expiry.find_unused, RULES, 0)
    assert len(unused) == 1
    assert db.read_sync(ondemand_expiry.find_unused, RULES, unused[0]) == []
    assert expire(db) == 1
    found, _ = db.read_sync(environments.list_environments, ADMIN, page=1, size=9, namespace=NAMESPACE)
    assert [row.name.partition("-")[0] for row in found] == ["jq"]
    again = ask(db)
    assert again != first
    assert name_of(db, again) == name_of(db, first)


def test_what_is_being_built_or_pinned_stays(db: Database) -> None:
    ask(db)
    age(db, days=31)
    assert expire(db) == 0
    complete(db, 1)
    age(db, days=31)

    def pin(session: Session) -> None:
        session.get_one(Build, 1).pinned = True

    db.write_sync(pin)
    assert expire(db) == 0


def test_a_pull_is_noted_once_an_hour(db: Database) -> None:
    build_id = ask(db)
    assert db.read_sync(ondemand_expiry.is_noted, build_id)
    age(db, minutes=61)
    assert not db.read_sync(ondemand_expiry.is_noted, build_id)
    db.write_sync(ondemand_expiry.note_pull, build_id)
    assert db.read_sync(ondemand_expiry.is_noted, build_id)
    assert db.read_sync(ondemand_expiry.is_noted, make.submit(db)), "one of no wish needs no note"
