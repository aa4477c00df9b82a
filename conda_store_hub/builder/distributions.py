"""Python distributions of a prefix, by their metadata: versions, files, needs, and where the pip part came from."""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Collection, Iterator, Mapping
from os.path import normpath, relpath
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from conda_store_hub.core.protocol import Package

PIP_LOCK = "conda-meta/pylock.toml"
"""Where a prefix keeps the addresses and hashes of its pip part (PEP 751)."""

_MAX_LICENSE = 100  # characters; some put the whole text there


class Distributions:
    """What one folder of packages has; read once."""

    def __init__(self, prefix: Path, site_packages: str) -> None:
        """`site_packages` is relative to the prefix."""
        self._prefix = prefix
        self._folder = prefix / site_packages
        found = importlib.metadata.distributions(path=[str(self._folder)])
        # What an uninstallation left behind may have no name.
        self._by_name = {canonicalize_name(name): each for each in found if (name := each.metadata["Name"])}

    @property
    def versions(self) -> dict[str, str]:
        """The version of each, by normalised name."""
        return {name: each.version for name, each in self._by_name.items()}

    def list_files(self, names: Collection[str]) -> tuple[str, ...]:
        """Return the files of the named ones, relative to the prefix; none lies outside of it."""
        paths = [
            normpath(self._folder / file)
            for name in names
            if (found := self._by_name.get(canonicalize_name(name))) is not None
            for file in found.files or ()
        ]
        return tuple(relpath(path, self._prefix) for path in paths if path.startswith(f"{self._prefix}/"))

    def list_needs(self, name: str, among: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield the requirements that the environment meets: name and versions, `*` for any."""
        found = self._by_name.get(canonicalize_name(name))
        for text in (found.requires or ()) if found else ():
            try:
                need = Requirement(text)
            except InvalidRequirement:
                continue
            if canonicalize_name(need.name) in among:
                yield canonicalize_name(need.name), str(need.specifier) or "*"

    def read_pip_packages(self) -> tuple[Package, ...]:
        """Return the packages of the pip part by name."""
        lock = self._prefix / PIP_LOCK
        if not lock.is_file():
            return ()
        locked = tomllib.loads(lock.read_text(encoding="utf-8"))["packages"]
        return tuple(sorted((self._describe(each) for each in locked), key=lambda package: package.name))

    def _describe(self, locked: Mapping[str, Any]) -> Package:
        wheel = locked["wheels"][0]
        return Package(
            manager="pip",
            name=locked["name"],
            version=locked["version"],
            url=wheel["url"],
            sha256=wheel["hashes"].get("sha256", ""),
            size=wheel.get("size", 0),
            license=self._find_license(locked["name"]),
        )

    def _find_license(self, name: str) -> str:
        found = self._by_name.get(canonicalize_name(name))
        metadata = found.metadata if found is not None else {}
        text = next((metadata[key] for key in ("License-Expression", "License") if key in metadata), "")
        return text if "\n" not in text and len(text) <= _MAX_LICENSE else ""
