"""The statements, each with a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    CursorResult,
    Select,
    and_,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, contains_eager, selectinload
from sqlalchemy.sql.elements import ColumnElement

from conda_store_hub.core.names import NamespaceKind
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus, Phase
from conda_store_hub.db.tables import (
    Artifact,
    Build,
    BuildPackage,
    BuildPhase,
    Environment,
    LogChunk,
    Namespace,
    Package,
    Specification,
)

R = TypeVar("R")

COUNT_LIMIT = 10_000
LOG_CHUNK = 1 << 16
_PER_STATEMENT = 500

# Who sees what: `core.permissions.role_in` as a condition; a test compares the two over a generated matrix.


def visible_to(identity: Identity) -> ColumnElement[bool]:
    """Return the condition on Namespace under which `identity` has any role in it."""
    if not identity.authenticated:
        return literal(value=False)
    if identity.admin:
        return true()
    own = and_(Namespace.kind == NamespaceKind.USER, Namespace.hub_name == identity.name)
    groups = and_(Namespace.kind == NamespaceKind.GROUP, Namespace.hub_name.in_(sorted(identity.groups)))
    return or_(own, groups, Namespace.kind == NamespaceKind.SHARED)


# Namespaces


def find_namespace(session: Session, name: str) -> Namespace | None:
    """Find a namespace by its exact name."""
    return session.scalar(select(Namespace).where(Namespace.name == name))


def find_hub_namespace(session: Session, kind: NamespaceKind, hub_name: str) -> Namespace | None:
    """Find the open namespace of a Hub user or group."""
    return session.scalar(select(Namespace).where(Namespace.kind == kind, Namespace.hub_name == hub_name))


def select_namespaces(identity: Identity) -> Select[Namespace]:
    """Select what `identity` may see, by name."""
    return select(Namespace).where(visible_to(identity)).order_by(Namespace.name)


def first_namespaces(session: Session, identity: Identity, limit: int) -> Sequence[Namespace]:
    """Return the first of what `identity` may see, by name."""
    return session.scalars(select_namespaces(identity).limit(limit)).all()


# Environments


def find_environment(session: Session, namespace: str, name: str) -> Environment | None:
    """Find a living environment by its names, the environment's without regard to case; its namespace comes along."""
    return session.scalar(
        select(Environment)
        .join(Environment.namespace)
        .outerjoin(Environment.latest_build)
        .options(contains_eager(Environment.namespace), contains_eager(Environment.latest_build))
        .where(Namespace.name == namespace, Environment.name_key == name.lower(), Environment.deleted_at.is_(None))
    )


def select_environments(
    identity: Identity,
    *,
    namespace: str | None = None,
    name: str | None = None,
    search: str | None = None,
    status: BuildStatus | None = None,
    after: tuple[str, str] | None = None,
) -> Select[Environment]:
    """Select living environments that `identity` may see, by namespace and name, with their latest builds.

    `after` begins behind a namespace and an environment, whether or not they are still there.
    """
    statement = (
        select(Environment)
        .join(Environment.namespace)
        .outerjoin(Environment.latest_build)
        .options(contains_eager(Environment.namespace), contains_eager(Environment.latest_build))
        .where(visible_to(identity), Environment.deleted_at.is_(None))
        .order_by(Namespace.name, Environment.name_key)
    )
    if namespace is not None:
        statement = statement.where(Namespace.name == namespace)
    if name is not None:
        statement = statement.where(Environment.name_key == name.lower())
    if search:
        statement = statement.where(
            or_(
                Environment.name_key.contains(search.lower(), autoescape=True),
                Namespace.name.contains(search.lower(), autoescape=True),
            )
        )
    if status is not None:
        statement = statement.where(Build.status == status)
    if after is not None:
        last = tuple_(literal(after[0]), literal(after[1].lower()))
        statement = statement.where(tuple_(Namespace.name, Environment.name_key) > last)
    return statement


