from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conda_store_hub.core import schemas, source
from conda_store_hub.core.errors import (
    ConflictError,
    InvalidNameError,
    InvalidRequestError,
    InvalidSpecificationError,
    NotFoundError,
    PolicyRefusedError,
)
from conda_store_hub.core.indexes import PYPI_FILES
from conda_store_hub.core.names import BuildKey, DataDirectory
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.db.session import Database
from conda_store_hub.services import artifacts, builds, environments, logs, specifications, users, work
from conda_store_hub.services.artifacts import Location, Missing
from tests.support import make
from tests.support.make import ALICE


def prepare(text: str, **request: object) -> builds.PreparedSpecification:
    return builds.prepare(schemas.SubmitSpecification(specification=text, **request), make.rules())


def test_a_submission_is_queued_with_the_text_as_typed(db: Database, data: DataDirectory) -> None:
    yaml = "# for the course\n" + make.text()
    build = db.read_sync(builds.get_build, ALICE, make.submit(db, yaml=yaml), data=data)
    assert build.status is BuildStatus.QUEUED
    assert build.position == 1
    assert build.specification.text == yaml
    assert build.requested_by == "alice"
    assert build.prefix is None
    key = BuildKey.parse(build.build_key)
    assert (key.build_id, key.environment, key.spec_sha256) == (build.id, "ml", build.specification.sha256)


def test_each_submission_is_a_build_of_its_own(db: Database) -> None:
    first, second = make.submit(db), make.submit(db)
    assert second > first
    listed, count = db.read_sync(builds.list_builds, ALICE, page=1, size=10)
    assert [build.id for build in listed] == [second, first]
    assert count == 2


def test_those_that_wait_are_listed_with_their_places(db: Database) -> None:
    running, *queued = (make.submit(db) for _ in range(4))
    make.claim(db, running)
    listed, _ = db.read_sync(builds.list_builds, ALICE, page=1, size=3)
    assert [(build.id, build.position) for build in listed] == [(queued[2], 3), (queued[1], 2), (queued[0], 1)]
    (last,), _ = db.read_sync(builds.list_builds, ALICE, page=2, size=3)
    assert (last.id, last.position) == (running, None)


def test_a_name_that_differs_only_in_case_is_refused(db: Database) -> None:
    make.submit(db, yaml=make.text("ML"))
    with pytest.raises(ConflictError, match="“ML”"):
        make.submit(db, yaml=make.text("ml"))


def test_a_name_that_is_not_the_one_asked_for_is_refused_and_both_are_named() -> None:
    with pytest.raises(InvalidSpecificationError, match="“ml”.*“other”"):
        prepare(make.text("ml"), environment_name="other")


def test_a_specification_without_a_name_takes_the_one_asked_for() -> None:
    assert prepare("channels: [main]\ndependencies: [python]", environment_name="asked").name == "asked"
    with pytest.raises(InvalidSpecificationError, match="no `name:`"):
        prepare("channels: [main]\ndependencies: [python]")
    with pytest.raises(InvalidNameError):
        prepare("channels: [main]\ndependencies: [python]", environment_name="../x")


@pytest.mark.parametrize(
    ("text", "error", "line"),
    [
        (make.text("ml", "python", "num py"), InvalidSpecificationError, 6),
        (make.text("ml", "python", "https://x.example/a-1-0.conda"), PolicyRefusedError, 6),
        (make.text("ml", "other::numpy"), PolicyRefusedError, 5),
        (make.text("ml", "python", "pip:\n      - -e ."), PolicyRefusedError, 7),
        (make.text("ml", "numpy", "pip:\n      - flask"), InvalidSpecificationError, 7),
        (make.text().replace("- main", "- file:///srv"), PolicyRefusedError, 3),
        (make.text().replace("- main", "- https://elsewhere.example/main"), PolicyRefusedError, 3),
        (make.text() + "platforms: [osx-arm64]\n", PolicyRefusedError, None),
    ],
)
def test_what_the_rules_do_not_allow_is_refused_at_its_line(text: str, error: type, line: int | None) -> None:
    with pytest.raises(error) as caught:
        prepare(text)
    assert caught.value.line == line


LOCK = """\
version: 1
package:
- name: python
  version: 3.11.7
  manager: conda
  platform: linux-64
  url: https://channels.example/main/linux-64/python-3.11.7-h1_0.conda
  hash: {{sha256: {a}}}
- name: six
  version: 1.17.0
  manager: pip
  platform: linux-64
  url: {files}/packages/six-1.17.0-py2.py3-none-any.whl
  hash: {{sha256: {b}}}
""".format(a="a" * 64, b="b" * 64, files=PYPI_FILES)


def art(folder: str) -> str:
    """Return the lock file with its wheel in a folder of a host that has many indexes."""
    return LOCK.replace(f"{PYPI_FILES}/packages", f"https://art.example/pypi/{folder}")


