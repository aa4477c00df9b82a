"""Container images of prefixes, as real tools for containers take them (skopeo, umoci, bubblewrap)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from conda_store_hub.builder.oci_layout import write_layout
from conda_store_hub.core.oci import (
    CONFIG_TYPE,
    LAYER_TYPE,
    Descriptor,
    Execution,
    ImageConfig,
    Layer,
    Manifest,
    RootFs,
)
from conda_store_hub.core.protocol import ArtifactType, BlobEvent, BuildRequest, ImageRequest
from tests.builder.conftest import Built
from tests.support.builder import Outcome, Workshop, run_builder
from tests.support.containers import run, run_inside

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
"""This machine's architecture, as containers spell it."""


@dataclass(frozen=True)
class Image:
    """What a builder wrote of an image."""

    request: BuildRequest
    outcome: Outcome
    manifest: bytes

    @property
    def blobs(self) -> list[BlobEvent]:
        return [event for event in self.outcome.events if isinstance(event, BlobEvent)]

    @property
    def known(self) -> dict[str, Layer]:
        """Its layers by what they are known by, as the service would keep them."""
        return {
            each.key: Layer(digest=each.digest, size=each.size, diff_id=each.diff_id) for each in self.blobs if each.key
        }

    @property
    def parsed(self) -> Manifest:
        return Manifest.model_validate_json(self.manifest)

    @property
    def config(self) -> ImageConfig:
        return ImageConfig.model_validate_json(self.find(self.parsed.config.digest).read_bytes())

    def find(self, digest: str) -> Path:
        """Return the file of a blob that was made for it."""
        return next(Path(each.path) for each in self.blobs if each.digest == digest)

    def write(self, folder: Path, others: Sequence[Image] = ()) -> Path:
        """Write it as an image layout; layers that it did not make itself are those of others."""
        paths = {each.digest: Path(each.path) for image in (*others, self) for each in image.blobs if each.path}
        needed = [self.parsed.config.digest, *(layer.digest for layer in self.parsed.layers)]
        write_layout(folder, self.manifest, [paths[digest] for digest in needed], "latest")
        return folder


def ask_image(built: Built, work: Path, **image: object) -> BuildRequest:
    """Return the request for the image of what was built."""
    update = {
        "directories": built.request.directories.model_copy(update={"work": str(work)}),
        "prefix_ready": True,
        "artifacts": (ArtifactType.DOCKER_MANIFEST,),
        "image": ImageRequest.model_validate(image),
    }
    return built.request.model_copy(update=update)


def make_image(built: Built, work: Path, **image: object) -> Image:
    request = ask_image(built, work, **image)
    outcome = run_builder(request)
    assert outcome.succeeded, outcome.log
    artifact = outcome.artifacts[ArtifactType.DOCKER_MANIFEST]
    assert not artifact.error, outcome.log
    return Image(request, outcome, Path(artifact.path).read_bytes())


