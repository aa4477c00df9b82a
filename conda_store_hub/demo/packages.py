"""Conda package files, written byte for byte the same from the same content."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import zstandard

# What conda-build writes: 255 characters, so that a longer prefix is never needed where it is replaced in place.
PREFIX_PLACEHOLDER = "/opt/sample_channel_build_env".ljust(255, "_")
DEFAULT_TIMESTAMP = 1_735_689_600_000  # 2025-01-01T00:00:00Z, in milliseconds

_EPOCH = 315_532_800  # 1980-01-01, the oldest time a zip file can hold
_COMPRESSION_LEVEL = 3

Suffix = Literal[".conda", ".tar.bz2"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageFile:
    """One file of a package: its path in the package, its bytes (or the file that has them), or a link's target."""

    path: str
    content: bytes | Path = b""
    executable: bool = False
    link_to: str | None = None
    has_prefix: bool = False
    """`PREFIX_PLACEHOLDER` occurs in it. Text only: a binary file cannot take a longer prefix."""

    def read(self) -> bytes:
        """Return the bytes of the file; of a link, none."""
        return self.content.read_bytes() if isinstance(self.content, Path) else self.content

    @property
    def size(self) -> int:
        """Bytes."""
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """One conda package: the fields of `index.json` and `about.json`, and its files."""

    name: str
    version: str
    build: str = "0"
    build_number: int = 0
    subdir: str = "noarch"
    depends: Sequence[str] = ()
    constrains: Sequence[str] = ()
    timestamp: int = DEFAULT_TIMESTAMP
    license: str | None = None
    about: Mapping[str, str] = field(default_factory=dict[str, str])
    python: bool = False
    """`noarch: python`: `site-packages/` and `python-scripts/` go where the environment's Python has them."""
    entry_points: Sequence[str] = ()
    site_packages_path: str | None = None
    files: Sequence[PackageFile] = ()
    license_files: Sequence[PackageFile] = ()

    @property
    def stem(self) -> str:
        """`name-version-build`."""
        return f"{self.name}-{self.version}-{self.build}"

    def get_path(self, directory: Path, suffix: Suffix) -> Path:
        """Return where the package file stands in the channel `directory`."""
        return directory / self.subdir / f"{self.stem}{suffix}"


def write_package(package: Package, directory: Path, *, suffix: Suffix = ".conda") -> Path:
    """Write the package file into its folder of the channel `directory`; it appears whole or not at all."""
    target = package.get_path(directory, suffix)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(target) as out:
        if suffix == ".conda":
            _write_conda(out, package)
        else:
            _write_tar_bz2(out, package)
    return target


def hash_content(package: Package) -> str:
    """Return seven hex digits for a build string: packages of one name that differ get different file names."""
    facts = json.dumps([package.depends, package.entry_points, package.subdir])
    digest = hashlib.sha256(facts.encode())
    for file in sorted(package.files, key=lambda file: file.path):
        digest.update(f"{file.path}\0{file.link_to}\0{_sha256(file)}\n".encode())
    return digest.hexdigest()[:7]


@contextmanager
def _replacing(target: Path) -> Generator[IO[bytes]]:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
        temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_conda(out: IO[bytes], package: Package) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_zip_info("metadata.json"), json.dumps({"conda_pkg_format_version": 2}))
        _write_zstd_tar(archive, f"pkg-{package.stem}.tar.zst", package.files)
        _write_zstd_tar(archive, f"info-{package.stem}.tar.zst", list_info_files(package))


def _write_zstd_tar(archive: zipfile.ZipFile, name: str, files: Sequence[PackageFile]) -> None:
    compressor = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL)
    with (
        archive.open(_zip_info(name), "w", force_zip64=True) as member,
        compressor.stream_writer(member, closefd=False) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        _add_files(tar, files)


def _write_tar_bz2(out: IO[bytes], package: Package) -> None:
    with tarfile.open(fileobj=out, mode="w:bz2", format=tarfile.PAX_FORMAT) as tar:
        _add_files(tar, list_info_files(package))
        _add_files(tar, package.files)


def _zip_info(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))


def _add_files(tar: tarfile.TarFile, files: Sequence[PackageFile]) -> None:
    for file in sorted(files, key=lambda file: file.path):
        member = tarfile.TarInfo(file.path)
        member.mtime = _EPOCH
        member.mode = 0o755 if file.executable else 0o644
        if file.link_to is not None:
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, file.link_to, 0o777
            tar.addfile(member)
        else:
            content = file.read()
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def list_info_files(package: Package) -> list[PackageFile]:
    """Return what stands under `info/`: index, paths, about, link (for noarch Python) and licences."""
    documents: dict[str, object] = {
        "index.json": _make_index(package),
        "paths.json": {"paths": [_describe_path(file) for file in package.files], "paths_version": 1},
        "about.json": {"channels": [], "license": package.license or "", **package.about},
    }
    if package.python:
        documents["link.json"] = {
            "noarch": {"type": "python", "entry_points": list(package.entry_points)},
            "package_metadata_version": 1,
        }
    names = "".join(f"{path}\n" for path in sorted(file.path for file in package.files))
    return [
        *(
            PackageFile(path=f"info/{name}", content=json.dumps(document, indent=2, sort_keys=True).encode())
            for name, document in documents.items()
        ),
        PackageFile(path="info/files", content=names.encode()),
        *package.license_files,
    ]


def _make_index(package: Package) -> dict[str, object]:
    noarch = package.subdir == "noarch"
    platform, _, machine = package.subdir.partition("-")
    index: dict[str, object] = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": package.build_number,
        "subdir": package.subdir,
        "platform": None if noarch else platform,
        "arch": None if noarch else {"64": "x86_64"}.get(machine, machine),
        "depends": list(package.depends),
        "constrains": list(package.constrains),
        "timestamp": package.timestamp,
    }
    if package.license:
        index["license"] = package.license
    if noarch:
        index["noarch"] = "python" if package.python else "generic"
    if package.site_packages_path:
        index["python_site_packages_path"] = package.site_packages_path
    return index


def _describe_path(file: PackageFile) -> dict[str, object]:
    if file.link_to is not None:
        return {"_path": file.path, "path_type": "softlink"}
    described: dict[str, object] = {
        "_path": file.path,
        "path_type": "hardlink",
        "sha256": _sha256(file),
        "size_in_bytes": file.size,
    }
    if file.has_prefix:
        mode = "binary" if b"\0" in file.read() else "text"
        described |= {"prefix_placeholder": PREFIX_PLACEHOLDER, "file_mode": mode}
    return described


def _sha256(file: PackageFile) -> str:
    return hashlib.sha256(file.read()).hexdigest()
