"""Why a package is in a build: who asked for it, and which others need it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from packaging.utils import canonicalize_name

from conda_store_hub.core.states import PackageReason

MOST_NAMED = 20
# A match spec as conda's index has it, with a channel before its name or without; or a requirement of PEP 508.
_NAME = re.compile(r"\s*(?:[^\s\[]*::)?([A-Za-z0-9_][A-Za-z0-9_.-]*)")

Key = tuple[str, str]
"""Manager and name; pip's is normalised."""


class Described(Protocol):
    """What has to be known of a package."""

    @property
    def manager(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def depends(self) -> Iterable[str]: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a build was asked for: packages that somebody named, and those that a policy added.

    `locked`: by a lock file, which does not tell what was asked for. Then it is what no other package needs.
    """

    asked: frozenset[Key] = frozenset()
    added: frozenset[Key] = frozenset()
    locked: bool = False

    def explain(self, packages: Iterable[Described]) -> dict[Key, PackageReason]:
        """Return why each of the packages of a build is in it."""
        given = list(packages)
        needed = find_needing(given) if self.locked else {}
        return {key_of(package): self._reason(key_of(package), needed) for package in given}

    def _reason(self, key: Key, needed: Mapping[Key, object]) -> PackageReason:
        if key in self.asked or (self.locked and key not in needed):
            return PackageReason.ASKED
        return PackageReason.POLICY if key in self.added else PackageReason.NEEDED


@dataclass(frozen=True, slots=True)
class Needing:
    """Which packages of a build need one of its packages: how many, and the first MOST_NAMED by name."""

    names: tuple[str, ...] = ()
    count: int = 0


def key_of(package: Described) -> Key:
    """Return what a package is known by in a build."""
    return make_key(package.manager, package.name)


def make_key(manager: str, name: str) -> Key:
    """Return what the package of that name is known by."""
    return manager, canonicalize_name(name) if manager == "pip" else name.lower()


def find_needing(packages: Iterable[Described]) -> dict[Key, Needing]:
    """Return which packages of a build need each of them; what is missing there is needed by none."""
    given = list(packages)
    there = {key_of(package) for package in given}
    found: defaultdict[Key, set[str]] = defaultdict(set)
    for package in given:
        for key in list_needed(package, there):
            found[key].add(package.name)
    return {key: Needing(tuple(sorted(names)[:MOST_NAMED]), len(names)) for key, names in found.items()}


def list_needed(package: Described, there: Container[Key]) -> Iterable[Key]:
    """Yield what a package needs of what else is there: for pip, what conda brought counts as installed."""
    managers = ("pip", "conda") if package.manager == "pip" else ("conda",)
    for text in package.depends:
        match = _NAME.match(text)
        keys = [make_key(manager, match[1]) for manager in managers] if match else []
        found = next((key for key in keys if key in there), None)
        if found is not None and found != key_of(package):
            yield found
