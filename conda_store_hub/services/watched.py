"""Files that describe environments: what follows when one is there, changed, wrong or gone.

The file leads whenever its text changes; what somebody does by hand stays until then. A problem changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from conda_store_hub.core import lockfiles, schemas
from conda_store_hub.core.errors import ConflictError, InvalidSpecificationError
from conda_store_hub.core.lockfiles import SourceKind
from conda_store_hub.core.names import NamespaceKind, shorten
from conda_store_hub.core.permissions import Claim, Identity, Permission, Reach, Role
from conda_store_hub.core.protocol import LIVE
from conda_store_hub.db import lifecycle, lists, queries
from conda_store_hub.db import watched as rows
from conda_store_hub.db.tables import Environment, WatchedFile, WatchedFolder
from conda_store_hub.db.watched import KnownFile
from conda_store_hub.services import audit, builds, environments, namespaces, removals, rights, specifications
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.services.specifications import PreparedSpecification, Submission

NAMESPACE = "filesystem"
_HERE = Reach(kind=NamespaceKind.SYSTEM, namespace=NAMESPACE)
#: The service, and what it may do where it does what files say.
WRITER = replace(audit.ITSELF, bindings=(Claim(role=Role.ADMIN, reach=_HERE),))
_LOCK_NAME = re.compile(r"(?:.*/)?([^/]+)\.conda-lock\.ya?ml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder that is watched, as it was left."""

    id: int
    path: str
    identity: str
    problem: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedFile:
    """A file whose text was not taken, in the folder of that path."""

    folder: str
    file: schemas.WatchedFile


@dataclass(frozen=True, kw_only=True, slots=True)
class FileText:
    """A file that was read: where it is, and a digest of its text."""

    folder_id: int
    path: str
    sha256: str


def begin(session: Session, paths: Collection[str]) -> list[Folder]:
    """Return the folders of the configuration, in its order; the others are forgotten, and their environments stay."""
    rows.forget_folders(session, paths)
    known = {row.path: row for row in rows.list_folders(session)}
    for path in paths:
        if path not in known:
            known[path] = WatchedFolder(path=path, identity="")
            session.add(known[path])
    if paths:
        namespaces.ensure_system(session, WRITER, NAMESPACE)
    session.flush()
    return [
        Folder(id=row.id, path=path, identity=row.identity, problem=row.problem)
        for path, row in ((path, known[path]) for path in paths)
    ]


def record_folder(session: Session, folder_id: int, identity: str, problem: str | None) -> None:
    """Write down which folder was read last, or why this one cannot be."""
    row = rows.get_folder(session, folder_id)
    row.identity, row.problem = identity, problem


def list_known(session: Session, folder_id: int) -> dict[str, KnownFile]:
    """Return what is known of the files of a folder, by path."""
    return {known.path: known for known in rows.known_files(session, folder_id)}


def read(path: str, text: str, platform: str) -> Submission:
    """Read the text of a file; raise with the place of the first fault."""
    named = _LOCK_NAME.fullmatch(path)
    if named is None and lockfiles.detect_kind(text) is not SourceKind.SPECIFICATION:
        raise InvalidSpecificationError("A lock file has no name of its own: call the file NAME.conda-lock.yml.")
    name = named[1] if named else None
    return specifications.read(schemas.ReadSpecification(specification=text, environment_name=name), platform)


