"""Which layers the image of an environment has, known before any of them is made, so that what there is is found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from conda_store_hub.core.oci import IMAGE_PREFIX, MOST_BASE_LAYERS, MOST_LAYERS
from conda_store_hub.core.protocol import Package

_WRITER: Final = "1"
"""What a layer's bytes are made by; a change of it makes all layers anew."""
_SHARED_LAYERS: Final = 16
_OWN_LAYERS: Final = 2
"""The pip part, and what makes the packages an environment."""
_MOST: Final = MOST_LAYERS - MOST_BASE_LAYERS - _OWN_LAYERS
_NOARCH: Final = "noarch"


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerPlan:
    """A layer that an image has: what it is known by before it is made, and the packages in it, by name."""

    key: str
    packages: tuple[str, ...]


def plan_layers(
    packages: Sequence[Package], altered: Iterable[str] = (), *, most: int = _MOST
) -> tuple[LayerPlan, ...]:
    """Return the layers for conda's packages, at most `most` of them, in the order of their packages' names.

    The largest packages have a layer each. Where there are too many, the others share layers: in which one a package
    is follows from its name alone, so that a change of one package changes one layer. `altered`: packages whose files
    are not all there, because another package has files of the same paths; their layers are nobody else's.
    """
    conda = sorted((each for each in packages if each.manager == "conda"), key=lambda each: each.name)
    python = next((each.version for each in conda if each.name == "python"), "")
    odd = frozenset(altered)
    keys = {each.name: _make_key(each, python, is_altered=each.name in odd) for each in conda}
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
    return keys[0] if len(keys) == 1 else hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()


def _make_key(package: Package, python: str, *, is_altered: bool) -> str:
    """Return what a package's layer is known by: all that its bytes depend on.

    The Python of the environment counts for what is compiled for it, or has its version in its paths.
    """
    uses_python = package.subdir == _NOARCH or any(need.split(" ")[0] == "python" for need in package.depends)
    parts = (_WRITER, IMAGE_PREFIX, package.url, package.sha256, python if uses_python else "", str(is_altered))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
