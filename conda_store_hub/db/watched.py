"""The statements about folders and files that are watched."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session, contains_eager, joinedload

from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db.tables import Build, Environment, Specification, WatchedFile, WatchedFolder


class KnownFile(NamedTuple):
    """What was read of a file, and what was wrong with it."""

    path: str
    text_sha256: str
    problem: str | None


def list_folders(session: Session) -> Sequence[WatchedFolder]:
    """Return all folders in the order in which they came."""
    return session.scalars(select(WatchedFolder).order_by(WatchedFolder.id)).all()


def forget_folders(session: Session, paths: Collection[str]) -> None:
    """Remove all but these, with their files; what the files described stays."""
    gone = select(WatchedFolder.id).where(WatchedFolder.path.not_in(paths))
    session.execute(delete(WatchedFile).where(WatchedFile.folder_id.in_(gone)))
    session.execute(delete(WatchedFolder).where(WatchedFolder.path.not_in(paths)))


def get_folder(session: Session, folder_id: int) -> WatchedFolder:
    """Return a folder that is there."""
    return session.scalars(select(WatchedFolder).where(WatchedFolder.id == folder_id)).one()


def known_files(session: Session, folder_id: int) -> list[KnownFile]:
    """Return what is known of the files of a folder."""
    columns = select(WatchedFile.path, WatchedFile.text_sha256, WatchedFile.problem)
    return [KnownFile(*row) for row in session.execute(columns.where(WatchedFile.folder_id == folder_id))]


def find_file(session: Session, folder_id: int, path: str) -> WatchedFile | None:
    """Find a file with the environment that it describes."""
    return session.scalar(
        select(WatchedFile)
        .options(joinedload(WatchedFile.environment).joinedload(Environment.namespace))
        .where(WatchedFile.folder_id == folder_id, WatchedFile.path == path)
    )


def find_file_of(session: Session, environment_id: int) -> WatchedFile | None:
    """Find the file that describes an environment."""
    return session.scalar(select(WatchedFile).where(WatchedFile.environment_id == environment_id).limit(1))


def select_files() -> Select[WatchedFile]:
    """Select all files by folder and path, with their folders and environments."""
    return (
        select(WatchedFile)
        .join(WatchedFile.folder)
        .outerjoin(WatchedFile.environment)
        .options(contains_eager(WatchedFile.folder), contains_eager(WatchedFile.environment))
        .order_by(WatchedFile.folder_id, WatchedFile.path)
    )


def select_refused() -> Select[WatchedFile]:
    """Select those whose text was not taken."""
    return select_files().where(WatchedFile.problem.is_not(None))


def find_latest_build(session: Session, environment: Environment) -> Build | None:
    """Find the newest build of an environment, with its specification."""
    statement = select(Build).options(joinedload(Build.specification))
    return session.scalar(statement.where(Build.id == environment.latest_build_id))


def find_usable_build(session: Session, environment_id: int, sha256: str) -> Build | None:
    """Find the newest build of an environment that is of such a specification and can be activated."""
    return session.scalar(
        select(Build)
        .join(Specification, Build.specification_id == Specification.id)
        .where(
            Build.environment_id == environment_id,
            Specification.sha256 == sha256,
            Build.status == BuildStatus.COMPLETED,
            Build.deleted_at.is_(None),
            Build.prefix_name.is_not(None),
        )
        .order_by(Build.id.desc())
        .limit(1)
    )
