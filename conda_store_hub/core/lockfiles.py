"""Lock files that people bring, `conda-lock.yml` and conda's `@EXPLICIT` list, read into exact packages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Literal, cast
from urllib.parse import unquote, urlsplit

import yaml
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict

from conda_store_hub.core.errors import InvalidSpecificationError, SpecificationTooLargeError
from conda_store_hub.core.lines import split_lines
from conda_store_hub.core.spec import Entry
from conda_store_hub.core.yamltext import compose, fault, quote

MAX_BYTES = 4_000_000
MAX_PACKAGES = 3_000
MAX_CHANNELS = 50  # the index of each is asked for
_MAX_ITEMS = 250_000  # of events while parsing; a package has about forty, and one with many dependencies eighty
_BOM = "\ufeff"

_ARCHIVE = re.compile(r"(?P<name>[a-z0-9_][a-z0-9._-]*)-(?P<version>[^-/]+)-(?P<build>[^-/]+)\.(?:conda|tar\.bz2)")
_SUBDIR = re.compile(r"noarch|[a-z]+-[a-z0-9_]+")
_PLATFORM_LINE = re.compile(r"#\s*platform:\s*(\S+)\s*")
_PIP_LINE = re.compile(r"#\s*pip\s+[\w.\[\],-]+\s*(?:@|=|<|>|~|!).*")
_HASHES = {"md5": re.compile(r"[0-9a-f]{32}"), "sha256": re.compile(r"[0-9a-f]{64}")}
_CONDA_LOCK_KEY = re.compile(r"^(?:package|[\"']package[\"'])\s*:", re.MULTILINE)


class SourceKind(StrEnum):
    """What a text is that an environment can be made of."""

    SPECIFICATION = "specification"
    CONDA_LOCK = "conda-lock"
    EXPLICIT = "explicit"


class LockedPackage(BaseModel):
    """One exact package; hashes are hex. An explicit list does not tell `dependencies` (name and versions)."""

    model_config = ConfigDict(frozen=True)

    manager: Literal["conda", "pip"]
    name: str
    version: str
    build: str = ""
    subdir: str = ""
    channel: str = ""
    url: str
    sha256: str = ""
    md5: str = ""
    dependencies: tuple[str, ...] = ()
    platform: str = ""
    """What the file says it is for; empty is any."""
    line: int = 1


class LockFile(BaseModel):
    """What a lock file holds, for all of its platforms. No platform means that it fits any."""

    model_config = ConfigDict(frozen=True)

    kind: SourceKind
    platforms: tuple[str, ...]
    packages: tuple[LockedPackage, ...]

    def list_packages(self, platform: str) -> tuple[LockedPackage, ...]:
        """Return the packages for one platform; raise InvalidSpecificationError when there are none."""
        found = tuple(each for each in self.packages if each.platform in ("", platform))
        if not found or (self.platforms and platform not in self.platforms):
            there = ", ".join(self.platforms) or "none"
            raise InvalidSpecificationError(f"The lock file has no packages for {platform}; it is for {there}.")
        return found

    def list_channels(self, platform: str) -> tuple[Entry, ...]:
        """Return the address of each channel that the packages come from, with the first line that names it."""
        lines: dict[str, int] = {}
        for each in self.list_packages(platform):
            if each.manager == "conda":
                lines.setdefault(each.channel, each.line)
        return tuple(Entry(text=address, line=line, column=1) for address, line in lines.items())


def detect_kind(text: str) -> SourceKind:
    """Tell which of the three a text is, without reading it: what is neither lock is taken for a specification."""
    text = text.removeprefix(_BOM)
    first = next((line for _, line in _content_lines(text)), "")
    if first.startswith(("@EXPLICIT", "http://", "https://")):
        return SourceKind.EXPLICIT
    return SourceKind.CONDA_LOCK if _CONDA_LOCK_KEY.search(text) else SourceKind.SPECIFICATION


def parse_lock(text: str) -> LockFile:
    """Read either kind of lock file; raise InvalidSpecificationError with the line of the first fault."""
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise SpecificationTooLargeError(f"The lock file is larger than {MAX_BYTES // 1_000_000} MB.")
    text = text.removeprefix(_BOM)
    if detect_kind(text) is SourceKind.EXPLICIT:
        return _parse_explicit(text)
    return _parse_conda_lock(text)


# conda's explicit lists.


def _parse_explicit(text: str) -> LockFile:
    packages: list[LockedPackage] = []
    lines = list(_content_lines(text))
    if lines[0][1] != "@EXPLICIT":
        raise _at(lines[0][0], "A list of packages has a line @EXPLICIT before the first of them.")
    _refuse_pip_lines(text)
    declared = _declared_platform(text)
    for number, line in lines[1:]:
        packages.append(_read_explicit_line(number, line, declared))
        _check_count(packages, number)
    if not packages:
        raise _at(lines[0][0], "The list names no package.")
    platforms = _find_platforms(packages, declared)
    return LockFile(kind=SourceKind.EXPLICIT, platforms=platforms, packages=_check_together(packages))


def _content_lines(text: str) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(split_lines(text), start=1):
        line = raw.strip()
        if line and not line.startswith("#"):
            yield number, line


def _refuse_pip_lines(text: str) -> None:
    """Raise for what conda-lock writes as a comment and only conda-lock reads: the environment would lack it."""
    for number, raw in enumerate(split_lines(text), start=1):
        if _PIP_LINE.fullmatch(raw.strip()):
            raise _at(
                number,
                "The list has a package of pip as a comment, which nothing here would install:"
                " submit the conda-lock.yml itself, or remove the line.",
            )


def _declared_platform(text: str) -> str:
    for raw in split_lines(text):
        if match := _PLATFORM_LINE.fullmatch(raw.strip()):
            return match[1]
    return ""


def _read_explicit_line(number: int, line: str, declared: str) -> LockedPackage:
    url, _, fragment = line.partition("#")
    digest = fragment.removeprefix("sha256:")
    kind = "sha256" if len(digest) == 64 else "md5"
    if not fragment:
        raise _at(number, "The package has no hash: write #MD5 or #sha256:… behind its address.")
    if not _HASHES[kind].fullmatch(digest.lower()):
        raise _at(number, f"{quote(fragment)} is no MD5 and no SHA-256.")
    found = _read_archive_url(number, url)
    subdir = found["subdir"]
    if declared and subdir not in (declared, "noarch"):
        raise _at(number, f"The list is for {declared}, and this package for {subdir}.")
    values = found | {kind: digest.lower(), "platform": "" if subdir == "noarch" else subdir}
    return LockedPackage.model_validate({"manager": "conda", "line": number, **values})


def _find_platforms(packages: list[LockedPackage], declared: str) -> tuple[str, ...]:
    found: dict[str, int] = {declared: 1} if declared else {}
    for each in packages:
        if each.platform:
            found.setdefault(each.platform, each.line)
            if len(found) > 1:
                raise _at(each.line, f"The list has packages for {' and '.join(found)}; it can be for one.")
    return tuple(found)


# conda-lock's files.


def _parse_conda_lock(text: str) -> LockFile:
    root = compose(text, what="lock file", max_items=_MAX_ITEMS)
    values = _read_mapping(root, "the lock file")
    version = _read_text(values, "version", root)
    if version != "1":
        raise fault(f"A lock file of version {quote(version)} is not known here; it must be 1.", values["version"])
    nodes = values.get("package")
    if not isinstance(nodes, yaml.SequenceNode):
        raise fault("A lock file has a list `package:`.", nodes or root)
    packages: list[LockedPackage] = []
    for node in cast("list[yaml.Node]", nodes.value):
        package = _read_mapping(node, "a package")
        if _is_main(package, node):
            packages.append(_read_package(package, node))
            _check_count(packages, packages[-1].line)
    if not packages:
        raise fault("The lock file names no package of the category main.", nodes)
    platforms = tuple(dict.fromkeys(each.platform for each in packages))
    return LockFile(kind=SourceKind.CONDA_LOCK, platforms=platforms, packages=_check_together(packages))


def _is_main(values: dict[str, yaml.Node], node: yaml.Node) -> bool:
    """Tell whether a package is no extra: conda-lock lists one that is both once for each category."""
    return "category" not in values or _read_text(values, "category", node) == "main"


def _read_package(values: dict[str, yaml.Node], node: yaml.Node) -> LockedPackage:
    number = node.start_mark.line + 1
    manager, name, version, platform, url = (
        _read_text(values, key, node) for key in ("manager", "name", "version", "platform", "url")
    )
    if manager not in ("conda", "pip"):
        raise fault(f"{quote(manager)} is no package manager; there are conda and pip.", values["manager"])
    if platform == "noarch" or not _SUBDIR.fullmatch(platform):
        raise fault(f"{quote(platform)} is not a platform; write one such as linux-64.", values["platform"])
    line = values["url"].start_mark.line + 1
    found = _read_archive_url(line, url) if manager == "conda" else _read_wheel_url(line, url)
    _check_same(line, found, name, version)
    if "build" in values and manager == "conda" and _read_text(values, "build", node) != found["build"]:
        raise _at(line, f"The address of {name} is that of another build: {found['build']}.")
    if found.get("subdir") not in (None, platform, "noarch"):
        raise _at(line, f"{name} is listed for {platform}, and its address is for {found['subdir']}.")
    hashes = _read_hashes(values.get("hash"), node, name)
    if manager == "pip" and "sha256" not in hashes:
        raise _at(number, f"{name} has no SHA-256: a package of pip is not taken without.")
    own = {"manager": manager, "name": name, "version": version, "platform": platform, "line": number}
    return LockedPackage.model_validate(found | own | hashes | {"dependencies": _read_needs(values)})


def _read_hashes(node: yaml.Node | None, package: yaml.Node, name: str) -> dict[str, str]:
    values = _read_mapping(node, "hash") if node is not None and not _is_null(node) else {}
    found: dict[str, str] = {}
    for kind, pattern in _HASHES.items():
        if kind in values and not _is_null(values[kind]):
            found[kind] = _read_text(values, kind, package).lower()
            if not pattern.fullmatch(found[kind]):
                raise fault(f"{quote(found[kind])} is no {kind}.", values[kind])
    if not found:
        raise fault(f"{name} has no hash: what it is could not be checked.", package)
    return found


def _read_needs(values: dict[str, yaml.Node]) -> tuple[str, ...]:
    node = values.get("dependencies")
    if node is None or _is_null(node):
        return ()
    needs = _read_mapping(node, "dependencies")
    return tuple(f"{name} {_read_text(needs, name, node, empty='*')}" for name in needs)


def _read_mapping(node: yaml.Node, where: str) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        raise fault(f"Expected names with values in {where}.", node)
    found: dict[str, yaml.Node] = {}
    for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if not name or name in found:
            raise fault(f"{quote(name)} stands here twice." if name else "Expected a name.", key)
        found[name] = value
    return found


def _read_text(values: dict[str, yaml.Node], key: str, parent: yaml.Node, *, empty: str | None = None) -> str:
    """Return the text as typed, in one line; `empty` is what an empty one stands for."""
    node = values.get(key)
    if node is None:
        raise fault(f"`{key}:` is missing here.", parent)
    text = cast("str", node.value).strip() if isinstance(node, yaml.ScalarNode) else ""
    text = "" if _is_null(node) else text
    if not text and empty is not None and isinstance(node, yaml.ScalarNode):
        return empty
    if not text or not text.isprintable():
        raise fault(f"`{key}:` must be one line of text.", node)
    return text


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


# Addresses.


def _read_archive_url(line: int, url: str) -> dict[str, str]:
    """Return what the address of a conda package tells: CHANNEL/SUBDIR/NAME-VERSION-BUILD.conda."""
    folder, _, quoted = _check_url(line, url).rpartition("/")
    channel, _, subdir = folder.rpartition("/")
    match = _ARCHIVE.fullmatch(unquote(quoted))
    if match is None:
        raise _at(line, f"{quote(url)} is not the address of a conda package.")
    if not _SUBDIR.fullmatch(subdir) or "%" in channel or not urlsplit(channel).hostname:
        raise _at(line, f"{quote(url)} does not lie in a channel: its folder must be noarch or a platform.")
    return {**match.groupdict(), "subdir": subdir, "channel": channel, "url": url}


def _read_wheel_url(line: int, url: str) -> dict[str, str]:
    name = unquote(_check_url(line, url).rpartition("/")[2])
    try:
        found, version, *_ = parse_wheel_filename(name)
    except InvalidWheelFilename as exc:
        raise _at(line, f"{quote(url)} is not the address of a wheel; nothing else is installed by pip here.") from exc
    return {"name": found, "version": str(version), "url": url}


def _check_url(line: int, url: str) -> str:
    """Return an http(s) address with a host and a plain path, and nothing else in it."""
    try:
        parts = urlsplit(url)
        host, user = parts.hostname, parts.username is not None or parts.password is not None
        _ = parts.port
    except ValueError as exc:
        raise _at(line, f"{quote(url)} is no address.") from exc
    if user or re.search(r"/t/[^/]+/", parts.path):
        raise _at(line, "The address has a user, a password or a token in it: others could read that.")
    if parts.scheme not in ("http", "https") or not host:
        raise _at(line, f"{quote(url)} is no http(s) address.")
    odd = re.search(r"[\s\\<>\"'`{}|^\x00-\x20\x7f]", url) or ".." in unquote(parts.path).split("/")
    if odd or parts.query or parts.fragment or not url.isascii():
        raise _at(line, f"{quote(url)} is no plain address.")
    return url


def _check_same(line: int, found: dict[str, str], name: str, version: str) -> None:
    if canonicalize_name(found["name"]) != canonicalize_name(name):
        raise _at(line, f"The address of {name} is that of another package: {found['name']}.")
    is_wheel = "subdir" not in found
    if found["version"] != (_normalise(version) if is_wheel else version):
        raise _at(line, f"The address of {name} {version} is that of another version: {found['version']}.")


def _normalise(version: str) -> str:
    try:
        return str(Version(version))
    except InvalidVersion:
        return version


def _check_count(packages: list[LockedPackage], line: int) -> None:
    if len(packages) > MAX_PACKAGES:
        raise _at(line, f"The lock file has more than {MAX_PACKAGES:,} packages.")


def _check_together(packages: list[LockedPackage]) -> tuple[LockedPackage, ...]:
    """Return each package once; raise for one that is listed twice in two ways, and for too many channels."""
    # An explicit list is for one platform, whatever folder a package lies in.
    explicit = any(not each.platform for each in packages)
    found: dict[tuple[str, str, str], LockedPackage] = {}
    channels: set[str] = set()
    for each in packages:
        name = canonicalize_name(each.name) if each.manager == "pip" else each.name
        known = found.setdefault((each.manager, "" if explicit else each.platform, name), each)
        if known is not each and known.model_copy(update={"line": each.line}) != each:
            raise _at(each.line, f"{each.name} is listed twice, and not alike; first in line {known.line}.")
        channels.add(each.channel)
        if len(channels - {""}) > MAX_CHANNELS:
            raise _at(each.line, f"The lock file has packages from more than {MAX_CHANNELS} channels.")
    return tuple(found.values())


def _at(line: int, message: str) -> InvalidSpecificationError:
    return InvalidSpecificationError(message, line=line, column=1)
