"""The statements about the blobs of images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    Text,
    and_,
    cast,
    collate,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.core.tags import MOST_TAG, order_of
from conda_store_hub.db import visibility
from conda_store_hub.db.tables import Artifact, Build, BuildTag, Environment, ImageBlob, Namespace

_NEWEST_IMAGES = 20


def add_blob(session: Session, build_id: int, key: str, size: int, *, layer_key: str, diff_id: str) -> None:
    """Record that the image of a build has a blob; idempotent."""
    insert_new = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(
        insert_new(ImageBlob)
        .values(
            build_id=build_id,
            key=key,
            size=size,
            namespace_id=select(Environment.namespace_id)
            .join(Build, Build.environment_id == Environment.id)
            .where(Build.id == build_id)
            .scalar_subquery(),
            layer_key=layer_key,
            diff_id=diff_id,
        )
        .on_conflict_do_nothing()
    )


def size_of(session: Session, build_id: int) -> int:
    """Return the bytes of the blobs of a build's image."""
    return session.scalar(select(func.coalesce(func.sum(ImageBlob.size), 0)).where(ImageBlob.build_id == build_id)) or 0


def drop_blobs(session: Session, build_id: int) -> None:
    """Forget the blobs of a build's image."""
    session.execute(delete(ImageBlob).where(ImageBlob.build_id == build_id))


def drop_other_blobs(session: Session, build_id: int, keys: Iterable[str]) -> None:
    """Forget the blobs of a build's image but those with `keys`."""
    session.execute(delete(ImageBlob).where(ImageBlob.build_id == build_id, ImageBlob.key.not_in(list(keys))))


class BlobRow(NamedTuple):
    """A blob that an image has: the key of its bytes, and how many they are."""

    build_id: int
    key: str
    size: int


def find_blob(session: Session, environment_id: int, key: str) -> BlobRow | None:
    """Find a blob that an image of an environment has: of its newest build, where several have it."""
    row = session.execute(
        select(ImageBlob.build_id, ImageBlob.key, ImageBlob.size)
        .join(Build, Build.id == ImageBlob.build_id)
        .where(ImageBlob.key == key, Build.environment_id == environment_id)
        .order_by(ImageBlob.build_id.desc())
        .limit(1)
    ).first()
    return None if row is None else BlobRow(*row)


def find_build_of_manifest(session: Session, environment_id: int, key: str) -> int | None:
    """Return the newest build of an environment whose image has the manifest with these bytes."""
    return session.scalar(
        select(Artifact.build_id)
        .join(Build, Build.id == Artifact.build_id)
        .where(
            Artifact.key == key,
            Artifact.state == ArtifactState.READY,
            Artifact.artifact_type == ArtifactType.DOCKER_MANIFEST,
            Build.environment_id == environment_id,
        )
        .order_by(Artifact.build_id.desc())
        .limit(1)
    )


def find_build_made_again(session: Session, environment_id: int, sha256: str) -> int | None:
    """Return the newest build of an environment whose image had that manifest, and is made again or will be."""
    return session.scalar(
        select(Artifact.build_id)
        .join(Build, Build.id == Artifact.build_id)
        .where(
            Build.environment_id == environment_id,
            Artifact.artifact_type == ArtifactType.DOCKER_MANIFEST,
            Artifact.sha256 == sha256,
            or_(Artifact.state == ArtifactState.PENDING, Artifact.again_at.is_not(None)),
        )
        .order_by(Artifact.build_id.desc())
        .limit(1)
    )


def has_image(session: Session, build_id: int) -> bool:
    """Tell whether the image of a build is there or can be made."""
    wanted = (Build.id == build_id, Build.status == BuildStatus.COMPLETED, or_(_can_be_made(), _is_made()))
    return session.scalar(select(exists().where(*wanted))) or False


def _is_made() -> ColumnElement[bool]:
    return exists().where(
        Artifact.build_id == Build.id,
        Artifact.artifact_type == ArtifactType.DOCKER_MANIFEST,
        Artifact.state == ArtifactState.READY,
    )


def _can_be_made() -> ColumnElement[bool]:
    return and_(Build.deleted_at.is_(None), Build.prefix_name.is_not(None))


def tags_of_images(session: Session, environment_id: int, after: str, limit: int) -> list[str]:
    """Return tags behind `after`, with the first `limit` of each kind among them.

    They are those that somebody gave to builds whose image is there or can be made, and number and key of each build
    whose image is there.
    """
    here = (Build.environment_id == environment_id, Build.status == BuildStatus.COMPLETED)
    of_builds = select(Build.id).where(*here, _is_made())
    kinds: tuple[tuple[ColumnElement[str], Select[int]], ...] = (
        (cast(Build.id, Text), of_builds),
        (func.substr(Build.key, 1, MOST_TAG), of_builds),
        (
            type_coerce(BuildTag.name, Text),
            select(BuildTag.build_id)
            .join(Build, Build.id == BuildTag.build_id)
            .where(*here, or_(_can_be_made(), _is_made())),
        ),
    )
    found: list[str] = []
    behind, behind_as_written = order_of(after)
    for tag, statement in kinds:
        column = _by_bytes(session, tag)
        low = func.lower(column)
        found += session.scalars(
            statement.with_only_columns(tag)
            .where(or_(low > behind, and_(low == behind, column > behind_as_written)))
            .order_by(low, column)
            .limit(limit)
        )
    return found


