"""Container images of prefixes, as real tools for containers take them (skopeo, umoci, bubblewrap)."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import tarfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from conda_store_hub.builder.layer_files import write_layer
from conda_store_hub.builder.layers import PrefixLayers
from conda_store_hub.builder.oci_layout import write_layout
from conda_store_hub.builder.prefix import read_conda_packages
from conda_store_hub.core.oci import Execution, ImageConfig, Index, Layer, Manifest
from conda_store_hub.core.protocol import ArtifactType, BlobEvent, BuildRequest, ImageRequest
from conda_store_hub.demo import base
from conda_store_hub.demo.errors import DemoError
from tests.builder.conftest import Built
from tests.support.builder import Outcome, Workshop, run_builder
from tests.support.containers import (
    ARCHITECTURE,
    make_base,
    make_debian_base,
    make_zstd_base,
    run,
    run_in,
    run_inside,
)
from tests.support.registries import run_registry


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


def test_what_is_changed_for_it_is_the_same_whether_it_is_held_or_made_when_it_is_written(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = read_conda_packages(built.prefix)
    files = PrefixLayers(built.prefix, packages, Path(built.request.directories.bytecode))
    changed = [each.package.name for each in packages if any(file.has_prefix for file in each.files)]

    def write() -> list[Layer]:
        found = [list(files.list_package(name)) for name in changed]
        is_held = [bool(each.data) for each in itertools.chain(*found) if "/conda-meta/" not in each.path]
        assert (any(is_held), any(each.make for each in itertools.chain(*found))) == (most > 0, most == 0)
        return [write_layer(tmp_path / "layer", members) for members in found]

    made: list[list[Layer]] = []
    for most in (0, 1 << 30):
        monkeypatch.setattr("conda_store_hub.builder.layers._MOST_KEPT", most)
        made.append(write())
    assert made[0] == made[1] != []


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


@pytest.fixture(scope="module")
def other(workshop: Workshop) -> Built:
    request = workshop.request("python", "flask")
    assert run_builder(request).succeeded
    return Built(request, Outcome(0, [], ""))


@pytest.mark.parametrize("what", ["bytecode", "no bytecode", "module", "script", "link"])
def test_what_is_not_as_its_package_has_it_gets_into_nobody_elses_image(
    image: Image, other: Built, tmp_path: Path, what: str
) -> None:
    (package,) = other.prefix.glob("lib/python3.*/site-packages/flask")
    (cached,) = package.glob("__pycache__/app.*.pyc")
    file = {"module": package / "app.py", "link": package / "app.py", "script": other.prefix / "bin" / "flask"}.get(
        what, cached
    )
    kept = file.rename(tmp_path / "kept")
    if what == "link":
        file.symlink_to("sessions.py")
    elif what != "no bytecode":
        file.write_bytes(kept.read_bytes() + b"\n")
    (key,) = (key for key, layer in image.known.items() if has_file(image.find(layer.digest), "/flask/app.py"))
    known = {name: layer for name, layer in image.known.items() if name != key}
    try:
        odd = make_image(other, tmp_path / "w", known=known)
    finally:
        file.unlink(missing_ok=True)
        kept.rename(file)
    assert odd.known
    assert odd.known.items() <= known.items()
    own = next(each.digest for each in odd.blobs if each.path and has_file(Path(each.path), "/flask/app.py"))
    assert has_file(odd.find(own), f"/flask/__pycache__/{cached.name}") is (what not in ("bytecode", "no bytecode"))


def has_file(layer: Path, end: str) -> bool:
    if layer.read_bytes()[:2] != b"\x1f\x8b":
        return False
    with tarfile.open(layer) as tar:
        return any(name.endswith(end) for name in tar.getnames())


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


def test_it_is_put_on_a_base_and_runs_as_that_one_does(built: Built, image: Image, tmp_path: Path) -> None:
    said = {
        "Env": ["PATH=/base/bin:/bin", "LANG=C.UTF-8"],
        "Entrypoint": ["/init", "--"],
        "Cmd": ["/bin/bash"],
        "User": "1000",
        "WorkingDir": "/srv",
        "Volumes": {"/data": {}},
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGINT",
        "Labels": {"of": "the base"},
    }
    below = make_base(tmp_path / "base", ARCHITECTURE, Execution.model_validate(said))
    based = make_image(built, tmp_path / "w", base=str(below), labels=(("a", "b"),), known=image.known)
    execution = based.config.config
    assert execution is not None
    assert "PATH=/opt/conda/bin:/base/bin:/bin" in (execution.env or ())
    assert "LANG=C.UTF-8" in (execution.env or ())
    assert (execution.entrypoint, execution.cmd) == (("/init", "--"), ("/bin/bash",))
    written = json.loads(based.find(based.parsed.config.digest).read_bytes())["config"]
    kept = ("User", "WorkingDir", "Volumes", "ExposedPorts", "StopSignal")
    assert {name: written[name] for name in kept} == {name: said[name] for name in kept}
    assert execution.labels == {"of": "the base", "a": "b"}
    (described,) = Index.model_validate_json((below / "index.json").read_bytes()).manifests
    assert based.parsed.annotations == {"org.opencontainers.image.base.digest": described.digest}
    assert based.outcome.artifacts[ArtifactType.DOCKER_MANIFEST].base == described.digest
    with tarfile.open(based.find(based.parsed.layers[0].digest)) as first:
        assert "etc/from-base" in first.getnames()
    assert based.parsed.layers[1:] == image.parsed.layers
    known = image.known | based.known
    again = make_image(built, tmp_path / "again", base=str(below), labels=(("a", "b"),), known=known)
    assert again.manifest == based.manifest
    assert [each.key for each in again.blobs if each.path and each.key] == [], "the base's layer is there already"


def test_what_a_base_has_in_the_place_of_the_environment_is_not_seen(
    built: Built, image: Image, tmp_path: Path
) -> None:
    (folder,) = (path.relative_to(built.prefix) for path in built.prefix.glob("lib/python3.*/site-packages"))
    below = make_base(tmp_path / "base", name=f"opt/conda/{folder}/ghost.py")
    based = make_image(built, tmp_path / "w", base=str(below), known=image.known)
    assert based.parsed.layers[2:] == image.parsed.layers
    layout = based.write(tmp_path / "layout", [image])
    run("umoci", "unpack", "--image", f"{layout}:latest", tmp_path / "bundle")
    code = "import importlib.util, numpy; print(importlib.util.find_spec('ghost'))"
    assert run_inside(tmp_path / "bundle" / "rootfs", based.config, "python", "-c", code) == "None\n"


def test_without_a_base_it_says_that_nothing_runs_in_it_and_on_another_than_before_that_it_changed(
    built: Built, image: Image, tmp_path: Path
) -> None:
    made = image.outcome.artifacts[ArtifactType.DOCKER_MANIFEST]
    assert (made.base, "no C library" in made.note) == ("", True)
    assert image.config.config is not None
    assert (image.config.config.cmd, image.config.config.entrypoint) == (("/opt/conda/bin/python",), None)
    below = make_base(tmp_path / "base")
    before = f"sha256:{'ab' * 32}"
    where = {"base": str(below), "base_cache": str(tmp_path / "bases")}
    moved = make_image(built, tmp_path / "w", **where, base_digest=before, known=image.known)
    made = moved.outcome.artifacts[ArtifactType.DOCKER_MANIFEST]
    assert made.note == (
        f"It was on the base {before}, which cannot be had any more, and is on the base {made.base}: its digest is"
        " another one."
    )
    kept = make_image(built, tmp_path / "kept", base=str(below), base_digest="", known=image.known)
    assert kept.manifest == image.manifest, "on nothing, as before"


@contextmanager
def added(prefix: Path, path: str, text: str) -> Generator[None]:
    """Have a file in a prefix while the block runs, and no empty folder afterwards: it would be in other images."""
    file, made = prefix / path, list[Path]()
    for folder in reversed(file.relative_to(prefix).parents[:-1]):
        if not (prefix / folder).exists():
            (prefix / folder).mkdir()
            made.append(prefix / folder)
        (prefix / folder).chmod(0o755)  # it is read-only
    file.write_text(text)
    try:
        yield
    finally:
        file.unlink()
        for folder in reversed(made):
            folder.rmdir()


def test_variables_of_packages_are_set_in_it(built: Built, image: Image, tmp_path: Path) -> None:
    told = json.dumps({"PACKAGE_HOME": f"{built.prefix}/share/package"})
    with added(built.prefix, "etc/conda/env_vars.d/package.json", told):
        active = make_image(built, tmp_path / "w", known=image.known).config.config
    assert active is not None
    assert "PACKAGE_HOME=/opt/conda/share/package" in (active.env or ())


def test_on_packages_of_debian_it_starts_by_their_shell_with_activation(
    built: Built, image: Image, tmp_path: Path
) -> None:
    packages = ("libc6", "dash", "libstdc++6", "libgcc-s1", "zlib1g")  # numpy takes the last three of the system
    below = make_debian_base(tmp_path / "base", *packages)
    with added(built.prefix, "etc/conda/activate.d/greet.sh", 'export GREETED="by $CONDA_PREFIX"\n'):
        based = make_image(built, tmp_path / "w", base=str(below), known=image.known)
    layout = based.write(tmp_path / "layout", [image])
    run("umoci", "unpack", "--image", f"{layout}:latest", tmp_path / "bundle")
    root = tmp_path / "bundle" / "rootfs"
    code = "import os, sys, numpy; print(sys.prefix, os.environ['GREETED'])"
    assert run_in(root, based.config, "python", "-c", code) == "/opt/conda by /opt/conda\n"


def test_it_is_put_on_what_a_registry_has(built: Built, image: Image, tmp_path: Path) -> None:
    with run_registry(tmp_path / "r") as registry:
        reference = registry.push(f"oci:{make_base(tmp_path / 'base')}:base", "some/base:1")
        cache = str(tmp_path / "bases")
        based = make_image(built, tmp_path / "w", base=reference, base_cache=cache, known=image.known)
    with tarfile.open(based.find(based.parsed.layers[0].digest)) as first:
        assert first.getnames() == ["etc/from-base"]


def test_on_a_base_packed_with_zstd_it_is_what_clients_take(built: Built, image: Image, tmp_path: Path) -> None:
    below = make_zstd_base(tmp_path / "base")
    based = make_image(built, tmp_path / "w", base=str(below), known=image.known)
    assert [layer.media_type.partition("+")[2] for layer in based.parsed.layers][:2] == ["zstd", "gzip"]
    layout = based.write(tmp_path / "layout", [image])
    run("skopeo", "copy", "--quiet", "--dest-decompress", f"oci:{layout}:latest", f"dir:{tmp_path}/unpacked")
    first = Manifest.model_validate_json((tmp_path / "unpacked" / "manifest.json").read_bytes()).layers[0]
    with tarfile.open(tmp_path / "unpacked" / first.digest.removeprefix("sha256:")) as layer:
        assert layer.getnames() == ["etc/from-zstd"]


def test_on_what_this_machine_has_it_runs_with_nothing_else(built: Built, image: Image, tmp_path: Path) -> None:
    base.make_base(tmp_path / "base")
    based = make_image(built, tmp_path / "w", base=str(tmp_path / "base"), known=image.known)
    layout = based.write(tmp_path / "layout", [image])
    run("umoci", "unpack", "--image", f"{layout}:latest", tmp_path / "bundle")
    root = tmp_path / "bundle" / "rootfs"
    code = "import sys, ssl, numpy, tiny_pip; print(sys.prefix, len(ssl.create_default_context().get_ca_certs()) > 9)"
    assert run_in(root, based.config, "python", "-c", code) == "/opt/conda True\n"
    assert run_in(root, based.config, "sh", "-c", 'for name in /*; do echo "$name"; done').split()[0] == "/bin"
    with pytest.raises(DemoError, match="is there already"):
        base.make_base(tmp_path / "base")


def test_without_what_it_is_to_be_put_on_the_words_say_where_another_can_be_named(built: Built, tmp_path: Path) -> None:
    asked = ask_image(built, tmp_path / "w", base="127.0.0.1:9/base:1", base_cache=str(tmp_path / "bases"))
    outcome = run_builder(asked.model_copy(update={"artifacts": (ArtifactType.DOCKER_MANIFEST, ArtifactType.YAML)}))
    assert outcome.succeeded
    assert outcome.artifacts[ArtifactType.DOCKER_MANIFEST].error == (
        "The base image “127.0.0.1:9/base:1” cannot be had: the registry cannot be reached. An administrator can name"
        " another one in `c.CondaStore.image_base`: in another registry, on disk, or none at all."
    )
    assert not outcome.artifacts[ArtifactType.YAML].error


@pytest.fixture(scope="module")
def archive(built: Built, image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image in one file, of layers that are there."""
    folder = tmp_path_factory.mktemp("archive")
    layers = folder / "layers"
    layers.mkdir()
    for layer in image.parsed.layers:
        (layers / layer.digest.removeprefix("sha256:")).hardlink_to(image.find(layer.digest))
    request = ask_image(built, folder / "w", known=image.known, layers=str(layers), name="alice/ml:7")
    outcome = run_builder(request.model_copy(update={"artifacts": (ArtifactType.OCI_ARCHIVE,)}))
    made = outcome.artifacts[ArtifactType.OCI_ARCHIVE]
    assert not made.error, outcome.log
    assert [each for each in outcome.events if isinstance(each, BlobEvent)] == []
    assert hashlib.sha256(Path(made.path).read_bytes()).hexdigest() == made.sha256
    return Path(made.path)