EXPLICIT = f"@EXPLICIT\nhttps://channels.example/main/linux-64/python-3.11.7-h1_0.conda#sha256:{'a' * 64}\n"


def test_the_other_platforms_of_a_lock_file_are_locked_and_not_built() -> None:
    of_mac = (
        LOCK.replace("version: 1\npackage:\n", "").replace("linux-64", "osx-arm64").replace("six-1.17.0", "six-1.16.0")
    )
    of_mac = of_mac.replace("version: 1.17.0", "version: 1.16.0")
    alone, both = (prepare(text, environment_name="locked") for text in (LOCK, LOCK + of_mac))
    plan = specifications.make_plan(both.source, make.rules())
    assert plan.platforms == ("osx-arm64",)
    assert [(each.platform, each.name) for each in plan.locked] == [
        (platform, name) for platform in ("linux-64", "osx-arm64") for name in ("python", "six")
    ]
    assert both.source.sha256() == alone.source.sha256(), "what is built is the same"
    assert both.source.specification.pip[0].text == "six==1.17.0"
    assert specifications.make_plan(alone.source, make.rules()).platforms == ()


@pytest.mark.parametrize("text", [LOCK, EXPLICIT])
def test_a_lock_file_is_taken_as_it_is_and_shown_as_what_it_amounts_to(
    db: Database, data: DataDirectory, text: str
) -> None:
    db.write_sync(users.ensure_namespaces, ALICE)
    prepared = prepare(text, environment_name="locked")
    build_id = db.write_sync(builds.submit, ALICE, None, prepared, make.rules())
    plan = specifications.make_plan(prepared.source, make.rules())
    assert (plan.dependencies, plan.pip, [each.name for each in plan.locked][:1]) == ((), (), ["python"])
    found = db.read_sync(builds.get_build, ALICE, build_id, data=data).specification
    assert (found.name, found.text, found.sha256) == ("locked", text, prepared.source.sha256())
    assert found.spec["channels"] == ["https://channels.example/main"]
    assert found.spec["dependencies"][0] == "python ==3.11.7"
    db.write_sync(environments.rename, ALICE, "alice", "locked", "fixed")
    assert db.read_sync(builds.get_build, ALICE, build_id, data=data).specification.text == text


@pytest.mark.parametrize(
    ("changes", "text", "words", "line"),
    [
        ({}, LOCK.replace("channels.example/main", "elsewhere.example/main"), "not among those", 3),
        ({}, LOCK.replace(PYPI_FILES, "https://wheels.example"), "not below an index", 9),
        ({"pip_indexes": ["https://art.example/pypi/ours/simple"]}, art("other/f"), "not below an index", 9),
        ({"pip_allowed": False}, LOCK, "allows no pip part", 9),
        ({"forbidden_packages": ["six"]}, LOCK, "forbids “six”", 9),
        ({"forbidden_packages": ["python <3.12"]}, EXPLICIT, "forbids “python <3.12”", 2),
        ({"required_packages": ["ipykernel"]}, EXPLICIT, "requires “ipykernel”", None),
        ({"included_packages": ["ipykernel"]}, EXPLICIT, "the lock file lacks it", None),
        ({}, EXPLICIT.replace("linux-64", "osx-64"), "no packages for linux-64", None),
    ],
)
def test_a_lock_file_is_under_the_same_policies(
    changes: dict[str, object], text: str, words: str, line: int | None
) -> None:
    request = schemas.SubmitSpecification(specification=text, environment_name="locked")
    with pytest.raises(InvalidRequestError, match=words) as caught:
        builds.prepare(request, make.rules(**changes))
    assert caught.value.line == line


def test_a_wheel_below_an_index_that_is_allowed_may_come() -> None:
    rules = make.rules(pip_indexes=["https://art.example/pypi/ours/simple"])
    found = source.read(art("ours/f"), "linux-64")
    assert specifications.make_plan(found, rules).wheel_places == ("https://art.example/pypi/ours",)


def test_a_lock_file_needs_a_name_and_what_is_none_is_said_so() -> None:
    with pytest.raises(InvalidRequestError, match="has no name of its own"):
        prepare(LOCK)
    with pytest.raises(InvalidRequestError, match="This is no lock file"):
        prepare(make.text(), is_lockfile=True)


def test_what_a_lock_has_to_be_at_least_is_left_to_the_builder_to_check() -> None:
    rules = make.rules(required_packages=["python >=3.12"], included_packages=["python >=3.10"])
    assert specifications.make_plan(prepare(EXPLICIT, environment_name="x").source, rules).constraints == (
        "python >=3.12",
        "python >=3.10",
    )


def test_a_service_that_does_not_build_says_why() -> None:
    request = schemas.SubmitSpecification(specification=make.text())
    with pytest.raises(PolicyRefusedError, match="runs as root"):
        builds.prepare(request, make.rules(refusal="This service runs as root."))


def test_channels_are_those_written_each_once() -> None:
    written = prepare("name: ml\nchannels: [b, a, b, nodefaults]\ndependencies: [python]").source.specification
    assert specifications.resolve_channels(written, make.rules()) == (
        "https://channels.example/b",
        "https://channels.example/a",
    )


