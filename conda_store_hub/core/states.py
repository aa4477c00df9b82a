"""The states of a build and of what it yields, with the transition table, and which kinds of artifacts there are."""

# Of nothing but words: `conda-store run` has no time for what else crosses the builder's pipe.

from __future__ import annotations

from enum import StrEnum
from typing import Literal, get_args


class BuildStatus(StrEnum):
    """The state of a build, spelled as on conda-store's wire."""

    QUEUED = "QUEUED"
    BUILDING = "BUILDING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


# QUEUED <- BUILDING: the service stopped in the middle, and the build is tried again.
TRANSITIONS: dict[BuildStatus, frozenset[BuildStatus]] = {
    BuildStatus.QUEUED: frozenset({BuildStatus.BUILDING, BuildStatus.CANCELED, BuildStatus.FAILED}),
    BuildStatus.BUILDING: frozenset(
        {BuildStatus.COMPLETED, BuildStatus.FAILED, BuildStatus.CANCELED, BuildStatus.QUEUED}
    ),
    BuildStatus.COMPLETED: frozenset(),
    BuildStatus.FAILED: frozenset(),
    BuildStatus.CANCELED: frozenset(),
}
LIVE = frozenset(status for status, following in TRANSITIONS.items() if following)
"""Of a build that is not over yet."""


class ArtifactType(StrEnum):
    """What a build yields; the first five are conda-store's."""

    LOGS = "LOGS"
    LOCKFILE = "LOCKFILE"
    YAML = "YAML"
    CONDA_PACK = "CONDA_PACK"
    DOCKER_MANIFEST = "DOCKER_MANIFEST"
    EXPLICIT = "EXPLICIT"
    PIXI_LOCK = "PIXI_LOCK"
    SBOM = "SBOM"
    OCI_ARCHIVE = "OCI_ARCHIVE"
    RECORDS = "RECORDS"
    PIP_LOCK = "PIP_LOCK"


PrefixArtifact = Literal[
    ArtifactType.LOCKFILE,
    ArtifactType.YAML,
    ArtifactType.EXPLICIT,
    ArtifactType.PIXI_LOCK,
    ArtifactType.SBOM,
    ArtifactType.CONDA_PACK,
    ArtifactType.DOCKER_MANIFEST,
    ArtifactType.OCI_ARCHIVE,
]
"""What a builder writes of a finished prefix, with the build or later."""

MADE_OF_PREFIXES: tuple[PrefixArtifact, ...] = get_args(PrefixArtifact)
"""All of them."""

OF_IMAGES: tuple[ArtifactType, ...] = (ArtifactType.DOCKER_MANIFEST, ArtifactType.OCI_ARCHIVE)
"""What is made once the packages are known: of layers that other images have."""


class ArtifactState(StrEnum):
    """The state of one artifact: an environment is usable before its artifacts are there."""

    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"
    DELETED = "DELETED"


class Phase(StrEnum):
    """The steps of a build, in order; those after `activate` do not hold the environment back."""

    SOLVE = "solve"
    INSTALL = "install"
    BYTECODE = "bytecode"
    PIP = "pip"
    ACTIVATE = "activate"
    YAML = "yaml"
    LOCKFILE = "lockfile"
    EXPLICIT = "explicit"
    PIXI_LOCK = "pixi_lock"
    SBOM = "sbom"
    ARCHIVE = "archive"
    IMAGE = "image"
    IMAGE_ARCHIVE = "image_archive"


class PackageReason(StrEnum):
    """Why a package is in a build: somebody asked for it, a policy adds it, or another package needs it."""

    ASKED = "asked"
    POLICY = "policy"
    NEEDED = "needed"