@dataclass(frozen=True, kw_only=True, slots=True)
class Others:
    """The other files of a folder, as a look finds them."""

    gone: Collection[str] = ()
    """Those that are there no more: one that describes the same was given another name."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """Which environments those describe now that have changed too; needed only where two want one name."""


def find_holder(session: Session, file: FileText, name: str) -> str | None:
    """Return the path of another file of the folder that describes the environment of that name."""
    environment = queries.find_environment(session, NAMESPACE, name)
    holder = rows.find_file_of(session, environment.id) if environment else None
    is_other = holder is not None and (holder.folder_id, holder.path) != (file.folder_id, file.path)
    return holder.path if holder is not None and is_other and holder.folder_id == file.folder_id else None


def take(session: Session, file: FileText, prepared: PreparedSpecification, rules: BuildRules, others: Others) -> bool:
    """Make an environment what its file says: named so, and with such a build active or queued.

    Tell whether the file has another name in it than before, so that another one may have the name that it had.
    """
    owner = rights.require_namespace(session, WRITER, NAMESPACE, Permission.ENVIRONMENT_CREATE)
    rights.hold(session, WRITER, owner)
    row = _ensure_file(session, file.folder_id, file.path)
    own = _living(row)
    before = own.name_key if own else None
    _ensure_alone(session, row, prepared, others)
    _ensure_name(session, row, prepared.name, rules)
    row.environment_id = _build(session, prepared, rules)
    row.text_sha256, row.problem, row.seen_at = file.sha256, None, datetime.now(UTC)
    return before not in (None, prepared.name.lower())


def _living(row: WatchedFile) -> Environment | None:
    return row.environment if row.environment and row.environment.deleted_at is None else None


def _ensure_file(session: Session, folder_id: int, path: str) -> WatchedFile:
    row = rows.find_file(session, folder_id, path)
    if row is None:
        row = WatchedFile(folder_id=folder_id, path=path, text_sha256="", environment=None, seen_at=datetime.now(UTC))
        session.add(row)
        session.flush()
    return row


def _ensure_alone(session: Session, row: WatchedFile, prepared: PreparedSpecification, others: Others) -> None:
    """See to it that no other file has the name: one that is gone hands it over, one with a new name exchanges.

    Raises ConflictError if another file goes on having it.
    """
    environment = queries.find_environment(session, NAMESPACE, prepared.name)
    holder = rows.find_file_of(session, environment.id) if environment else None
    if environment is None or holder is None or holder.id == row.id:
        return
    is_beside, own = holder.folder_id == row.folder_id, _living(row)
    is_leaving = is_beside and others.names.get(holder.path, prepared.name).lower() != environment.name_key
    if is_beside and holder.path in others.gone:
        session.delete(holder)
    elif is_leaving and _has_build(session, environment, prepared):
        _take_over(session, row, environment, holder, others)
    elif is_leaving and own is not None:
        environments.exchange_names(session, WRITER, own, environment)
    else:
        words = f"“{holder.path}” describes “{shorten(prepared.name)}” already: give one of the two another name."
        raise ConflictError(words)
    session.flush()


def _has_build(session: Session, row: Environment, prepared: PreparedSpecification) -> bool:
    """Tell whether an environment has a build of this specification, so that it is the text that came to it."""
    wanted, latest = prepared.source.sha256(), rows.find_latest_build(session, row)
    is_coming = latest is not None and latest.status in LIVE and latest.specification.sha256 == wanted
    return is_coming or rows.find_usable_build(session, row.id, wanted) is not None


def _take_over(
    session: Session, row: WatchedFile, environment: Environment, holder: WatchedFile, others: Others
) -> None:
    """Have a file describe what another one did, whose text it has; what it described is left for who has that."""
    own = _living(row)
    holder.environment, row.environment = None, environment
    if own is not None and own.name_key not in {name.lower() for name in others.names.values()}:
        removals.delete_environment(session, WRITER, NAMESPACE, own.name, force=True)


def _ensure_name(session: Session, row: WatchedFile, name: str, rules: BuildRules) -> None:
    """Give the file's environment the name in the file; bring back one that had it, if the file has none yet."""
    named = queries.find_environment(session, NAMESPACE, name)
    own = _living(row)
    if own is not None and (named is None or named.id == own.id):
        if own.name != name:
            environments.rename(session, WRITER, NAMESPACE, own.name, name)
    elif own is not None:
        removals.delete_environment(session, WRITER, NAMESPACE, own.name, force=True)
    elif named is None and _can_be_restored(session, name):
        removals.restore_environment(session, WRITER, NAMESPACE, name, name, rules)


def _can_be_restored(session: Session, name: str) -> bool:
    since = datetime.now(UTC) - removals.UNDO
    return lifecycle.find_deleted_environment(session, NAMESPACE, name, since) is not None


