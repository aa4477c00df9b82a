"""Wheels with nothing in them: they stand for what conda provides on a platform whose packages are not installed."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from packaging.version import InvalidVersion, Version

_WHEEL = "Wheel-Version: 1.0\nGenerator: conda-store-hub\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_stubs(folder: Path, provided: Mapping[str, str]) -> dict[str, str]:
    """Write a wheel (binary distribution format 1.0) for each name and version; return the versions they carry.

    They are local ones (`1.2+conda`): whoever asks for 1.2 is content with it, and an index has another. Versions that
    pip cannot read are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, str] = {}
    for name, text in provided.items():
        try:
            version = f"{Version(text).public}+conda"
        except InvalidVersion:
            continue
        _write(folder, name.replace("-", "_"), version)
        written[name] = version
    return written


def _write(folder: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", _WHEEL)
        wheel.writestr(f"{info}/RECORD", "")
