"""Images: which layers of one there are already, and which blobs it has."""

from __future__ import annotations

from sqlalchemy.orm import Session

from conda_store_hub.core.image_layers import plan_layers
from conda_store_hub.core.oci import Layer
from conda_store_hub.core.protocol import BlobEvent, Package
from conda_store_hub.db import images, lifecycle


def find_layers(session: Session, build_id: int) -> dict[str, Layer]:
    """Return the layers of a build's packages that the image of some build has, by what they are known by."""
    packages = [Package.model_validate(row, from_attributes=True) for row in lifecycle.packages_of(session, build_id)]
    found = images.find_layers(session, [plan.key for plan in plan_layers(packages)])
    return {
        layer_key: Layer(digest=f"sha256:{row.key.rpartition('/')[2]}", size=row.size, diff_id=row.diff_id)
        for layer_key, row in found.items()
    }


def add(session: Session, build_id: int, event: BlobEvent, key: str) -> None:
    """Record that the image of a build has a blob."""
    images.add_blob(session, build_id, key, event.size, layer_key=event.key, diff_id=event.diff_id)


def forget(session: Session, build_id: int) -> None:
    """Forget the blobs of an image that is not, or no more; their bytes go as what belongs to nothing does."""
    images.drop_blobs(session, build_id)
