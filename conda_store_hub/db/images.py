"""The statements about the blobs of images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from conda_store_hub.db.tables import ImageBlob


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

    key: str
    size: int


def blobs_of(session: Session, build_id: int) -> tuple[BlobRow, ...]:
    """Return the blobs of a build's image."""
    rows = session.execute(
        select(ImageBlob.key, ImageBlob.size).where(ImageBlob.build_id == build_id).order_by(ImageBlob.key)
    )
    return tuple(BlobRow(*row) for row in rows)


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