def test_in_one_file_it_is_the_same_image(archive: Path, image: Image, tmp_path: Path) -> None:
    run("skopeo", "copy", "--quiet", f"oci-archive:{archive}", f"oci:{tmp_path}/layout:got")
    (described,) = Index.model_validate_json((tmp_path / "layout" / "index.json").read_bytes()).manifests
    blobs = tmp_path / "layout" / "blobs" / "sha256"
    manifest = Manifest.model_validate_json((blobs / described.digest.removeprefix("sha256:")).read_bytes())
    assert manifest == image.parsed
    run("umoci", "unpack", "--image", f"{tmp_path}/layout:got", tmp_path / "bundle")
    root = tmp_path / "bundle" / "rootfs"
    assert run_inside(root, image.config, "python", "-c", "import numpy; print(6 * 7)") == "42\n"


def test_an_image_and_its_file_are_made_at_once_and_again_to_the_same_bytes(
    built: Built, archive: Path, image: Image, tmp_path: Path
) -> None:
    request = ask_image(built, tmp_path / "w", name="alice/ml:7")
    kinds = (ArtifactType.OCI_ARCHIVE, ArtifactType.DOCKER_MANIFEST)
    outcome = run_builder(request.model_copy(update={"artifacts": kinds}))
    made = {kind: Path(outcome.artifacts[kind].path).read_bytes() for kind in kinds}
    assert made == {ArtifactType.OCI_ARCHIVE: archive.read_bytes(), ArtifactType.DOCKER_MANIFEST: image.manifest}
    told = {each.digest for each in outcome.events if isinstance(each, BlobEvent)}
    assert told == {image.parsed.config.digest, *(layer.digest for layer in image.parsed.layers)}


@pytest.mark.parametrize(
    "damage", ["no layout", "another architecture", "its layer", "its configuration", "what its layer unpacks to"]
)
def test_a_base_that_cannot_be_used_is_said_and_nothing_is_made(built: Built, tmp_path: Path, damage: str) -> None:
    says = f"sha256:{'00' * 32}" if damage.startswith("what") else ""
    below = make_base(tmp_path / "base", "m68k" if damage == "another architecture" else ARCHITECTURE, diff_id=says)
    if damage == "no layout":
        shutil.rmtree(below)
    elif damage.startswith("its"):
        is_layer = damage == "its layer"
        parts = (below / "blobs" / "sha256").iterdir()
        (part,) = [
            path
            for path in parts
            if (path.read_bytes()[:2] == b"\x1f\x8b") is is_layer and b"schemaVersion" not in path.read_bytes()
        ]
        part.write_bytes(part.read_bytes() + b" ")
    outcome = run_builder(ask_image(built, tmp_path / "w", base=str(below)))
    artifact = outcome.artifacts[ArtifactType.DOCKER_MANIFEST]
    assert "base image" in artifact.error
    assert str(tmp_path) not in artifact.error
