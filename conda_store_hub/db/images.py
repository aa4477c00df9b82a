"""The statements about the blobs of images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import and_, delete, exists, literal, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.db import visibility
from conda_store_hub.db.tables import Artifact, Build, Environment, ImageBlob, Namespace


def add_blob(session: Session, build_id: int, key: str, size: int, *, layer_key: str, diff_id: str) -> None:
    """Record that the image of a build has a blob; idempotent."""
    insert_new = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(
        insert_new(ImageBlob)
        .values(build_id=build_id, key=key, size=size, layer_key=layer_key, diff_id=diff_id)
        .on_conflict_do_nothing()
    )


def drop_blobs(session: Session, build_id: int) -> None:
    """Forget the blobs of a build's image."""
    session.execute(delete(ImageBlob).where(ImageBlob.build_id == build_id))


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


def builds_with_images(session: Session, environment_id: int) -> Sequence[tuple[int, str]]:
    """Return number and key of each build of an environment whose image is there or can be made."""
    made = and_(
        Artifact.build_id == Build.id,
        Artifact.artifact_type == ArtifactType.DOCKER_MANIFEST,
        Artifact.state == ArtifactState.READY,
    )
    can_be_made = and_(Build.deleted_at.is_(None), Build.prefix_name.is_not(None))
    rows = session.execute(
        select(Build.id, Build.key).where(
            Build.environment_id == environment_id,
            Build.status == BuildStatus.COMPLETED,
            or_(can_be_made, exists().where(made)),
        )
    )
    return [(build_id, key) for build_id, key in rows]


def repositories(
    session: Session, identity: Identity, after: tuple[str, str], limit: int
) -> Sequence[tuple[str, str]]:
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


def find_layers(session: Session, layer_keys: Iterable[str]) -> dict[str, LayerRow]:
    """Return the layers that some image has of those known by `layer_keys`, by that."""
    rows = session.execute(
        select(ImageBlob.layer_key, ImageBlob.key, ImageBlob.size, ImageBlob.diff_id)
        .where(ImageBlob.layer_key.in_(list(layer_keys)))
        .distinct()
        .order_by(ImageBlob.key)
    )
    return {row[0]: LayerRow(*row) for row in rows}


def known_keys(session: Session, keys: Iterable[str]) -> set[str]:
    """Return those of `keys` that an image has."""
    return set(session.scalars(select(ImageBlob.key).where(ImageBlob.key.in_(list(keys))).distinct()))
