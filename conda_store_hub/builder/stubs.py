"""Wheels with nothing in them: they stand for what conda provides on a platform whose packages are not installed."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

_WHEEL = "Wheel-Version: 1.0\nGenerator: conda-store-hub\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stub:
    """A Python distribution that conda provides, by its normalised name; `extras` are lines of its metadata."""

    name: str
    version: str
    extras: tuple[str, ...] = ()


def write_stubs(folder: Path, provided: Iterable[Stub]) -> dict[str, str]:
    """Write a wheel (binary distribution format 1.0) for each; return the versions they carry, by name.

    They are local ones (`1.2+conda`): whoever asks for 1.2 is content with it, and an index has another. Versions that
    pip cannot read are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, str] = {}
    for stub in provided:
        try:
            version = f"{Version(stub.version).public}+conda"
        except InvalidVersion:
            continue
        _write(folder, stub, version)
        written[stub.name] = version
    return written


def _write(folder: Path, stub: Stub, version: str) -> None:
    file_name = stub.name.replace("-", "_")
    info = f"{file_name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {stub.name}", f"Version: {version}", *stub.extras]
    with zipfile.ZipFile(folder / f"{file_name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "".join(f"{line}\n" for line in metadata))
        wheel.writestr(f"{info}/WHEEL", _WHEEL)
        wheel.writestr(f"{info}/RECORD", "")
