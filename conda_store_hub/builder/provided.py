"""The Python distributions that conda provides: known of a prefix, and guessed of what is installed nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from packaging.utils import canonicalize_name

from conda_store_hub.builder.distributions import Distributions
from conda_store_hub.builder.prefix import CondaPackage
from conda_store_hub.builder.stubs import Stub
from conda_store_hub.core.protocol import Package

_METADATA = (".dist-info", ".egg-info")


@dataclass(frozen=True, kw_only=True, slots=True)
class Provided:
    """What conda's packages of a prefix bring: each distribution with the package that it is in."""

    here: tuple[Package, ...]
    owned: tuple[tuple[Package, Stub], ...]


def find_provided(conda: Sequence[CondaPackage], distributions: Distributions | None) -> Provided:
    """Return which package of conda's each distribution is in: often, but not always, one of the same name."""
    here = tuple(each.package for each in conda)
    if distributions is None:
        return Provided(here=here, owned=())
    versions = distributions.versions
    owned = (
        (each.package, Stub(name=name, version=versions[name], extras=distributions.list_extras(name)))
        for each in conda
        for name in sorted(set(_list_names(each)))
        if name in versions
    )
    return Provided(here=here, owned=tuple(owned))


def make_stubs(provided: Provided, there: Sequence[Package]) -> list[Stub]:
    """Return what conda provides on another platform, of which the packages are known.

    A package of another version than here brings a distribution of that version. One that is not here may be a
    distribution of its own name if it needs Python.
    """
    versions = {each.name: each.version for each in there}
    known = {each.name for each in provided.here}
    stubs: dict[str, Stub] = {}
    for package, stub in provided.owned:
        version = versions.get(package.name)
        if version is not None:
            stubs[stub.name] = stub if version == package.version else replace(stub, version=version)
    for each in there:
        if each.name not in known and any(need.split(" ")[0] == "python" for need in each.depends):
            name = canonicalize_name(each.name)
            stubs.setdefault(name, Stub(name=name, version=each.version))
    return list(stubs.values())


def _list_names(package: CondaPackage) -> Iterator[str]:
    for file in package.files:
        path = PurePosixPath(file.path)
        for part in (path.name, path.parent.name):
            if part.endswith(_METADATA):
                yield canonicalize_name(part.rpartition(".")[0].partition("-")[0])
