"""Images: which layers of one there are already, which blobs it has, and what is found in whose repository."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy.orm import Session

from conda_store_hub.core.errors import NotFoundError, UnknownRepositoryError
from conda_store_hub.core.image_layers import plan_layers
from conda_store_hub.core.names import BuildKey, shorten
from conda_store_hub.core.oci import Layer
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BlobEvent, BuildStatus, Package
from conda_store_hub.core.repositories import Repository
from conda_store_hub.core.tags import LATEST, MOST_TAG, order_of
from conda_store_hub.db import images, lifecycle, queries, records, tags
from conda_store_hub.db.tables import Environment
from conda_store_hub.services import artifacts, builds, rights
from conda_store_hub.services.artifacts import Location
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.storage.base import artifact_key, digest_of


def find_layers(session: Session, build_id: int) -> dict[str, tuple[Layer, ...]]:
    """Return the layers of a build's packages that the image of some build has, by what they are known by.

    With them go the layers of bases that new images have, for its base is not known here.
    Two images can have other bytes for the same layer; whose are there is not known here.
    """
    packages = [Package.model_validate(row, from_attributes=True) for row in lifecycle.packages_of(session, build_id)]
    found = images.find_layers(session, [plan.key for plan in plan_layers(packages) if plan.key])
    found += images.find_base_layers(session)
    layers: defaultdict[str, tuple[Layer, ...]] = defaultdict(tuple)
    for row in found:
        layers[row.layer_key] += (Layer(digest=f"sha256:{digest_of(row.key)}", size=row.size, diff_id=row.diff_id),)
    return dict(layers)


def add(session: Session, build_id: int, event: BlobEvent, key: str) -> None:
    """Record that the image of a build has a blob."""
    images.add_blob(session, build_id, key, event.size, layer_key=event.key, diff_id=event.diff_id)


def forget(session: Session, build_id: int) -> None:
    """Forget the blobs of an image that is not, or no more; their bytes go as what belongs to nothing does."""
    images.drop_blobs(session, build_id)


def forget_others(session: Session, build_id: int, keys: Iterable[str]) -> None:
    """Forget what an image had when it was made before, and has no more: its blobs are those with `keys`."""
    images.drop_other_blobs(session, build_id, keys)


def require_repository(session: Session, identity: Identity, where: Repository) -> Environment:
    """Return the environment of a repository that `identity` may read; raise UnknownRepositoryError."""
    try:
        return rights.require_environment(
            session, identity, where.namespace, where.environment, Permission.ENVIRONMENT_READ
        )
    except NotFoundError as exc:
        raise UnknownRepositoryError(exc.message) from exc


def find_tagged(session: Session, identity: Identity, where: Repository, tag: str) -> int:
    """Return the build that a tag means: `latest`, a build's number, its key, or what somebody called it."""
    row = require_repository(session, identity, where)
    build_id = row.current_build_id if tag == LATEST else _find_number(session, row, tag)
    if build_id is None:
        raise NotFoundError(f"There is no image “{where}:{shorten(tag)}”.")
    return build_id


def _find_number(session: Session, row: Environment, tag: str) -> int | None:
    """Return the build of an environment that a tag names; what is not whole yet is no image."""
    given = tags.find_tag(session, row.id, tag)
    if given is not None:
        return given.build_id
    number = BuildKey.find_id(tag)
    build = None if number is None else queries.find_build(session, number)
    if build is None or build.environment_id != row.id or build.status is not BuildStatus.COMPLETED:
        return None
    return build.id if tag in _tags_of(build.id, build.key) else None


def _tags_of(build_id: int, key: str) -> tuple[str, str]:
    return str(build_id), key[:MOST_TAG]


def find_manifest(session: Session, identity: Identity, where: Repository, digest: str) -> int:
    """Return the build of a repository whose image has the manifest of that digest, or had it and is made again."""
    row = require_repository(session, identity, where)
    build_id = images.find_build_of_manifest(session, row.id, _key_of(digest))
    if build_id is None:
        build_id = images.find_build_made_again(session, row.id, digest.removeprefix("sha256:"))
    if build_id is None:
        raise NotFoundError(f"There is no image “{where}@{digest}”.")
    return build_id


def find_blob(session: Session, identity: Identity, where: Repository, digest: str) -> Location:
    """Return where a blob is that an image in a repository has."""
    row = require_repository(session, identity, where)
    found = images.find_blob(session, row.id, _key_of(digest))
    if found is None:
        raise NotFoundError(f"No image in “{where}” has the blob {digest}.")
    return Location(
        build_id=found.build_id,
        kind=ArtifactType.DOCKER_MANIFEST,
        key=found.key,
        size=found.size,
        sha256=digest_of(found.key),
        filename=digest_of(found.key),
        media_type="application/octet-stream",
    )


def _key_of(digest: str) -> str:
    return artifact_key(digest.removeprefix("sha256:"))


def find_size(session: Session, build_id: int) -> int:
    """Return the bytes of a build's image, which who has none of its layers pulls; 0 where there is none."""
    return images.size_of(session, build_id)


def make_again(session: Session, build_id: int, words: str, rules: BuildRules) -> None:
    """Have an image made again of which a blob is damaged; `words` say how. Raises GoneError when it cannot be."""
    row = records.find_artifact(session, build_id, ArtifactType.DOCKER_MANIFEST)
    build = queries.find_build(session, build_id)
    if row is not None and build is not None and row.state is ArtifactState.READY:
        artifacts.replace_damaged(session, artifacts.locate(row, build), words, rules)


def list_tags(session: Session, identity: Identity, where: Repository, after: str, limit: int) -> list[str]:
    """Return the first tags of a repository behind `after`, in the order that registries have.

    Of builds that nobody gave a tag to, those whose image is there: who pulls all that is listed has little made.
    """
    row = require_repository(session, identity, where)
    listed = images.tags_of_images(session, row.id, after, limit)
    active = row.current_build_id if order_of(after) < order_of(LATEST) else None
    if active is not None and images.has_image(session, active):
        listed.append(LATEST)
    return sorted(listed, key=order_of)[:limit]


def is_offered(session: Session, identity: Identity, build_id: int) -> bool:
    """Tell whether a build's image is one to be pulled: of the active build, or of one with a tag.

    For who may change the environment, it is that of each build.
    """
    build = builds.require(session, identity, build_id, Permission.ENVIRONMENT_READ)
    row = build.environment
    if row.current_build_id == build_id or tags.tags_of_build(session, build_id):
        return True
    return rights.may_on_environment(session, identity, Permission.ENVIRONMENT_UPDATE, row.namespace.name, row.name)


def list_repositories(session: Session, identity: Identity, after: str, limit: int) -> list[Repository]:
    """Return the first repositories behind `after` that `identity` may read, by namespace and environment."""
    namespace, _, environment = after.partition("/")
    found = images.repositories(session, identity, (namespace, environment), limit)
    return [Repository(namespace=namespace, environment=environment) for namespace, environment in found]
