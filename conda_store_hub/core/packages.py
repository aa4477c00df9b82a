"""Packages that a policy names: a name, with versions or without; and what that allows."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from conda_store_hub.core.errors import (
    InvalidNameError,
    InvalidRequestError,
    InvalidSpecificationError,
    PolicyRefusedError,
)
from conda_store_hub.core.matchspec import parse_dependency
from conda_store_hub.core.spec import Entry

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from rattler import MatchSpec, Version, VersionSpec

MAX_PACKAGE = 200
_ATOM = re.compile(r"(<=|>=|<|>|==|!=|~=)?([0-9A-Za-z!+._-]+?)(\.\*|\*)?")
_VERSION = re.compile(r"[0-9][0-9A-Za-z+._!-]*")


def check_package(text: str) -> str:
    """Return a package that a policy names as it was typed; raise ValueError in words for what is none."""
    if len(text) > MAX_PACKAGE:
        raise ValueError(f"“{text[:40]}…” has more than {MAX_PACKAGE} characters")
    try:
        spec = parse_dependency(Entry(text=text, line=1, column=1))
    except (InvalidSpecificationError, PolicyRefusedError) as exc:
        raise ValueError(exc.message.rstrip(".")) from exc
    plain = re.fullmatch(r"[A-Za-z0-9_.-]+([\s<>=!~].*)?", text)
    if spec.build is not None or "[" in text or plain is None:
        raise ValueError(f"“{text}” is more than a name with versions")
    if spec.version is not None and not all(map(_ATOM.fullmatch, re.split(r"[,|]", str(spec.version)))):
        raise ValueError(f"the versions of “{text}” are not a list of comparisons")
    return text


def check_listed_package(text: str) -> str:
    """Return a package that is added to specifications: as one types a dependency."""
    try:
        parse_dependency(Entry(text=text, line=1, column=1))
    except (InvalidSpecificationError, PolicyRefusedError) as exc:
        raise ValueError(exc.message.rstrip(".")) from exc
    return text


def read_package(text: str) -> tuple[str, str | None]:
    """Return the name of a package in a dependency, and which versions of it are meant; None is any."""
    spec = parse_dependency(Entry(text=text, line=1, column=1))
    return name_of(spec), str(spec.version) if spec.version is not None else None


@dataclass(frozen=True, slots=True)
class PackageRange:
    """A package, and which versions of it are meant; None is any."""

    name: str
    versions: str | None

    @property
    def pip_name(self) -> str:
        """Return what pip's package of that name is called."""
        return canonicalize_name(self.name)

    def covers(self, manager: str, name: str, version: str) -> bool:
        """Tell whether a package is meant, by conda's rules; pip's names are kept normalised.

        A version that conda's engine cannot read is in no range.
        """
        if name != (self.pip_name if manager == "pip" else self.name):
            return False
        return self.versions is None or bool(_compare(manager, version, self.versions))


def read_range(text: str) -> PackageRange:
    """Return what somebody searches for; raise InvalidRequestError in words for what is no name with versions."""
    try:
        return PackageRange(*read_package(check_package(text)))
    except ValueError as exc:
        raise InvalidRequestError(
            f"{exc}. Write a name, with versions or without: `numpy`, `numpy>=2,<3` or `python=3.11`."
        ) from exc


def name_of(spec: MatchSpec) -> str:
    """Return the name of the package that a dependency is about."""
    found = spec.name
    return str(getattr(found, "normalized", None) or getattr(found, "source", None) or found)


def is_all_forbidden(versions: str | None, forbidden: str | None) -> bool:
    """Tell whether each of some versions is a forbidden one: known of ranges by trying what lies around their ends."""
    if forbidden is None:
        return True
    if versions is None:
        return False
    from rattler import VersionSpec

    wanted, refused = VersionSpec(versions), VersionSpec(forbidden)
    tried = [
        version for text in (versions, forbidden) for typed in _VERSION.findall(text) for version in _around(typed)
    ]
    met = [version for version in tried if wanted.matches(version)]
    return bool(met) and all(refused.matches(version) for version in met)


def is_any_possible(name: str, versions: str) -> bool:
    """Tell whether there can be a version of a package that is as wanted; raise InvalidNameError if it says nothing."""
    try:
        read_package(f"{name} {versions}")
    except (InvalidSpecificationError, PolicyRefusedError) as exc:
        raise InvalidNameError(f"“{name} {versions}” says nothing of versions that can be compared.") from exc
    wanted = _read_versions(versions)
    return any(wanted.matches(version) for typed in _VERSION.findall(versions) for version in _around(typed))


def _around(typed: str) -> list[Version]:
    """Return a version, those right before and behind it and behind all that begin with it, and the ends of all."""
    from rattler import Version

    found: list[Version] = []
    typed = typed.rstrip(".*")
    pieces = typed.split(".")
    for length in range(1, len(pieces) + 1):
        try:
            version = Version(".".join(pieces[:length]))
            after = version.bump_last()
        except Exception:  # noqa: BLE001, S112 - the engine has many words for a text that is no version
            continue
        found += [version, Version(f"{version}dev"), Version(f"{version}.0.0.0.1"), after, Version(f"{after}dev")]
    return [*found, Version("0dev"), Version("0"), Version("99999999")]


def is_forbidden_for_pip(requirement: Requirement, name: str, versions: str | None) -> bool:
    """Tell whether each version that a line of the pip part could mean is a forbidden one."""
    if canonicalize_name(requirement.name) != canonicalize_name(name):
        return False
    if versions is None:
        return True
    from rattler.exceptions import InvalidVersionSpecError

    asked = str(requirement.specifier).replace("===", "==")
    try:
        return is_all_forbidden(asked or None, versions)
    except (
        InvalidVersionSpecError
    ):  # pip knows versions that conda's engine cannot read; what comes of them is held against it too
        return False


def is_forbidden_pin(name: str, version: str, forbidden: str) -> bool:
    """Tell whether a version of pip's package is a forbidden one; one that cannot be compared counts as such."""
    known, versions = read_package(forbidden)
    if canonicalize_name(name) != canonicalize_name(known):
        return False
    return versions is None or _compare("pip", version, versions) is not False


def _compare(manager: str, version: str, versions: str) -> bool | None:
    """Tell whether a version is one of some; None if it cannot be compared.

    `2.0+cpu` is a `2.0` to pip, and another version to conda's engine: of pip's packages it is both.
    """
    from rattler import Version
    from rattler.exceptions import InvalidVersionError

    spellings = (version, version.partition("+")[0]) if manager == "pip" else (version,)
    try:
        return any(_read_versions(versions).matches(Version(text)) for text in spellings)
    except InvalidVersionError:
        return None


@functools.lru_cache
def _read_versions(text: str) -> VersionSpec:
    """Return a range, which is held against one version after the other."""
    from rattler import VersionSpec

    return VersionSpec(text)