def unlinked_environments(session: Session, after: int, limit: int) -> Sequence[Environment]:
    """Return environments above the id `after` whose link on disk does not show their active build yet."""
    return session.scalars(
        select(Environment)
        .join(Environment.namespace)
        .options(contains_eager(Environment.namespace), selectinload(Environment.current_build))
        .where(Environment.id > after, Environment.linked_build_id.is_distinct_from(Environment.current_build_id))
        .order_by(Environment.id)
        .limit(limit)
    ).all()


def set_linked(session: Session, environment_id: int, build_id: int | None) -> None:
    """Record what the link on disk shows."""
    session.execute(update(Environment).where(Environment.id == environment_id).values(linked_build_id=build_id))


def activate_if_newest(session: Session, build: Build, now: datetime) -> bool:
    """Make a finished build active unless something was activated since it was submitted; tell whether it was."""
    result = session.execute(
        update(Environment)
        .where(Environment.id == build.environment_id, Environment.activation_seq < build.id)
        .values(current_build_id=build.id, activation_seq=build.id, updated_at=now)
    )
    return _rowcount(result) == 1


def activate(session: Session, build: Build, now: datetime) -> None:
    """Make a build active because somebody asked for it: builds submitted before do not undo it."""
    session.execute(
        update(Environment)
        .where(Environment.id == build.environment_id)
        .values(current_build_id=build.id, activation_seq=Environment.latest_build_id, updated_at=now)
    )


# Builds


def find_build(session: Session, build_id: int, *, full: bool = False) -> Build | None:
    """Find a build with its environment and namespace; `full` brings all that hangs on it."""
    options = [selectinload(Build.artifacts), selectinload(Build.phases)] if full else []
    return session.scalar(
        select(Build)
        .join(Build.environment)
        .join(Environment.namespace)
        .options(
            contains_eager(Build.environment).contains_eager(Environment.namespace),
            selectinload(Build.specification),
            *options,
        )
        .where(Build.id == build_id)
    )


def select_builds(
    identity: Identity,
    *,
    environment_id: int | None = None,
    namespace: str | None = None,
    name: str | None = None,
    status: BuildStatus | None = None,
    ascending: bool = False,
) -> Select[Build]:
    """Select builds of environments that `identity` may see, the newest first."""
    statement = (
        select(Build)
        .join(Build.environment)
        .join(Environment.namespace)
        .options(
            contains_eager(Build.environment).contains_eager(Environment.namespace),
            selectinload(Build.specification),
        )
        .where(visible_to(identity), Environment.deleted_at.is_(None))
        .order_by(Build.id if ascending else Build.id.desc())
    )
    if environment_id is not None:
        statement = statement.where(Build.environment_id == environment_id)
    if namespace is not None:
        statement = statement.where(Namespace.name == namespace)
    if name is not None:
        statement = statement.where(Environment.name_key == name.lower())
    if status is not None:
        statement = statement.where(Build.status == status)
    return statement


def queue_position(session: Session, build_id: int) -> int:
    """Return the place of a queued build, from 1."""
    statement = select(func.count()).where(Build.status == BuildStatus.QUEUED, Build.id <= build_id)
    return session.scalar(statement) or 1


def claim(session: Session, worker: str, prefix_name: str, now: datetime) -> int | None:
    """Take the oldest queued build, in one conditional statement; None when there is none."""
    oldest = select(func.min(Build.id)).where(Build.status == BuildStatus.QUEUED).scalar_subquery()
    return session.scalar(
        update(Build)
        .where(Build.id == oldest, Build.status == BuildStatus.QUEUED)
        .values(
            status=BuildStatus.BUILDING,
            worker=worker,
            prefix_name=prefix_name,
            attempt=Build.attempt + 1,
            turn=Build.turn + 1,
            started_on=now,
            heartbeat_at=now,
        )
        .returning(Build.id)
    )