@pytest.fixture(scope="module")
def image(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return make_image(built, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def unpacked(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as skopeo copies and umoci unpacks it."""
    folder = tmp_path_factory.mktemp("unpacked")
    layout = image.write(folder / "layout")
    run("skopeo", "copy", "--quiet", f"oci:{layout}:latest", f"oci:{folder}/copied:latest")
    run("umoci", "unpack", "--image", f"{folder}/copied:latest", folder / "bundle")
    return folder / "bundle" / "rootfs"


def test_its_python_imports_its_packages_of_both_kinds_and_knows_its_place(image: Image, unpacked: Path) -> None:
    code = "import sys, numpy, flask, tiny_pip, os; print(sys.prefix, tiny_pip.ANSWER, os.environ['GREETING'])"
    assert run_inside(unpacked, image.config, "python", "-c", code) == "/opt/conda 42 good day\n"
    assert run_inside(unpacked, image.config, "tiny-pip") == "/opt/conda\n"


def test_nothing_in_it_tells_where_it_was_built(image: Image, unpacked: Path) -> None:
    prefix = image.request.directories.prefix.encode()
    found = [
        path
        for path in unpacked.rglob("*")
        if (path.is_symlink() and prefix in str(path.readlink()).encode())
        or (path.is_file() and not path.is_symlink() and prefix in path.read_bytes())
    ]
    assert found == []


def test_its_bytecode_is_there_and_no_module_of_a_package_is_compiled_when_it_runs(
    image: Image, unpacked: Path
) -> None:
    code = "import flask, sys; print(flask.__spec__.cached); print(sys.modules['flask.app'].__cached__)"
    for cached in run_inside(unpacked, image.config, "python", "-c", code).split():
        assert (unpacked / cached.lstrip("/")).is_file()
    said = run_inside(unpacked, image.config, "python", "-v", "-c", "import flask").splitlines()
    assert [line for line in said if "wrote" in line] == []


def test_everything_belongs_to_root_and_has_plain_modes(image: Image) -> None:
    for layer in image.parsed.layers:
        with tarfile.open(image.find(layer.digest)) as tar:
            for member in tar:
                assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
                assert member.mode in ({0o777} if member.issym() else {0o644, 0o755}), member.name
                assert not member.name.startswith(("/", "..")), member.name
                assert not member.islnk()


def test_the_same_prefix_gives_the_same_image(image: Image, built: Built, tmp_path: Path) -> None:
    assert make_image(built, tmp_path / "w").manifest == image.manifest


def test_a_layer_is_the_same_in_another_environment_with_other_caches(
    image: Image, sample: str, tiny: str, wheels: str, tmp_path: Path
) -> None:
    other = Workshop(tmp_path / "data", [sample, tiny], pip_index=wheels)
    request = other.request("python", "flask")
    assert run_builder(request).succeeded
    again = make_image(Built(request, Outcome(0, [], "")), tmp_path / "w")
    assert again.known
    assert {key: layer for key, layer in again.known.items() if image.known.get(key) != layer} == {}


def test_a_sibling_writes_what_is_new_in_it_only(image: Image, workshop: Workshop, tmp_path: Path) -> None:
    request = workshop.request("python", "numpy >=1", "flask", "ipykernel", "pandas")
    assert run_builder(request).succeeded
    sibling = make_image(Built(request, Outcome(0, [], "")), tmp_path / "w", known=image.known)
    made = [each for each in sibling.blobs if each.path]
    assert {each.key for each in made}.isdisjoint(image.known)
    assert sum(each.size for each in made) < sum(layer.size for layer in sibling.parsed.layers) / 2
    layout = sibling.write(tmp_path / "layout", [image])
    inspected = json.loads(run("skopeo", "inspect", f"oci:{layout}:latest"))
    assert inspected["Layers"] == [layer.digest for layer in sibling.parsed.layers]


def test_it_is_put_on_a_base_and_runs_as_that_one_does(built: Built, tmp_path: Path) -> None:
    ran = Execution(env=("PATH=/base/bin:/bin", "LANG=C.UTF-8"), cmd=("/bin/bash",))
    base = make_base(tmp_path / "base", ARCHITECTURE, ran)
    image = make_image(built, tmp_path / "w", base=str(base), labels=(("a", "b"),))
    execution = image.config.config
    assert execution is not None
    assert "PATH=/opt/conda/bin:/base/bin:/bin" in (execution.env or ())
    assert "LANG=C.UTF-8" in (execution.env or ())
    assert (execution.cmd, execution.labels) == (("/bin/bash",), {"a": "b"})
    with tarfile.open(image.find(image.parsed.layers[0].digest)) as first:
        assert "etc/from-base" in first.getnames()
    layout = image.write(tmp_path / "layout")
    run("umoci", "unpack", "--image", f"{layout}:latest", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "etc" / "from-base").is_file()


@pytest.mark.parametrize("damage", ["no layout", "another architecture", "its layer", "its configuration"])
def test_a_base_that_cannot_be_used_is_said_and_nothing_is_made(built: Built, tmp_path: Path, damage: str) -> None:
    base = make_base(tmp_path / "base", "m68k" if damage == "another architecture" else ARCHITECTURE)
    if damage == "no layout":
        shutil.rmtree(base)
    elif damage.startswith("its"):
        is_layer = damage == "its layer"
        parts = (base / "blobs" / "sha256").iterdir()
        (part,) = [
            path
            for path in parts
            if (path.read_bytes()[:2] == b"\x1f\x8b") is is_layer and b"schemaVersion" not in path.read_bytes()
        ]
        part.write_bytes(part.read_bytes() + b" ")
    outcome = run_builder(ask_image(built, tmp_path / "w", base=str(base)))
    artifact = outcome.artifacts[ArtifactType.DOCKER_MANIFEST]
    assert "base image" in artifact.error
    assert str(tmp_path) not in artifact.error


def make_base(folder: Path, architecture: str, execution: Execution | None = None) -> Path:
    """Write an image layout of one layer with one file."""
    parts = folder.with_name("parts")
    parts.mkdir()
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("etc/from-base"), io.BytesIO())
    layer = put(parts, gzip.compress(plain.getvalue()), LAYER_TYPE)
    diff_id = f"sha256:{hashlib.sha256(plain.getvalue()).hexdigest()}"
    config = ImageConfig(architecture=architecture, config=execution, rootfs=RootFs(diff_ids=(diff_id,)))
    manifest = Manifest(config=put(parts, config.to_json(), CONFIG_TYPE), layers=(layer,))
    write_layout(folder, manifest.to_json(), parts.iterdir(), "base")
    return folder


def put(folder: Path, data: bytes, media_type: str) -> Descriptor:
    digest = hashlib.sha256(data).hexdigest()
    (folder / digest).write_bytes(data)
    return Descriptor(media_type=media_type, digest=f"sha256:{digest}", size=len(data))
