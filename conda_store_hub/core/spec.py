"""`environment.yaml`: parsed with line numbers, normalised, hashed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import cast

import yaml
from pydantic import BaseModel, ConfigDict

from conda_store_hub.core.errors import (
    InvalidNameError,
    InvalidSpecificationError,
    SpecificationTooLargeError,
)
from conda_store_hub.core.names import check_environment_name
from conda_store_hub.core.yamltext import compose, fault, quote

MAX_BYTES = 1_000_000
MAX_ITEMS = 10_000  # of events while parsing; an environment of 2,000 packages has about 2,100

_KEYS = ("name", "description", "channels", "dependencies", "variables", "platforms", "virtual_packages", "prefix")
_BOM = "\ufeff"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SYSTEMS = {  # conda's platforms are pairs of these
    "emscripten": "wasm32", "freebsd": "64", "linux": "32 64 aarch64 armv6l armv7l ppc64 ppc64le riscv32 riscv64 s390x",
    "osx": "64 arm64", "wasi": "wasm32", "win": "32 64 arm64", "zos": "z",
}  # fmt: skip
_PLATFORMS = frozenset(f"{system}-{kind}" for system, kinds in _SYSTEMS.items() for kind in kinds.split())


class Entry(BaseModel):
    """One line that a person wrote, and where (counting from 1)."""

    model_config = ConfigDict(frozen=True)

    text: str
    line: int
    column: int


class Specification(BaseModel):
    """What an environment should hold. Channels and pip lines are ordered; dependencies are a set."""

    model_config = ConfigDict(frozen=True)

    name: str | None = None
    description: str | None = None
    channels: tuple[Entry, ...] = ()
    dependencies: tuple[Entry, ...] = ()
    pip: tuple[Entry, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    platforms: tuple[str, ...] = ()
    virtual_packages: tuple[Entry, ...] = ()
    """What the machines that compute offer, in place of what the one that solves does: `__cuda=12.6`."""

    def normalised(self) -> NormalisedSpecification:
        """Return what decides the identity of a build: without name, description, comments, and places."""
        return NormalisedSpecification(
            channels=tuple(entry.text for entry in self.channels),
            dependencies=tuple(sorted({" ".join(entry.text.split()) for entry in self.dependencies})),
            pip=tuple(entry.text for entry in self.pip),
            variables=tuple(sorted(self.variables)),
            platforms=tuple(sorted(set(self.platforms))),
            virtual_packages=tuple(sorted({entry.text for entry in self.virtual_packages})),
        )

    def sha256(self) -> str:
        """Return the hex digest that build keys carry."""
        return self.normalised().sha256()


class NormalisedSpecification(BaseModel):
    """A specification as canonical data: the same for two texts that mean the same."""

    model_config = ConfigDict(frozen=True)

    channels: tuple[str, ...]
    dependencies: tuple[str, ...]
    pip: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]
    platforms: tuple[str, ...]
    virtual_packages: tuple[str, ...] = ()

    def sha256(self) -> str:
        """Return the hex digest of the canonical JSON."""
        # Without what came later and is not there: the digest of what was written before stays what it was.
        values = self.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


def parse(text: str, *, may_be_empty: bool = False) -> Specification:
    """Parse `environment.yaml`; raise InvalidSpecificationError with the place of the first fault.

    Keys are those of conda's environment file, `platforms` and `virtual_packages`; `prefix` is ignored, as
    conda-store does.
    `may_be_empty`: without dependencies, for it is not known here whether there are packages by default.
    """
    root = _compose(text)
    values = dict(_items(root))
    specification = _Reader(values).read()
    if not may_be_empty and not specification.dependencies and not specification.pip:
        raise fault("A specification needs at least one dependency.", values.get("dependencies", root))
    return specification


def rename(text: str, name: str) -> str:
    """Return the text with another name in it, and all the rest as it was typed.

    A text without `name:` stays as it is, and so does one that would not mean the same with the name written into it.
    """
    bare = text.removeprefix(_BOM)  # libyaml does not count it
    values = dict(_items(_compose(bare)))
    if "name" not in values:
        return text
    renamed = _replace(bare, values["name"], _write_name(name))
    wanted = _Reader(values).read().model_copy(update={"name": name})
    found = parse(renamed, may_be_empty=True)
    return text.removesuffix(bare) + renamed if _mean_the_same(found, wanted) else text


def _replace(text: str, node: yaml.Node, written: str) -> str:
    """Return the text with something else where a value stands: a block ends after its line break, which stays."""
    start, end = node.start_mark.index, node.end_mark.index
    end = start + len(text[start:end].rstrip())
    space = "" if end > start else " "  # nothing was written behind the colon
    return f"{text[:start]}{space}{written}{text[end:]}"


def _write_name(name: str) -> str:
    """Return a name as YAML: in quotes when it would be read as something else, as 1.10 or null."""
    node = yaml.compose(name, Loader=yaml.CSafeLoader)
    return name if node is not None and node.tag == "tag:yaml.org,2002:str" else f'"{name}"'


def _mean_the_same(one: Specification, other: Specification) -> bool:
    return (one.name, one.description, one.normalised()) == (other.name, other.description, other.normalised())


class _Reader:
    """Takes each key of the root mapping to its value."""

    def __init__(self, values: dict[str, yaml.Node]) -> None:
        self._values = values

    def read(self) -> Specification:
        conda, pip = self._dependencies()
        return Specification(
            name=self._name(),
            description=self._text("description"),
            channels=tuple(_entries(self._values.get("channels"), "channels")),
            dependencies=conda,
            pip=pip,
            variables=self._variables(),
            platforms=self._platforms(),
            virtual_packages=tuple(_entries(self._values.get("virtual_packages"), "virtual_packages")),
        )

    def _name(self) -> str | None:
        name = self._text("name")
        if name is None:
            return None
        try:
            return check_environment_name(name)
        except InvalidNameError as exc:
            raise fault(exc.message, self._values["name"]) from exc

    def _text(self, key: str) -> str | None:
        node = self._values.get(key)
        return None if node is None or _is_null(node) else _scalar(node, key)

    def _dependencies(self) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        node = self._values.get("dependencies")
        conda: list[Entry] = []
        pip: list[Entry] = []
        for item in _sequence(node, "dependencies"):
            if isinstance(item, yaml.MappingNode):
                pip.extend(_pip_lines(item))
            else:
                conda.append(_entry(item, "dependencies"))
        return tuple(conda), tuple(pip)

    def _variables(self) -> tuple[tuple[str, str], ...]:
        node = self._values.get("variables")
        if node is None or _is_null(node):
            return ()
        return tuple(_variable(name, value) for name, value in _items(node, "variables"))

    def _platforms(self) -> tuple[str, ...]:
        entries = tuple(_entries(self._values.get("platforms"), "platforms"))
        for entry in entries:
            if entry.text not in _PLATFORMS:
                raise InvalidSpecificationError(
                    f"{quote(entry.text)} is not a platform; write one that conda knows, such as linux-64.",
                    line=entry.line,
                    column=entry.column,
                )
        return tuple(entry.text for entry in entries)


def _compose(text: str) -> yaml.MappingNode:
    """Return the root mapping of a YAML document that is safe to walk."""
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise SpecificationTooLargeError
    root = compose(text, what="specification", max_items=MAX_ITEMS)
    if not isinstance(root, yaml.MappingNode):
        raise fault(
            "A specification is a mapping with `name:`, `channels:` and `dependencies:`, not a list or a single value.",
            root,
        )
    return root


def _items(node: yaml.Node, where: str = "") -> Iterator[tuple[str, yaml.Node]]:
    """Yield the key and value of each entry; at the root, only known keys."""
    if not isinstance(node, yaml.MappingNode):
        raise fault(f"`{where}:` must be a mapping of names to values.", node)
    seen: set[str] = set()
    for key_node, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
        key = _scalar(key_node, where or "a key")
        if key in seen:
            raise fault(f"{quote(key)} stands here twice.", key_node)
        if not where and key not in _KEYS:
            raise fault(f"{quote(key)} is not known here; the keys are {', '.join(_KEYS)}.", key_node)
        seen.add(key)
        yield key, value


def _sequence(node: yaml.Node | None, where: str) -> list[yaml.Node]:
    if node is None or _is_null(node):
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise fault(f"`{where}:` must be a list.", node)
    return cast("list[yaml.Node]", node.value)


def _entries(node: yaml.Node | None, where: str) -> Iterator[Entry]:
    for item in _sequence(node, where):
        yield _entry(item, where)


def _entry(node: yaml.Node, where: str) -> Entry:
    return Entry(text=_scalar(node, where), line=node.start_mark.line + 1, column=node.start_mark.column + 1)


def _pip_lines(node: yaml.MappingNode) -> Iterator[Entry]:
    for key_node, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
        if _scalar(key_node, "dependencies") != "pip":
            raise fault(
                "Among dependencies, only `pip:` may have a list of its own.",
                key_node,
            )
        yield from _entries(value, "pip")


def _variable(name: str, node: yaml.Node) -> tuple[str, str]:
    if not _VARIABLE.fullmatch(name):
        raise fault(f"{quote(name)} is not the name of an environment variable.", node)
    value = "" if _is_null(node) else _scalar(node, name, empty=True)
    if "\0" in value or "\n" in value:
        raise fault(f"The value of {name} must be one line.", node)
    return name, value


def _scalar(node: yaml.Node, where: str, *, empty: bool = False) -> str:
    """Return the text as typed: `3.10` stays `3.10`."""
    if not isinstance(node, yaml.ScalarNode):
        raise fault(f"Expected a single value in `{where}`, not a list or a mapping.", node)
    text = cast("str", node.value).strip()
    if not text and not empty:
        raise fault(f"There is an empty value in `{where}`.", node)
    return text


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
