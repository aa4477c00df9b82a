"""What an environment can be made of, read: a specification, or a lock file as the exact dependencies that it is."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, ConfigDict

from conda_store_hub.core import lockfiles, spec
from conda_store_hub.core.errors import InvalidSpecificationError
from conda_store_hub.core.lockfiles import LockedPackage, SourceKind
from conda_store_hub.core.spec import Entry, Specification


class Source(BaseModel):
    """A text that was read. `locked` are the packages of a lock file for one platform; a specification has none."""

    model_config = ConfigDict(frozen=True)

    specification: Specification
    """What was written; of a lock file, what it amounts to, each line with its place."""
    locked: tuple[LockedPackage, ...] = ()
    elsewhere: tuple[LockedPackage, ...] = ()
    """Those for the other platforms of a lock file: not of what is built, but of what it is locked for."""

    def sha256(self) -> str:
        """Return the hex digest that build keys carry: the same for two texts that mean the same."""
        if not self.locked:
            return self.specification.sha256()
        packages = sorted([each.manager, each.url, each.sha256 or each.md5] for each in self.locked)
        return hashlib.sha256(json.dumps(packages, separators=(",", ":")).encode()).hexdigest()


def read(text: str, platform: str, *, must_be_lock: bool = False) -> Source:
    """Read a specification, or the packages of a lock file for `platform`; raise with the place of the first fault.

    Whether a specification without dependencies will do is not known here: there may be packages by default.
    """
    if lockfiles.detect_kind(text) is not SourceKind.SPECIFICATION:
        return _read_lock(text, platform)
    if must_be_lock:
        raise InvalidSpecificationError(
            "This is no lock file: a conda-lock.yml has a list `package:`, and an explicit list begins with @EXPLICIT."
        )
    return Source(specification=spec.parse(text, may_be_empty=True))


def rename(text: str, name: str) -> str:
    """Return the text with another name in it, and all the rest as it was typed."""
    return spec.rename(text, name) if has_name(text) else text


def has_name(text: str) -> bool:
    """Tell whether a text can have a name in it; a lock file has none."""
    return lockfiles.detect_kind(text) is SourceKind.SPECIFICATION


def _read_lock(text: str, platform: str) -> Source:
    lock = lockfiles.parse_lock(text)
    packages = lock.list_packages(platform)
    specification = Specification(
        channels=lock.list_channels(platform),
        dependencies=tuple(_entry(each, f"{each.name} =={each.version}") for each in packages if _is_conda(each)),
        pip=tuple(_entry(each, f"{each.name}=={each.version}") for each in packages if not _is_conda(each)),
    )
    elsewhere = tuple(each for each in lock.packages if each.platform not in ("", platform))
    return Source(specification=specification, locked=packages, elsewhere=elsewhere)


def _is_conda(package: LockedPackage) -> bool:
    return package.manager == "conda"


def _entry(package: LockedPackage, text: str) -> Entry:
    return Entry(text=text, line=package.line, column=1)
