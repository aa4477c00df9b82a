"""Python distributions of a prefix, by their metadata: versions, files, needs, and where the pip part came from."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Collection, Iterator
from os.path import normpath, relpath
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from conda_store_hub.builder.classifiers import find_license
from conda_store_hub.builder.piplock import read_wheels
from conda_store_hub.builder.prefix import PIP_LOCK
from conda_store_hub.core.protocol import Package

_EXTRA = re.compile(r"\bextra\s*==")
_MAX_LICENSE = 100  # characters; some put the whole text there
_UNKNOWN = "UNKNOWN"  # as old tools wrote it


class Distributions:
    """What one folder of packages has; read once."""

    def __init__(self, prefix: Path, site_packages: str) -> None:
        """`site_packages` is relative to the prefix."""
        self._prefix = prefix
        self._folder = prefix / site_packages
        found = importlib.metadata.distributions(path=[str(self._folder)])
        self._by_name = {canonicalize_name(name): each for each in found if (name := _find_name(each))}

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

    def read_pip_packages(self) -> tuple[Package, ...]:
        """Return the packages of the pip part by name."""
        lock = self._prefix / PIP_LOCK
        if not lock.is_file():
            return ()
        return tuple(self._complete(each) for each in read_wheels(lock.read_text(encoding="utf-8")))

    def list_extras(self, name: str) -> tuple[str, ...]:
        """Return the lines of a distribution's metadata that tell its extras, and what these need."""
        found = self._by_name.get(canonicalize_name(name))
        if found is None:
            return ()
        extras = [f"Provides-Extra: {extra}" for extra in found.metadata.get_all("Provides-Extra") or ()]
        needs = [f"Requires-Dist: {need}" for need in found.requires or () if _EXTRA.search(need)]
        return (*extras, *needs)

    def _complete(self, package: Package) -> Package:
        """Add what a distribution tells of itself."""
        told = {"license": self._find_license(package.name), "depends": tuple(self._list_needs(package.name))}
        return package.model_copy(update=told)

    def _list_needs(self, name: str) -> Iterator[str]:
        """Yield the requirements that the environment meets: those of another system name what is not here."""
        found = self._by_name.get(canonicalize_name(name))
        for text in (found.requires or ()) if found else ():
            try:
                need = Requirement(text)
            except InvalidRequirement:
                continue
            if canonicalize_name(need.name) in self._by_name:
                yield f"{canonicalize_name(need.name)}{need.specifier}"

    def _find_license(self, name: str) -> str:
        found = self._by_name.get(canonicalize_name(name))
        if found is None:
            return ""
        metadata = found.metadata
        text = next((metadata[key] for key in ("License-Expression", "License") if key in metadata), "")
        classified = find_license(metadata.get_all("Classifier") or ())
        told = (each for each in (text, classified) if each.strip() not in ("", _UNKNOWN))
        return next((each for each in told if "\n" not in each and len(each) <= _MAX_LICENSE), "")


def _find_name(distribution: importlib.metadata.Distribution) -> str | None:
    """Return a name; what an uninstallation left behind has none, and metadata of old is no UTF-8, as it has to be."""
    try:
        return distribution.metadata["Name"]
    except UnicodeDecodeError:
        return None
