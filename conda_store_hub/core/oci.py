"""Container images as values: descriptors, manifests and configurations (OCI image specification 1.1)."""

from __future__ import annotations

import platform
import re
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel, to_pascal

IMAGE_PREFIX: Final = "/opt/conda"
"""Where an environment is in its image."""
MOST_LAYERS: Final = 127
"""Overlay file systems stack no more."""
MOST_BASE_LAYERS: Final = 20
"""What is left to the image below, so that the layers of an environment do not depend on it."""

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD_LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+zstd"
PLAIN_LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST_TYPE: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX_TYPE: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
MOST_MANIFEST: Final = 4 << 20
"""Bytes of a manifest or a configuration (distribution specification, "Push": 4 MiB)."""

DIGEST_PATTERN: Final = r"^sha256:[0-9a-f]{64}$"
_DIGEST = re.compile(DIGEST_PATTERN)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def is_digest(text: str) -> bool:
    """Tell whether a text is a digest that is used here (image specification, descriptor.md, "Digests")."""
    return _DIGEST.fullmatch(text) is not None


def this_architecture() -> str:
    """Return the processor of this machine, as images spell it."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


class _Json(BaseModel):
    """What stands in JSON with names in camel case; what is not known of a base is kept out."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    def to_json(self) -> bytes:
        """Return it as it is stored and hashed."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


class Platform(_Json):
    """For which machines something is."""

    architecture: str
    os: str = "linux"
    variant: str | None = None


class Descriptor(_Json):
    """What is somewhere else, by its digest (image specification, descriptor.md); `size` in bytes."""

    media_type: str
    digest: str = Field(pattern=DIGEST_PATTERN)
    size: int = Field(ge=0)
    platform: Platform | None = None
    annotations: dict[str, str] | None = None


class Manifest(_Json):
    """An image for one platform (image specification, manifest.md)."""

    schema_version: int = 2
    media_type: str = MANIFEST_TYPE
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] | None = None


class Index(_Json):
    """Several manifests (image specification, image-index.md)."""

    schema_version: int = 2
    media_type: str = INDEX_TYPE
    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] | None = None


class Named(BaseModel):
    """An empty object: of a volume or a port, the name is all there is."""

    model_config = ConfigDict(frozen=True)


class Execution(BaseModel):
    """How a container is run (image specification, config.md, "config"); its names are in Pascal case."""

    model_config = ConfigDict(frozen=True, alias_generator=to_pascal, populate_by_name=True)

    user: str | None = None
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str | None = None
    labels: dict[str, str] | None = None
    volumes: dict[str, Named] | None = None
    exposed_ports: dict[str, Named] | None = None
    stop_signal: str | None = None


class RootFs(BaseModel):
    """The layers by the digests of what they unpack to."""

    model_config = ConfigDict(frozen=True)

    type: str = "layers"
    diff_ids: tuple[str, ...]


class History(BaseModel):
    """How a layer came to be."""

    model_config = ConfigDict(frozen=True)

    created: str | None = None
    created_by: str | None = None
    comment: str | None = None
    empty_layer: bool | None = None


class ImageConfig(BaseModel):
    """What an image is run as and made of (image specification, config.md)."""

    model_config = ConfigDict(frozen=True)

    created: datetime | None = None
    architecture: str
    os: str = "linux"
    variant: str | None = None
    config: Execution | None = None
    rootfs: RootFs
    history: tuple[History, ...] | None = None

    def to_json(self) -> bytes:
        """Return it as it is stored and hashed."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


class Layer(BaseModel):
    """A layer that is there: its blob's digest and size in bytes, and the digest of what it unpacks to."""

    model_config = ConfigDict(frozen=True)

    digest: str
    size: int
    diff_id: str
    media_type: str = LAYER_TYPE

    def describe(self) -> Descriptor:
        """Return what a manifest says of it."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=self.size)
