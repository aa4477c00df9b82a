"""Manifests and blobs (distribution specification, "Pull")."""

from __future__ import annotations

import contextlib
import re
import time

from tornado.iostream import StreamClosedError

from conda_store_hub.core.errors import BeingMadeError, InvalidDigestError, NotFoundError
from conda_store_hub.core.oci import MANIFEST_TYPE, is_digest
from conda_store_hub.core.ondemand import NAMESPACE, Wish
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.core.references import TAG_PATTERN
from conda_store_hub.core.repositories import Repository, read_name
from conda_store_hub.services import images
from conda_store_hub.services.artifacts import Location, Missing
from conda_store_hub.services.images import LATEST
from conda_store_hub.web import downloads
from conda_store_hub.web.making import FileMaker
from conda_store_hub.web.registry.base import RegistryHandler
from conda_store_hub.web.registry.errors import UNKNOWN_BLOB, UNKNOWN_MANIFEST
from conda_store_hub.web.registry.wishes import WishHandler

LONGEST_SECONDS = 300.0
"""How long a pull is held while an image is made or checked."""
_ACCEPTABLE = frozenset({"*/*", "application/*", MANIFEST_TYPE})
_TAG = re.compile(TAG_PATTERN)
_ANY_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_MOST_DIGEST = 300


class _ContentHandler(FileMaker, RegistryHandler):
    kind = ArtifactType.DOCKER_MANIFEST

    async def send(self, location: Location) -> None:
        """Send bytes that are known by their digest, or a range of them."""
        self.set_header("Docker-Content-Digest", f"sha256:{location.sha256}")
        with contextlib.suppress(StreamClosedError):
            await downloads.send_artifact(self, location)


class ManifestHandler(WishHandler, _ContentHandler):
    """`GET` and `HEAD /v2/NAME/manifests/REFERENCE`."""

    unknown = UNKNOWN_MANIFEST

    async def get(self, name: str, reference: str) -> None:
        """Send the manifest of a build, once its image is there."""
        until = time.monotonic() + LONGEST_SECONDS
        with contextlib.ExitStack() as self.place:
            location = await self._wait_for_image(name, reference, until)
        if location is not None:
            await self.send(location)  # not counted: it is small, and a whole cluster may wait for one image

    async def _wait_for_image(self, name: str, reference: str, until: float) -> Location | None:
        """Return where the manifest is, once it is there; None for who has left."""
        build_id = await self._find_build(name, reference, until)
        if build_id is None:
            return None
        self._require_acceptable()
        location = await self.find_image(build_id, until)
        if location is not None and ":" in reference and reference != f"sha256:{location.sha256}":
            raise NotFoundError(f"“{name}@{reference}” was lost and made again, and came to another digest.")
        return location

    async def order(self, build_id: int) -> None:
        """Have an image made; HEAD of what nobody is offered is no pull, but a look at it."""
        is_look = self.request.method == "HEAD"
        if is_look and not await self.services.db.read(images.is_offered, self.identity, build_id):
            self.refuse(build_id, Missing.UNASKED)
        await super().order(build_id)

    async def _find_build(self, name: str, reference: str, until: float) -> int | None:
        """Return the build that is meant; None for who has left before it was usable."""
        wanted = read_name(name)
        if isinstance(wanted, Wish) and reference == LATEST:
            self._require_acceptable()
            return await self.find_wished(wanted, until)
        build_id = await self._find_named(await self.find_repository(name), reference)
        if name.startswith(f"{NAMESPACE}/"):
            await self.require_allowed(build_id)  # also of who knows its number, its digest or its environment
            await self.note_pull(build_id)
        return build_id

    async def _find_named(self, where: Repository, reference: str) -> int:
        db = self.services.db
        if ":" in reference:
            return await db.read(images.find_manifest, self.identity, where, read_digest(reference))
        if not _TAG.fullmatch(reference):
            raise NotFoundError("This is no tag: there is no image of that name.")
        return await db.read(images.find_tagged, self.identity, where, reference)

    def _require_acceptable(self) -> None:
        """Raise NotFoundError for a client that could not read the manifest (RFC 9110, 12.5.1)."""
        named = ",".join(self.request.headers.get_list("Accept")).split(",")
        types = {each.partition(";")[0].strip().lower() for each in named} - {""}
        if types and not types & _ACCEPTABLE:
            raise NotFoundError(f"There is a manifest of {MANIFEST_TYPE} alone, which this client does not take.")


class BlobHandler(_ContentHandler):
    """`GET` and `HEAD /v2/NAME/blobs/DIGEST`."""

    unknown = UNKNOWN_BLOB

    async def get(self, name: str, digest: str) -> None:
        """Send a blob of an image in this repository."""
        where, wanted = await self.find_repository(name), read_digest(digest)
        location = await self.services.db.read(images.find_blob, self.identity, where, wanted)
        with downloads.counted(self, self.services.registry.pulled_at_once):
            if self.request.method == "HEAD":
                await self.require_bytes(location)
            else:
                await self._require_whole(location)
            if not self.left:
                await self.send(location)

    async def _require_whole(self, location: Location) -> None:
        """Have an image made again of which this blob is not what it was; who asks again gets it."""
        words = await self.find_damage(location, LONGEST_SECONDS)
        if words:
            await self.services.db.write(images.make_again, location.build_id, words, self.services.rules)
            raise BeingMadeError("This blob is being made again; ask again in a moment.")


def read_digest(text: str) -> str:
    """Return a digest; raise InvalidDigestError for what is none, and NotFoundError for one of another algorithm."""
    if is_digest(text):
        return text
    if len(text) > _MOST_DIGEST or text.startswith("sha256:") or not _ANY_DIGEST.fullmatch(text):
        raise InvalidDigestError
    raise NotFoundError("All digests are of SHA-256 here.")