def _build(session: Session, prepared: PreparedSpecification, rules: BuildRules) -> int:
    """Activate a build that is of this specification, or queue one unless it is queued; return the environment."""
    row = queries.find_environment(session, NAMESPACE, prepared.name)
    if row is None or not _ensure_active(session, row, prepared):
        build_id = builds.submit(session, WRITER, NAMESPACE, prepared, rules)
        row = queries.find_environment_of(session, build_id)
    elif prepared.description and row.description != prepared.description:
        change = schemas.ActivateBuild(description=prepared.description)
        environments.update(session, WRITER, NAMESPACE, row.name, change)
    return row.id if row else 0


def _ensure_active(session: Session, row: Environment, prepared: PreparedSpecification) -> bool:
    """Tell whether a build of this specification is active, or will be by itself; one that can be is made active."""
    wanted = prepared.source.sha256()
    latest = rows.find_latest_build(session, row)
    busy = latest is not None and latest.status in LIVE
    if latest is not None and busy and latest.specification.sha256 == wanted:
        return True
    usable = rows.find_usable_build(session, row.id, wanted)
    if usable is None or row.name != prepared.name:
        return False
    if row.current_build_id != usable.id or busy:  # what is still being built must not take its place
        change = schemas.ActivateBuild(build_id=usable.id)
        environments.update(session, WRITER, NAMESPACE, row.name, change)
    return True


def record_problem(session: Session, file: FileText, problem: str) -> bool:
    """Write down why the text of a file was not taken, and tell whether that is new; its environment stays."""
    row = _ensure_file(session, file.folder_id, file.path)
    is_new = row.problem != problem
    row.text_sha256 = file.sha256
    if is_new:
        row.problem, row.seen_at = problem, datetime.now(UTC)
    return is_new


def remove(session: Session, folder_id: int, path: str) -> str | None:
    """Delete the environment of a file that is gone, and return its name; it can be brought back as usual."""
    row = rows.find_file(session, folder_id, path)
    if row is None:
        return None
    session.delete(row)
    if row.environment is None or row.environment.deleted_at is not None:
        return None
    if queries.find_environment(session, NAMESPACE, row.environment.name) is None:  # with its namespace
        return None
    removals.delete_environment(session, WRITER, NAMESPACE, row.environment.name, force=True)
    return row.environment.name


def list_files(
    session: Session, identity: Identity, *, page: int, size: int
) -> tuple[list[schemas.WatchedFile], int, list[schemas.WatchedFolder]]:
    """Return a page of the files, how many there are, and the folders; where those are, to who administers all."""
    if queries.find_namespace(session, NAMESPACE) is None:  # nothing was ever watched
        rights.require_service(identity, Permission.SETTING_READ)
        return [], 0, []
    rights.require_namespace(session, identity, NAMESPACE, Permission.SETTING_READ)
    found, count = lists.list_of_rows(rows.select_files()).page(session, page=page, size=size)
    files = [_show_file(row) for row in found]
    folders = [_show_folder(row, identity) for row in rows.list_folders(session)]
    return files, count, folders


def list_refused(session: Session, identity: Identity, limit: int) -> tuple[list[RefusedFile], int]:
    """Return files whose text was not taken, where they are and why, and their count; for who may see all."""
    rights.require_service(identity, Permission.SETTING_READ)
    found, count = lists.list_of_rows(rows.select_refused()).page(session, page=1, size=limit)
    return [RefusedFile(folder=row.folder.path, file=_show_file(row)) for row in found], count


def _show_file(row: WatchedFile) -> schemas.WatchedFile:
    living = _living(row)
    return schemas.WatchedFile(
        folder_id=row.folder_id,
        path=row.path,
        environment=living.name if living else None,
        problem=row.problem,
        seen_on=row.seen_at,
    )


def _show_folder(row: WatchedFolder, identity: Identity) -> schemas.WatchedFolder:
    path = row.path if identity.administers_all else None
    return schemas.WatchedFolder(id=row.id, path=path, problem=row.problem)
