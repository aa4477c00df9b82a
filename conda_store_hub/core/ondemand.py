"""Images on demand: packages named in the name of a repository, `conda-store-dynamic/python.lt.3.12/numpy.gt.1.0`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from conda_store_hub.core.errors import InvalidNameError
from conda_store_hub.core.names import MAX_ENVIRONMENT, shorten
from conda_store_hub.core.packages import is_any_possible

NAMESPACE = "conda-store-dynamic"
"""Where the environments are that are made so."""
MOST_PACKAGES = 20
MOST_VERSION = 40
_DIGEST = 16
_NAME_AND_DIGEST = re.compile(rf"[a-z0-9._-]+-[0-9a-f]{{{_DIGEST}}}")
_PACKAGE = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*")
_VERSION = re.compile(r"[0-9][0-9a-z]*(?:[._][0-9a-z]+)*")


class Operator(StrEnum):
    """How a version is compared, as a name spells it."""

    EQ = "eq"
    GE = "ge"
    GT = "gt"
    LE = "le"
    LT = "lt"
    NE = "ne"

    @property
    def symbol(self) -> str:
        """As a dependency has it."""
        return _SYMBOLS[self]


_SYMBOLS = {
    Operator.EQ: "==",
    Operator.GE: ">=",
    Operator.GT: ">",
    Operator.LE: "<=",
    Operator.LT: "<",
    Operator.NE: "!=",
}
_WORDS = "|".join(Operator)
_OPERATOR = re.compile(rf"\.({_WORDS})\.")
_LEFT_OPEN = re.compile(rf"\.({_WORDS})$")


@dataclass(frozen=True, order=True, slots=True)
class Constraint:
    """A version, and how those that are wanted compare with it."""

    operator: Operator
    version: str

    def __str__(self) -> str:
        return f".{self.operator}.{self.version}"

    @property
    def condition(self) -> str:
        """As a dependency has it."""
        return f"{self.operator.symbol}{self.version}"


@dataclass(frozen=True, order=True, slots=True)
class WishedPackage:
    """A package, and all that is said of its version, each once and in order."""

    name: str
    constraints: tuple[Constraint, ...] = ()

    def __str__(self) -> str:
        return self.name + "".join(map(str, self.constraints))

    @property
    def versions(self) -> str:
        """The versions as a dependency has them; empty for any."""
        return ",".join(each.condition for each in self.constraints)

    @property
    def dependency(self) -> str:
        """The line that a specification has."""
        return f"{self.name} {self.versions}".strip()


@dataclass(frozen=True, slots=True)
class Wish:
    """The packages that an image is to have: the same in whichever order they are named, and however often.

    Versions that conda takes for equal are one: `1.0.0` is `1`.
    """

    packages: tuple[WishedPackage, ...]
    typed: tuple[WishedPackage, ...] = field(default=(), compare=False)
    """With versions as they were typed, where those are others."""

    def __str__(self) -> str:
        return "/".join(map(str, self.packages))

    @property
    def dependencies(self) -> tuple[str, ...]:
        """The lines that a specification has."""
        return tuple(each.dependency for each in self.packages)

    @classmethod
    def parse(cls, text: str) -> Wish:
        """Read what follows the namespace in the name of a repository; raise InvalidNameError in words."""
        found: dict[str, set[Constraint]] = {}
        for component in text.split("/"):
            name, constraints = _read_component(component)
            found.setdefault(name, set()).update(constraints)
        if len(found) > MOST_PACKAGES:
            raise InvalidNameError(
                f"An image on demand has at most {MOST_PACKAGES} packages named; these are {len(found)}."
            )
        typed, packages = _sort(found), _sort({name: set(map(_unify, each)) for name, each in found.items()})
        return cls(packages, () if typed == packages else typed)

    @property
    def as_typed(self) -> Wish:
        """The same with versions as they were typed: environments were made so once, and keep their names."""
        return Wish(self.typed or self.packages)

    def require_possible(self) -> None:
        """Raise InvalidNameError for versions that cannot be read, and for those of which there can be none."""
        for each in self.packages:
            if each.constraints and not is_any_possible(each.name, each.versions):
                raise InvalidNameError(f"No version of “{each.name}” can be {' and '.join(_list_conditions(each))}.")


def _sort(found: Mapping[str, set[Constraint]]) -> tuple[WishedPackage, ...]:
    return tuple(WishedPackage(name, tuple(sorted(each))) for name, each in sorted(found.items()))


def _unify(constraint: Constraint) -> Constraint:
    return replace(constraint, version=unify_version(constraint.version))


def unify_version(version: str) -> str:
    """Return the one spelling that all have which conda's engine takes for this version, of those that are read here.

    It compares piece by piece, numbers as numbers; a piece that begins with a letter has a zero before it, and zeros at
    the end, of a piece or of all, say nothing.
    """
    pieces = [_unify_piece(piece) for piece in re.split(r"[._]", version)]
    while len(pieces) > 1 and pieces[-1] == "0":
        pieces.pop()
    return ".".join(pieces)


def _unify_piece(piece: str) -> str:
    parts = re.findall(r"[0-9]+|[a-z]+", piece)
    parts = [part.lstrip("0") or "0" if part.isdecimal() else part for part in parts]
    if not parts[0].isdecimal():
        parts.insert(0, "0")
    if len(parts) > 1 and parts[-1] == "0":
        parts.pop()
    return "".join(parts)


def _list_conditions(package: WishedPackage) -> Iterable[str]:
    return (f"{each.operator.symbol} {each.version}" for each in package.constraints)


def _read_component(text: str) -> tuple[str, set[Constraint]]:
    left_open = _LEFT_OPEN.search(text)
    if left_open is not None:
        raise InvalidNameError(f"“{shorten(text)}”: there is no version after “.{left_open[1]}.”.")
    name, *rest = _OPERATOR.split(text)
    if not _PACKAGE.fullmatch(name):
        raise InvalidNameError(
            f"“{shorten(text)}” does not begin with the name of a package: letters and digits, with dots, dashes or"
            " underscores between them."
        )
    return name, {
        Constraint(Operator(operator), _check_version(text, version))
        for operator, version in zip(rest[::2], rest[1::2], strict=True)
    }


def _check_version(text: str, version: str) -> str:
    if len(version) > MOST_VERSION or not _VERSION.fullmatch(version):
        raise InvalidNameError(
            f"“{shorten(text)}”: “{shorten(version)}” is no version here: a digit, then digits and letters, with single"
            f" dots or underscores between them, {MOST_VERSION} characters at most."
        )
    return version


def is_name_of_environment(text: str) -> bool:
    """Tell whether what follows the namespace is no wish, but what an environment that was made of one is called."""
    return len(text) <= MAX_ENVIRONMENT and _NAME_AND_DIGEST.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Order:
    """A wish, with all else that decides what comes of it but what is in the channels."""

    wish: Wish
    channels: tuple[str, ...]
    """Their addresses."""
    platform: str

    @property
    def key(self) -> str:
        """A digest of it."""
        text = json.dumps([str(self.wish), self.channels, self.platform])
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def name(self) -> str:
        """What the environment is called: what is in it, as far as there is room, and a piece of the digest."""
        readable = re.sub(r"[._-]{2,}", "-", str(self.wish).replace("/", "-"))
        return f"{readable[: MAX_ENVIRONMENT - _DIGEST - 1].rstrip('._-')}-{self.key[:_DIGEST]}"

    def write(self) -> str:
        """Return the specification. All in it is plain in YAML, or quoted as JSON, which YAML reads too."""
        lines = [f"name: {self.name}", "channels:", *(f"  - {json.dumps(each)}" for each in self.channels)]
        lines += ["dependencies:", *(f"  - {json.dumps(each)}" for each in self.wish.dependencies)]
        return "\n".join([*lines, ""])
