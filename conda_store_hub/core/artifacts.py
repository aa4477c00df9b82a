"""How the files that builds yield are called, and where they are served; below the service's address."""

from __future__ import annotations

from dataclasses import dataclass

from conda_store_hub.core.states import ArtifactType


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactFile:
    """One kind of file. Both addresses of it end in `path/` and in `name`; the latter is what its readers expect."""

    path: str
    name: str
    media_type: str


#: What can be downloaded, in the order in which people look for it.
FILES = {
    ArtifactType.YAML: ArtifactFile(path="yaml", name="environment.yaml", media_type="application/yaml"),
    ArtifactType.LOCKFILE: ArtifactFile(path="lockfile", name="conda-lock.yml", media_type="application/yaml"),
    ArtifactType.EXPLICIT: ArtifactFile(path="explicit", name="explicit.txt", media_type="text/plain"),
    ArtifactType.PIXI_LOCK: ArtifactFile(path="pixi", name="pixi.lock", media_type="application/yaml"),
    ArtifactType.SBOM: ArtifactFile(path="sbom", name="sbom.cdx.json", media_type="application/vnd.cyclonedx+json"),
    ArtifactType.CONDA_PACK: ArtifactFile(path="archive", name="environment.tar.gz", media_type="application/gzip"),
    ArtifactType.OCI_ARCHIVE: ArtifactFile(path="image", name="image.tar", media_type="application/x-tar"),
}


def find_file(kind: ArtifactType) -> ArtifactFile | None:
    """Return how files of a kind are called; None for what is not given to anybody."""
    if kind is ArtifactType.DOCKER_MANIFEST:  # the one file of an image, which the registry serves
        from conda_store_hub.core.oci import MANIFEST_TYPE

        return ArtifactFile(path="", name="manifest.json", media_type=MANIFEST_TYPE)
    return FILES.get(kind)


def artifact_address(build_id: int, kind: ArtifactType) -> str:
    """Return where a file of a build is served, always the same one."""
    return f"api/v1/build/{build_id}/{FILES[kind].name}"
