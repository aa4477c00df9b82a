"""Tools for containers, as the tests of images call them; none of them needs a daemon or privileges."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conda_store_hub.builder.layer_files import Member, write_layer
from conda_store_hub.builder.oci_layout import write_layout
from conda_store_hub.core.oci import (
    CONFIG_TYPE,
    LAYER_TYPE,
    Descriptor,
    Execution,
    ImageConfig,
    Manifest,
    RootFs,
    this_architecture,
)

ARCHITECTURE = this_architecture()
"""This machine's architecture, as containers spell it."""


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_inside(root: Path, config: ImageConfig, *command: str) -> str:
    """Run a command where the image's environment is at its place; the C library is that of this machine."""
    system = [
        part for name in ("usr", "lib", "lib64", "bin", "etc") for part in ("--ro-bind-try", f"/{name}", f"/{name}")
    ]
    return _enter([*system, "--ro-bind", str(root / "opt"), "/opt"], config, *command)


def run_in(root: Path, config: ImageConfig, *command: str) -> str:
    """Run a command in an image that has all that it needs."""
    return _enter(["--ro-bind", str(root), "/"], config, *command)


def _enter(places: list[str], config: ImageConfig, *command: str) -> str:
    execution = config.config
    assert execution is not None
    settings = [part for pair in execution.env or () for part in ("--setenv", *pair.split("=", 1))]
    return run(
        *("bwrap", "--clearenv", *places, "--proc", "/proc", "--dev", "/dev"),
        *(*settings, "--tmpfs", "/tmp", *(execution.entrypoint or ()), *command),
    )


@contextmanager
def podman(folder: Path) -> Generator[Callable[..., str]]:
    """Give podman with a storage of its own, which mounts nothing, and take that away afterwards."""
    if shutil.which("podman") is None:
        pytest.skip("podman is missing")
    home = folder / "podman"
    home.mkdir()
    storage = f'[storage]\ndriver = "vfs"\nrunroot = "{home}/run"\ngraphroot = "{home}/graph"\n'
    (home / "storage.conf").write_text(storage)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "CONTAINERS_STORAGE_CONF": f"{home}/storage.conf"}

    def call(*arguments: str) -> str:
        done = subprocess.run(["podman", *arguments], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield call
    call("image", "rm", "--all", "--force")


def make_base(
    folder: Path,
    architecture: str = ARCHITECTURE,
    execution: Execution | None = None,
    *,
    name: str = "etc/from-base",
    diff_id: str = "",
) -> Path:
    """Write an image layout of one layer with one file; `diff_id`: what it says that it unpacks to."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with tempfile.TemporaryDirectory(dir=folder.parent) as parts:
        layer = _put(Path(parts), gzip.compress(plain.getvalue(), mtime=0), LAYER_TYPE)
        diff_id = diff_id or f"sha256:{hashlib.sha256(plain.getvalue()).hexdigest()}"
        config = ImageConfig(architecture=architecture, config=execution, rootfs=RootFs(diff_ids=(diff_id,)))
        manifest = Manifest(config=_put(Path(parts), config.to_json(), CONFIG_TYPE), layers=(layer,))
        write_layout(folder, manifest.to_json(), Path(parts).iterdir(), "base")
    return folder


def make_zstd_base(folder: Path) -> Path:
    """Write such a layout with its layer packed with zstd."""
    plain = folder.with_name(f"{folder.name}-plain")
    plain.mkdir()
    # skopeo remembers where it has seen a layer, and would take the one that is packed with gzip.
    packed = make_base(plain / "oci", name="etc/from-zstd")
    run("skopeo", "copy", "--quiet", "--dest-decompress", f"oci:{packed}:base", f"dir:{plain}/dir")
    run("skopeo", "copy", "--quiet", "--dest-compress-format=zstd", f"dir:{plain}/dir", f"oci:{folder}:base")
    return folder


def make_debian_base(folder: Path, *packages: str) -> Path:
    """Write an image layout with the files of packages of the Debian that this machine runs."""
    if shutil.which("dpkg-query") is None:
        pytest.skip("this machine is no Debian")
    top = [Path("/") / name for name in ("bin", "sbin", "lib", "lib64")]
    links = [Member(path.name, 0o777, link=str(path.readlink())) for path in top if path.is_symlink()]
    folders = [Member(name, 0o755, is_folder=True) for name in ("dev", "proc", "tmp")]
    listed = (Path(line) for line in run("dpkg-query", "--listfiles", *packages).splitlines() if line.startswith("/"))
    found = {str(path.parent.resolve() / path.name)[1:]: path for path in listed if "/share/" not in str(path)}
    files = [_read(name, path) for name, path in found.items() if path.is_symlink() or path.is_file()]
    with tempfile.TemporaryDirectory(dir=folder.parent) as parts:
        layer = write_layer(Path(parts) / "layer", [*links, *files, *folders])
        (Path(parts) / "layer").rename(Path(parts) / layer.digest.removeprefix("sha256:"))
        config = ImageConfig(architecture=ARCHITECTURE, rootfs=RootFs(diff_ids=(layer.diff_id,)))
        manifest = Manifest(config=_put(Path(parts), config.to_json(), CONFIG_TYPE), layers=(layer.describe(),))
        write_layout(folder, manifest.to_json(), Path(parts).iterdir(), "base")
    return folder


def _read(name: str, path: Path) -> Member:
    return Member(name, 0o777, link=str(path.readlink())) if path.is_symlink() else Member(name, 0o755, source=path)


def _put(folder: Path, data: bytes, media_type: str) -> Descriptor:
    digest = hashlib.sha256(data).hexdigest()
    (folder / digest).write_bytes(data)
    return Descriptor(media_type=media_type, digest=f"sha256:{digest}", size=len(data))