@pytest.mark.parametrize("channels", ["", "channels: []\n", "channels: [nodefaults]\n"])
def test_who_names_no_channel_gets_the_defaults(channels: str) -> None:
    silent = prepare(f"name: ml\n{channels}dependencies: [python]").source.specification
    assert specifications.resolve_channels(silent, make.rules()) == ("https://channels.example/main",)


def test_names_in_messages_are_cut(db: Database, data: DataDirectory) -> None:
    long, cut = "n" * 100_000, "“" + "n" * 64 + "…"
    with pytest.raises(InvalidSpecificationError) as unlike:
        prepare(make.text("ml"), environment_name=long)
    with pytest.raises(NotFoundError) as nowhere:
        db.write_sync(builds.submit, ALICE, long, prepare(make.text()), make.rules())
    make.submit(db)
    with pytest.raises(NotFoundError) as nothing:
        db.read_sync(environments.get_environment, ALICE, "alice", long, data=data)
    for caught in (unlike, nowhere):
        assert cut in caught.value.message
    assert f"“alice/{cut[1:]}”" in nothing.value.message
    assert max(len(caught.value.message) for caught in (unlike, nowhere, nothing)) < 200


def test_only_a_completed_build_of_the_environment_can_be_activated(db: Database) -> None:
    other = make.submit(db, yaml=make.text("other"))
    queued = make.submit(db)
    with pytest.raises(NotFoundError):
        db.write_sync(environments.update, ALICE, "alice", "ml", schemas.ActivateBuild(build_id=other))
    with pytest.raises(ConflictError, match="QUEUED"):
        db.write_sync(environments.update, ALICE, "alice", "ml", schemas.ActivateBuild(build_id=queued))


def test_packages_are_shared_by_builds_and_listed_by_name(db: Database) -> None:
    event = make.usable("python=3.11.7", "Numpy=1.26", "attrs=23")
    first, second = make.submit(db), make.submit(db)
    make.complete(db, first, event)
    make.complete(db, second, event)
    listed = [db.read_sync(builds.list_packages, ALICE, build_id, page=1, size=10)[0] for build_id in (first, second)]
    assert [package.name for package in listed[0]] == ["Numpy", "attrs", "python"]
    assert [package.id for package in listed[0]] == [package.id for package in listed[1]]


def test_an_artifact_is_found_when_its_bytes_are_there_and_not_before(db: Database) -> None:
    build_id = make.submit(db)
    with pytest.raises(ConflictError, match="once it is usable"):
        db.read_sync(artifacts.find, ALICE, build_id, ArtifactType.YAML)
    ticket = make.complete(db, build_id)
    assert db.read_sync(artifacts.find, ALICE, build_id, ArtifactType.YAML) is Missing.PENDING
    assert db.read_sync(artifacts.find, ALICE, build_id, ArtifactType.EXPLICIT) is Missing.UNASKED
    event = make.artifact_event(ArtifactType.YAML)
    db.write_sync(work.record_artifact, ticket, event, "sha256/ab/abc")
    found = db.read_sync(artifacts.find, ALICE, build_id, ArtifactType.YAML)
    assert isinstance(found, Location)
    assert (found.key, found.size, found.filename) == ("sha256/ab/abc", 7, "environment.yaml")
    db.write_sync(work.finish, ticket, None)
    with pytest.raises(NotFoundError, match="could not be made"):
        db.read_sync(artifacts.find, ALICE, build_id, ArtifactType.CONDA_PACK)


def test_a_build_that_was_made_to_fail_says_why_and_in_which_line(db: Database, data: DataDirectory) -> None:
    build_id = make.submit(db)
    error = InvalidSpecificationError("There is no package nosuch.", line=5, column=5)
    db.write_sync(work.finish, make.claim(db, build_id), error)
    build = db.read_sync(builds.get_build, ALICE, build_id, data=data)
    assert build.status_info == "There is no package nosuch. (line 5, column 5)"
    assert {item.state for item in build.build_artifacts} == {ArtifactState.FAILED}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(min_size=1, max_size=8), max_size=8), st.integers(-5, 200))
def test_a_log_is_read_from_any_byte_without_loss(db: Database, pieces: list[str], offset: int) -> None:
    build_id = make.submit(db)
    for piece in pieces:
        db.write_sync(_append, build_id, piece.encode())
    whole = "".join(pieces).encode()
    read = db.read_sync(logs.read, ALICE, build_id, offset)
    start = min(max(offset, 0), len(whole))
    assert whole[:start] + read.data == whole or whole.startswith(read.data, read.next_offset - len(read.data))
    assert read.next_offset == len(whole)
    read.data.decode()


def _append(session: object, build_id: int, data: bytes) -> None:
    from conda_store_hub.db import records

    records.append_log(session, build_id, data)  # type: ignore[arg-type]