def claim_artifacts(session: Session, worker: str, now: datetime, stale: datetime) -> int | None:
    """Take a usable build whose artifacts nobody is making any more; what `worker` is making is its own affair."""
    pending = select(Artifact.build_id).where(Artifact.state == ArtifactState.PENDING)
    free = or_(Build.worker.is_(None), and_(Build.worker != worker, Build.heartbeat_at < stale))
    orphan = (
        select(func.min(Build.id))
        .where(Build.id.in_(pending), Build.status == BuildStatus.COMPLETED, free)
        .scalar_subquery()
    )
    return session.scalar(
        update(Build)
        .where(Build.id == orphan, free)
        .values(worker=worker, heartbeat_at=now, turn=Build.turn + 1)
        .returning(Build.id)
    )


def beat(
    session: Session, build_id: int, turn: int, now: datetime, progress: dict[str, Any] | None
) -> tuple[BuildStatus, bool] | None:
    """Say that the work goes on; the status and whether a cancel was asked for, or None when it changed hands."""
    shown = {} if progress is None else {"progress": progress}
    row = session.execute(
        update(Build)
        .where(Build.id == build_id, Build.turn == turn)
        .values(heartbeat_at=now, **shown)
        .returning(Build.status, Build.cancel_requested)
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def builds_of_worker(session: Session, worker: str) -> Sequence[Build]:
    """Return the running builds that a worker has."""
    return session.scalars(select(Build).where(Build.status == BuildStatus.BUILDING, Build.worker == worker)).all()


def stale_builds(session: Session, *, before: datetime, own: str) -> Sequence[Build]:
    """Return running builds of other workers than `own` without a heartbeat since `before`."""
    return session.scalars(
        select(Build).where(Build.status == BuildStatus.BUILDING, Build.worker != own, Build.heartbeat_at < before)
    ).all()


def release_artifacts(session: Session, worker: str) -> None:
    """Let go of usable builds whose artifacts a `worker` was making before it began anew."""
    pending = select(Artifact.build_id).where(Artifact.state == ArtifactState.PENDING)
    session.execute(update(Build).where(Build.worker == worker, Build.id.in_(pending)).values(worker=None))


def known_prefixes(session: Session, names: Iterable[str]) -> set[str]:
    """Return those of `names` that belong to a build which may still need its prefix."""
    wanted = list(names)
    found: set[str] = set()
    for start in range(0, len(wanted), _PER_STATEMENT):
        found.update(
            name
            for name in session.scalars(
                select(Build.prefix_name).where(
                    Build.prefix_name.in_(wanted[start : start + _PER_STATEMENT]),
                    Build.status.in_([BuildStatus.BUILDING, BuildStatus.COMPLETED]),
                )
            )
            if name is not None
        )
    return found


# Logs


def append_log(session: Session, build_id: int, data: bytes) -> None:
    """Put `data`, whole characters of UTF-8, at the end of a build's log."""
    end = session.scalar(
        update(Build).where(Build.id == build_id).values(log_size=Build.log_size + len(data)).returning(Build.log_size)
    )
    if end is None:
        return
    start = end - len(data)
    for piece in _pieces(data):
        session.execute(insert(LogChunk).values(build_id=build_id, start=start, data=piece))
        start += len(piece)


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut where no character is split (RFC 3629: a byte 10xxxxxx continues one): readers hold whole chunks."""
    start = 0
    while start < len(data):
        end = min(start + LOG_CHUNK, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[start:end]
        start = end


def log_chunks(session: Session, build_id: int, offset: int, limit: int) -> Sequence[LogChunk]:
    """Return up to `limit` chunks from the one that holds byte `offset`."""
    first = select(func.max(LogChunk.start)).where(LogChunk.build_id == build_id, LogChunk.start <= offset)
    return session.scalars(
        select(LogChunk)
        .where(LogChunk.build_id == build_id, LogChunk.start >= func.coalesce(first.scalar_subquery(), 0))
        .order_by(LogChunk.start)
        .limit(limit)
    ).all()


LogRow = tuple[BuildStatus, str | None, int, bool, dict[str, Any] | None]


def log_state(session: Session, build_id: int) -> LogRow | None:
    """Return status, its reason, the log's size, whether it is whole, and progress; one row, no joins."""
    row = session.execute(
        select(Build.status, Build.status_info, Build.log_size, Build.log_complete, Build.progress).where(
            Build.id == build_id
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1], row[2], row[3], row[4])


# Phases, artifacts, packages


def start_phase(session: Session, build_id: int, phase: Phase, now: datetime) -> None:
    """Record that a phase began; a second attempt begins it anew."""
    session.execute(delete(BuildPhase).where(BuildPhase.build_id == build_id, BuildPhase.phase == phase))
    session.execute(insert(BuildPhase).values(build_id=build_id, phase=phase, started_at=now))


def finish_phase(session: Session, build_id: int, phase: Phase, seconds: float) -> None:
    """Record how long a phase took."""
    session.execute(
        update(BuildPhase).where(BuildPhase.build_id == build_id, BuildPhase.phase == phase).values(seconds=seconds)
    )


def find_artifact(session: Session, build_id: int, artifact_type: ArtifactType) -> Artifact | None:
    """Find one artifact of a build."""
    return session.scalar(
        select(Artifact).where(Artifact.build_id == build_id, Artifact.artifact_type == artifact_type)
    )


def pending_artifacts(session: Session, build_id: int) -> Sequence[Artifact]:
    """Return the artifacts of a build that are still to be made."""
    return session.scalars(
        select(Artifact).where(Artifact.build_id == build_id, Artifact.state == ArtifactState.PENDING)
    ).all()


def add_packages(session: Session, build_id: int, rows: Sequence[dict[str, Any]]) -> None:
    """Link a build to its packages, whose rows are shared by all builds that have them; idempotent."""
    insert_new = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    for start in range(0, len(rows), _PER_STATEMENT):
        part = rows[start : start + _PER_STATEMENT]
        session.execute(insert_new(Package).on_conflict_do_nothing(index_elements=["digest"]), part)
        ids = session.scalars(select(Package.id).where(Package.digest.in_([row["digest"] for row in part]))).all()
        links = [{"build_id": build_id, "package_id": package_id} for package_id in ids]
        session.execute(insert_new(BuildPackage).on_conflict_do_nothing(), links)


def select_packages(build_id: int, search: str | None = None) -> Select[Package]:
    """Select the packages of a build by name."""
    statement = (
        select(Package)
        .join(BuildPackage, BuildPackage.package_id == Package.id)
        .where(BuildPackage.build_id == build_id)
        .order_by(Package.name, Package.manager)
    )
    return statement.where(Package.name.contains(search.lower(), autoescape=True)) if search else statement


# Specifications


def find_specification(session: Session, text_sha256: str) -> Specification | None:
    """Find a specification that was typed before, to the letter."""
    return session.scalar(select(Specification).where(Specification.text_sha256 == text_sha256))


# Kernels


def kernel_rows(session: Session, identity: Identity) -> Sequence[tuple[str, str, Build]]:
    """Return namespace, environment and active build of what `identity` may see and compute in."""
    statement = (
        select(Namespace.name, Environment.name, Build)
        .join(Environment, Environment.namespace_id == Namespace.id)
        .join(Build, Environment.current_build_id == Build.id)
        .where(visible_to(identity), Environment.deleted_at.is_(None))
        .order_by(Namespace.name, Environment.name_key)
    )
    return [(namespace, name, build) for namespace, name, build in session.execute(statement)]


# Pages


def page_of(session: Session, statement: Select[R], *, page: int, size: int) -> tuple[Sequence[R], int]:
    """Return one page of a list and how many there are, exact up to COUNT_LIMIT."""
    inner = statement.options().order_by(None).limit(COUNT_LIMIT).with_only_columns(literal(1)).subquery()
    count = session.scalar(select(func.count()).select_from(inner)) or 0
    return session.scalars(statement.limit(size).offset((page - 1) * size)).unique().all(), count


def _rowcount(result: object) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
