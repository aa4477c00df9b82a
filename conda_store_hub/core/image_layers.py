"""Which layers the image of an environment has, known before any of them is made, so that what there is is found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from conda_store_hub.core.oci import IMAGE_PREFIX, MOST_BASE_LAYERS, MOST_LAYERS
from conda_store_hub.core.protocol import Package

_WRITER: Final = "2"
"""What a layer's bytes are made by; a change of it makes all layers anew."""
_SHARED_LAYERS: Final = 16
"""For the packages that have none of their own."""
_OWN_LAYERS: Final = 3
"""What hides an environment of the base, the pip part, and what makes the packages an environment."""
_MOST: Final = MOST_LAYERS - MOST_BASE_LAYERS - _OWN_LAYERS
_NOARCH: Final = "noarch"


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerPlan:
    """A layer that an image has: what it is known by before it is made, and the packages in it, by name."""

    key: str
    """Empty where its bytes do not follow from its packages: then it is no other image's."""
    packages: tuple[str, ...]


def plan_layers(
    packages: Sequence[Package], altered: Iterable[str] = (), *, most: int = _MOST
) -> tuple[LayerPlan, ...]:
    """Return the layers for conda's packages, at most `most` of them, in the order of their packages' names.

    The largest packages have a layer each. Where there are too many, the others share layers: in which one a package
    is follows from its name alone, so that a change of one package changes one layer. `altered`: packages whose files
    are not all there, because another package has files of the same paths; their layers are nobody else's. Nor are
    those of packages whose digest is not known.
    """
    conda = sorted((each for each in packages if each.manager == "conda"), key=lambda each: each.name)
    python = next((each.version for each in conda if each.name == "python"), "")
    odd = frozenset(altered)
    keys = {each.name: "" if each.name in odd else _make_key(each, python) for each in conda}
    if len(conda) <= most:
        return tuple(LayerPlan(key=keys[each.name], packages=(each.name,)) for each in conda)
    shared = max(1, min(_SHARED_LAYERS, most // 2))
    by_size = sorted(conda, key=lambda each: (-each.installed_size, each.name))
    alone, rest = by_size[: most - shared], by_size[most - shared :]
    groups = [[each.name] for each in alone] + _spread(rest, shared)
    joined = ((group, _join([keys[name] for name in group])) for group in sorted(groups))
    return tuple(LayerPlan(key=key, packages=tuple(group)) for group, key in joined)


def _spread(packages: Iterable[Package], number: int) -> list[list[str]]:
    groups: list[list[str]] = [[] for _ in range(number)]
    for each in sorted(packages, key=lambda each: each.name):
        groups[int(hashlib.sha256(each.name.encode()).hexdigest()[:8], 16) % number].append(each.name)
    return [group for group in groups if group]


def _join(keys: Sequence[str]) -> str:
    if len(keys) == 1 or not all(keys):
        return keys[0] if len(keys) == 1 else ""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()


def depends_on_python(package: Package) -> bool:
    """Tell whether a package's layer is another one with another Python."""
    return package.subdir == _NOARCH or any(need.split(" ")[0] == "python" for need in package.depends)


def _make_key(package: Package, python: str) -> str:
    """Return what a package's layer is known by: all that its bytes depend on; empty where that is not known.

    The Python of the environment counts for what is compiled for it, or has its version in its paths.
    """
    if not package.sha256:
        return ""
    parts = (_WRITER, IMAGE_PREFIX, package.url, package.sha256, python if depends_on_python(package) else "")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
