"""Files lead: what their environments are after each change, with problems, names, links to what was, and rights."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conda_store_hub.core.errors import ConflictError, ForbiddenError, InvalidSpecificationError, NotFoundError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db.session import Database
from conda_store_hub.services import audit, builds, environments, removals, specifications, watched
from conda_store_hub.services.watched import NAMESPACE, FileText, Others
from tests.support import make
from tests.support.make import ADMIN, ALICE

FOLDER = "/srv/environments"
Take = Callable[..., bool]


@pytest.fixture
def folder(db: Database) -> int:
    (found,) = db.write_sync(watched.begin, [FOLDER])
    return found.id


@pytest.fixture
def take(db: Database, folder: int) -> Take:
    """Take a text as that of a file."""

    def take(path: str, text: str, *gone: str, **names: str) -> bool:
        prepared = specifications.check(watched.read(path, text, "linux-64"), make.rules())
        file = FileText(folder_id=folder, path=path, sha256="0" * 64)
        others = Others(gone=gone, names={f"{label}.yaml": name for label, name in names.items()})
        return db.write_sync(watched.take, file, prepared, make.rules(), others)

    return take


def states(db: Database) -> list[tuple[str, BuildStatus]]:
    rows, _ = db.read_sync(builds.list_builds, ADMIN, page=1, size=50, namespace=NAMESPACE, ascending=True)
    return [(row.environment, row.status) for row in rows]


def active(db: Database, data: DataDirectory, name: str = "ml") -> int | None:
    return db.read_sync(environments.get_environment, ADMIN, NAMESPACE, name, data=data).current_build_id


def files(db: Database) -> list[tuple[str, str | None, str | None]]:
    found, _, _ = db.read_sync(watched.list_files, ADMIN, page=1, size=50)
    return [(row.path, row.environment, row.problem) for row in found]


def test_a_file_is_built_once_and_again_when_it_means_something_else(db: Database, take: Take) -> None:
    take("ml.yaml", make.text())
    take("ml.yaml", make.text())
    assert states(db) == [("ml", BuildStatus.QUEUED)]
    make.complete(db, 1)
    take("ml.yaml", "# a comment\n" + make.text())
    assert len(states(db)) == 1
    take("ml.yaml", make.text("ml", "python", "numpy"))
    assert states(db) == [("ml", BuildStatus.COMPLETED), ("ml", BuildStatus.QUEUED)]
    (submitted, *_) = db.read_sync(audit.list_entries, ADMIN, namespace=NAMESPACE, size=9)
    assert (submitted.action, submitted.actor, submitted.via) == ("build.submit", "conda-store-hub", "service")


def test_an_earlier_text_activates_its_build_and_what_is_built_meanwhile_does_not_replace_it(
    db: Database, take: Take, data: DataDirectory
) -> None:
    for build_id, text in ((1, make.text()), (2, make.text("ml", "numpy"))):
        take("ml.yaml", text)
        make.complete(db, build_id)
    assert active(db, data) == 2
    take("ml.yaml", make.text("ml", "scipy"))
    take("ml.yaml", make.text())
    assert active(db, data) == 1
    make.complete(db, 3)
    assert active(db, data) == 1
    assert len(states(db)) == 3


def test_a_file_that_goes_takes_its_environment_along_and_brings_it_back(
    db: Database, take: Take, folder: int, data: DataDirectory
) -> None:
    take("ml.yaml", make.text())
    make.complete(db, 1)
    assert db.write_sync(watched.remove, folder, "ml.yaml") == "ml"
    assert db.write_sync(watched.remove, folder, "ml.yaml") is None
    with pytest.raises(NotFoundError):
        active(db, data)
    take("back.yaml", make.text())
    assert active(db, data) == 1
    assert len(states(db)) == 1


def test_a_file_with_another_name_keeps_its_environment_and_another_name_in_it_renames_it(
    db: Database, take: Take, folder: int, data: DataDirectory
) -> None:
    take("ml.yaml", make.text())
    make.complete(db, 1)
    take("new.yaml", make.text(), "ml.yaml")
    assert db.write_sync(watched.remove, folder, "ml.yaml") is None
    assert files(db) == [("new.yaml", "ml", None)]
    take("new.yaml", make.text("stats"))
    assert active(db, data, "stats") == 1
    assert states(db) == [("stats", BuildStatus.COMPLETED)]


def test_the_first_of_two_files_with_one_name_has_it(db: Database, take: Take, folder: int) -> None:
    take("a.yaml", make.text())
    with pytest.raises(ConflictError, match=r"“a\.yaml” describes “ml” already"):
        take("b.yaml", make.text("ml", "numpy"))
    take("b.yaml", make.text("other"))
    with pytest.raises(ConflictError, match=r"“a\.yaml” describes"):
        take("b.yaml", make.text("ml"))
    assert [environment for _, environment, _ in files(db)] == ["ml", "other"]


TEXTS = {"x": make.text("x"), "y": make.text("y", "numpy"), "z": make.text("z", "scipy")}


@pytest.fixture
def three(db: Database, take: Take) -> None:
    """Have the files a, b and c describe x, y and z, each with a build of its own."""
    for number, (path, name) in enumerate(zip("abc", "xyz", strict=True), start=1):
        take(f"{path}.yaml", TEXTS[name])
        make.complete(db, number)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("order", ["xyz", "yxz", "yzx", "zxy"])
def test_files_that_exchange_their_texts_go_on_describing_what_they_say(
    db: Database, take: Take, data: DataDirectory, order: str
) -> None:
    names = dict(zip("abc", order, strict=True))
    for path, name in names.items():
        take(f"{path}.yaml", TEXTS[name], **names)
    assert files(db) == [(f"{path}.yaml", name, None) for path, name in names.items()]
    assert [active(db, data, name) for name in "xyz"] == [1, 2, 3]
    assert len(states(db)) == 3


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("order", ["yxz", "yzx", "zxy"])
def test_files_that_exchange_the_names_in_them_rename_what_they_describe(
    db: Database, take: Take, data: DataDirectory, order: str
) -> None:
    names = dict(zip("abc", order, strict=True))
    for (path, name), typed in zip(names.items(), TEXTS.values(), strict=True):
        take(f"{path}.yaml", f"name: {name}\n" + typed.partition("\n")[2], **names)
    assert files(db) == [(f"{path}.yaml", name, None) for path, name in names.items()]
    assert [active(db, data, name) for name in order] == [1, 2, 3]
    assert len(states(db)) == 3


@pytest.mark.usefixtures("three")
def test_who_takes_a_name_over_from_one_that_takes_a_new_one_keeps_what_both_have(
    db: Database, take: Take, data: DataDirectory
) -> None:
    assert take("a.yaml", make.text("y"), a="y", b="w")
    assert take("b.yaml", make.text("w", "numpy"), a="y", b="w")
    assert not take("c.yaml", TEXTS["z"])
    assert files(db) == [("a.yaml", "y", None), ("b.yaml", "w", None), ("c.yaml", "z", None)]
    assert [active(db, data, name) for name in "ywz"] == [1, 2, 3]
    with pytest.raises(ConflictError, match=r"“c\.yaml” describes “z” already"):
        take("a.yaml", make.text("z"), a="z", c="Z")
    with pytest.raises(ConflictError, match=r"“b\.yaml” describes “w” already"):
        take("d.yaml", make.text("w"), d="w", b="other")
    assert len(states(db)) == 3


def test_a_name_that_no_file_has_any_more_is_taken_over(db: Database, take: Take, data: DataDirectory) -> None:
    take("ml.yaml", make.text())
    make.complete(db, 1)
    db.write_sync(watched.begin, [])
    (other,) = db.write_sync(watched.begin, ["/elsewhere"])
    prepared = specifications.check(watched.read("x.yaml", make.text(), "linux-64"), make.rules())
    file = FileText(folder_id=other.id, path="x.yaml", sha256="0" * 64)
    db.write_sync(watched.take, file, prepared, make.rules(), Others())
    assert active(db, data) == 1
    assert len(states(db)) == 1


def test_a_problem_changes_nothing_and_is_new_once(db: Database, take: Take, folder: int, data: DataDirectory) -> None:
    take("ml.yaml", make.text())
    make.complete(db, 1)
    file = FileText(folder_id=folder, path="ml.yaml", sha256="1" * 64)
    assert db.write_sync(watched.record_problem, file, "It is not YAML.")
    assert not db.write_sync(watched.record_problem, file, "It is not YAML.")
    assert files(db) == [("ml.yaml", "ml", "It is not YAML.")]
    assert active(db, data) == 1
    take("ml.yaml", make.text())
    assert files(db) == [("ml.yaml", "ml", None)]
    assert len(states(db)) == 1


def test_what_was_deleted_by_hand_comes_back_with_the_next_text(db: Database, take: Take, data: DataDirectory) -> None:
    take("ml.yaml", make.text())
    make.complete(db, 1)
    db.write_sync(removals.delete_environment, ADMIN, NAMESPACE, "ml", force=False)
    assert files(db) == [("ml.yaml", None, None)]
    take("ml.yaml", make.text("ml", "numpy"))
    assert active(db, data) == 1
    assert states(db)[1:] == [("ml", BuildStatus.QUEUED)]


def test_a_lock_file_is_named_by_its_file() -> None:
    lock = f"@EXPLICIT\nhttps://channels.example/main/linux-64/python-3.11.7-0.conda#{'0' * 32}\n"
    assert watched.read("some/ml.conda-lock.yml", lock, "linux-64").name == "ml"
    with pytest.raises(InvalidSpecificationError, match=r"NAME\.conda-lock\.yml"):
        watched.read("some/ml.yaml", lock, "linux-64")


def test_everybody_sees_the_environments_and_who_may_read_settings_the_files(
    db: Database, take: Take, folder: int, data: DataDirectory
) -> None:
    take("ml.yaml", make.text())
    seen = db.read_sync(environments.get_environment, ALICE, NAMESPACE, "ml", data=data)
    assert (seen.name, seen.watched_file) == ("ml", "ml.yaml")
    with pytest.raises(ForbiddenError):
        db.read_sync(watched.list_files, ALICE, page=1, size=9)
    with pytest.raises(ForbiddenError):
        db.write_sync(removals.delete_environment, ALICE, NAMESPACE, "ml", force=True)
    developer = Identity(name="dora", bindings=watched.WRITER.bindings, kind=watched.WRITER.kind)
    for who, path in ((ADMIN, FOLDER), (developer, None)):
        rows, count, folders = db.read_sync(watched.list_files, who, page=1, size=9)
        assert (rows[0].path, count, [each.path for each in folders]) == ("ml.yaml", 1, [path])
        assert folders[0].id == rows[0].folder_id == folder
