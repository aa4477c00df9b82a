"""A base for images made of the running machine: loader, C library, `sh` and certificates, where none can be pulled."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from conda_store_hub.builder.layer_files import Member, write_layer
from conda_store_hub.builder.oci_layout import write_layout
from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.oci import (
    CONFIG_TYPE,
    Descriptor,
    Execution,
    ImageConfig,
    Manifest,
    RootFs,
    this_architecture,
)
from conda_store_hub.demo.channels import SAMPLE, Channel, Say, find_problem
from conda_store_hub.demo.errors import DemoError
from conda_store_hub.settings import CondaStore

_TOP = ("bin", "sbin", "lib", "lib32", "lib64")
_MOUNTED = ("dev", "proc", "run", "sys")
_SYSTEM = ("/lib", "/usr/lib", "/usr/local/lib")
#: What programs load of the C library without naming it, and what most wheels expect to be there.
_BESIDE_LIBC = (
    *("libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libresolv.so.2"),
    *("libnss_files.so.2", "libnss_dns.so.2", "libgcc_s.so.1", "libstdc++.so.6"),
)
_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_KEPT_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
_TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_REGISTRY = "https://registry-1.docker.io/v2/"
_ASKS_FOR_LOGIN = "status 401"


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
def main(directory: Path) -> None:
    """Write an OCI image layout that images of environments can be put on, from files of this machine."""
    try:
        make_base(directory.absolute())
    except CondaStoreHubError as error:
        click.echo("\n".join(filter(None, (error.public_message, error.detail))), err=True)
        sys.exit(error.exit_code)
    click.echo(f"c.CondaStore.image_base = {str(directory.absolute())!r}")


def choose_base(home: Path, channel: Channel, say: Say) -> str:
    """Return the lines of the service's configuration that name a base: none where the default can be had."""
    # Where conda-forge does not answer, other hosts are not asked: each takes seconds that somebody waits for.
    problem = "as is conda-forge" if channel.name == SAMPLE else find_problem(_REGISTRY)
    if problem in (None, _ASKS_FOR_LOGIN):
        return ""
    folder = home / "base"
    if not folder.is_dir():
        make_base(folder)
    default = str(CondaStore.class_traits()["image_base"].default_value)
    say(f"{default} is out of reach ({problem}): images are put on what was taken from this machine")
    return f"c.CondaStore.image_base = {str(folder)!r}\n"


def make_base(folder: Path) -> None:
    """Write the layout; raise DemoError where there is something already, or this machine cannot be copied."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DemoError(f"{folder} is there already: name a folder that is not, or remove it.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".base-") as staging:
        parts = Path(staging) / "parts"
        parts.mkdir()
        _write(parts, Path(staging) / "layout")
        (Path(staging) / "layout").rename(folder)


def _write(parts: Path, layout: Path) -> None:
    layer = write_layer(parts / ".layer", list(_list_members()))
    (parts / ".layer").rename(parts / layer.digest.removeprefix("sha256:"))
    config = ImageConfig(
        architecture=this_architecture(),
        config=Execution(
            env=(
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=C.UTF-8",
                f"SSL_CERT_FILE=/{_KEPT_CERTIFICATES}",
            ),
            cmd=("/bin/sh",),
        ),
        rootfs=RootFs(diff_ids=(layer.diff_id,)),
    )
    described = _put(parts, config.to_json())
    manifest = Manifest(config=described, layers=(layer.describe(),))
    write_layout(layout, manifest.to_json(), parts.iterdir(), "base")


def _put(folder: Path, data: bytes) -> Descriptor:
    digest = hashlib.sha256(data).hexdigest()
    (folder / digest).write_bytes(data)
    return Descriptor(media_type=CONFIG_TYPE, digest=f"sha256:{digest}", size=len(data))


def _list_members() -> Iterator[Member]:
    """Yield what a program that is linked to the C library needs, each where it is on this machine."""
    yield Member("tmp", 0o1777, is_folder=True)
    yield Member("root", 0o700, is_folder=True)
    yield from (Member(name, 0o755, is_folder=True) for name in _MOUNTED)
    for name in _TOP:
        if (top := Path("/") / name).is_symlink():
            yield Member(name, 0o777, link=str(top.readlink()))
    for path, text in _TEXTS.items():
        yield Member(path, 0o644, data=text.encode())
    yield Member(_KEPT_CERTIFICATES, 0o644, data=_find_certificates())
    if (cache := Path("/etc/ld.so.cache")).is_file():  # where the loader finds what is not in its own folders
        yield Member("etc/ld.so.cache", 0o644, source=cache)
    yield Member(_place(Path("/bin/sh")), 0o755, source=Path("/bin/sh").resolve())
    for path in sorted(set(_find_libraries())):
        yield Member(_place(path), 0o755, source=path.resolve())


def _place(path: Path) -> str:
    """Return where a file is in the image: by its own name, in the folder that it really is in."""
    return str(path.parent.resolve() / path.name).lstrip("/")


def _find_libraries() -> Iterator[Path]:
    """Yield what the shell and the running interpreter take of the system, the loader included."""
    if shutil.which("ldd") is None:
        raise DemoError("A base can only be made where there is `ldd`, the C library's own program.")
    extensions = Path(sysconfig.get_path("stdlib")) / "lib-dynload"
    programs = ["/bin/sh", str(Path(sys.executable).resolve()), *map(str, extensions.glob("*.so"))]
    listing = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    for line in listing.splitlines():
        name, _, found = (part.strip() for part in line.partition("=>"))
        path = Path((found or name).partition(" (")[0])
        if line.startswith("\t") and str(path).startswith(_SYSTEM):
            yield path
            if path.name.startswith("libc.so."):
                yield from (path.with_name(other) for other in _BESIDE_LIBC if path.with_name(other).is_file())


def _find_certificates() -> bytes:
    usual = ssl.get_default_verify_paths().cafile
    found = next((Path(path) for path in (usual, *_CERTIFICATES) if path and Path(path).is_file()), None)
    return b"" if found is None else found.read_bytes()