def _by_bytes(session: Session, column: ColumnElement[str]) -> ColumnElement[str]:
    """Compare texts by their bytes, as SQLite does by itself."""
    return collate(column, "C") if session.get_bind().dialect.name == "postgresql" else column


def repositories(session: Session, identity: Identity, after: tuple[str, str], limit: int) -> Sequence[tuple[str, str]]:
    """Return namespaces and environments, in lower case and in order, that have images and that `identity` may read."""
    single = visibility.has_single_grants(session, identity)
    names = tuple_(Namespace.name, Environment.name_key)
    rows = session.execute(
        select(Namespace.name, Environment.name_key)
        .join(Environment, Environment.namespace_id == Namespace.id)
        .where(
            visibility.allows_on_environment(identity, Permission.ENVIRONMENT_READ, single=single),
            Environment.deleted_at.is_(None),
            Environment.current_build_id.is_not(None),
            names > tuple_(literal(after[0]), literal(after[1])),
        )
        .order_by(Namespace.name, Environment.name_key)
        .limit(limit)
    )
    return [(namespace, name) for namespace, name in rows]


class LayerRow(NamedTuple):
    """A layer that some image has: what it is known by, and the key of its bytes."""

    layer_key: str
    key: str
    size: int
    diff_id: str


def find_layers(session: Session, layer_keys: Iterable[str]) -> list[LayerRow]:
    """Return the layers that some image has of those known by `layer_keys`."""
    rows = session.execute(
        select(ImageBlob.layer_key, ImageBlob.key, ImageBlob.size, ImageBlob.diff_id)
        .where(ImageBlob.layer_key.in_(list(layer_keys)))
        .distinct()
        .order_by(ImageBlob.key)
    )
    return [LayerRow(*row) for row in rows]


def find_base_layers(session: Session) -> list[LayerRow]:
    """Return the layers of bases that the images of the newest builds have: what they are known by is their digest."""
    newest = (
        select(Artifact.build_id)
        .where(Artifact.artifact_type == ArtifactType.DOCKER_MANIFEST, Artifact.state == ArtifactState.READY)
        .order_by(Artifact.build_id.desc())
        .limit(_NEWEST_IMAGES)
    )
    rows = session.execute(
        select(ImageBlob.layer_key, ImageBlob.key, ImageBlob.size, ImageBlob.diff_id)
        .where(ImageBlob.build_id.in_(newest), ImageBlob.layer_key.startswith("sha256:"))
        .distinct()
    )
    return [LayerRow(*row) for row in rows]


def known_keys(session: Session, keys: Iterable[str]) -> set[str]:
    """Return those of `keys` that an image has."""
    return set(session.scalars(select(ImageBlob.key).where(ImageBlob.key.in_(list(keys))).distinct()))


# What images take. What is of one namespace alone would be free if all of its images went.


def sizes_by_namespace() -> Subquery:
    """Add up what each namespace has alone, from an index in the order that it has."""
    columns = (func.max(ImageBlob.size).label("size"), func.min(ImageBlob.namespace_id).label("namespace_id"))
    columns += (func.max(ImageBlob.namespace_id).label("last"),)
    each = select(*columns).group_by(ImageBlob.key).subquery()
    alone = select(each.c.namespace_id, func.sum(each.c.size).label("size")).where(each.c.namespace_id == each.c.last)
    return alone.group_by(each.c.namespace_id).subquery()


def sizes_of_namespaces(session: Session, namespace_ids: Sequence[int]) -> dict[int, int]:
    """Add up what some namespaces have alone; those with nothing are left out."""
    other, here = aliased(ImageBlob), ImageBlob.namespace_id
    ends = (select(end(other.namespace_id)).where(other.key == ImageBlob.key) for end in (func.min, func.max))
    each = (
        select(here, func.max(ImageBlob.size).label("size"))
        .where(here.in_(namespace_ids), *(here == end.scalar_subquery() for end in ends))
        .group_by(ImageBlob.namespace_id, ImageBlob.key)
        .subquery()
    )
    rows = session.execute(select(each.c.namespace_id, func.sum(each.c.size)).group_by(each.c.namespace_id))
    return {namespace_id: int(size) for namespace_id, size in rows}


def size_of_environment(session: Session, environment_id: int) -> int:
    """Add up what the images of an environment have alone."""
    other, build = aliased(ImageBlob), aliased(Build)
    elsewhere = (
        select(other.key)
        .join(build, build.id == other.build_id)
        .where(other.key == ImageBlob.key, build.environment_id != environment_id)
    )
    each = (
        select(func.max(ImageBlob.size).label("size"))
        .join(Build, Build.id == ImageBlob.build_id)
        .where(Build.environment_id == environment_id, ~elsewhere.exists())
        .group_by(ImageBlob.key)
        .subquery()
    )
    return int(session.scalar(select(func.sum(each.c.size))) or 0)


def add_up(session: Session) -> int:
    """Add up what all images take; a blob that several have counts once."""
    each = select(func.max(ImageBlob.size).label("size")).group_by(ImageBlob.key).subquery()
    return int(session.scalar(select(func.sum(each.c.size))) or 0)
