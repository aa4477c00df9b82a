"""One line of a specification, read as the engine reads it, and held against the channels that are allowed.

Read by the service before it accepts a specification, and by the builder before it solves.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from conda_store_hub.core.errors import InvalidSpecificationError, PolicyRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rattler import MatchSpec, Version

    from conda_store_hub.core.spec import Entry

_CHANNEL_NAME = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*(?:/[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*)*")
# What uv reads as a path when it is a whole pip line, though it could be a name.
_ARCHIVE = re.compile(r"\.(whl|zip|tgz|tbz2?|txz|tlz|tar(\.(gz|bz2|xz|lz|lzma|zst|z))?)$", re.IGNORECASE)
_MAX_ADDRESS = 1000
_VIRTUAL_PACKAGE = re.compile(r"(__[a-z0-9_]+)=([0-9][^\s=]*)(?:=([^\s=]+))?")
_URL_IN_SPEC = re.compile(r"\burl=|\w+://|^\s*[./~]")


def parse_dependency(entry: Entry) -> MatchSpec:
    """Parse one conda dependency leniently, as conda does; raise with the place of a fault.

    An address, a path or a channel inside the line is refused: channels are listed under `channels:`.
    """
    # The engine costs 20 MB and 0.1 s: the service binds its port before it pays for it.
    from rattler import MatchSpec
    from rattler.exceptions import InvalidMatchSpecError

    if _URL_IN_SPEC.search(entry.text):
        raise _refused(entry, "A dependency is a package name with a version, not an address or a path.")
    try:
        spec = MatchSpec(entry.text)
    except InvalidMatchSpecError as exc:
        reason = str(exc).split("\n", 1)[0]
        raise _invalid(entry, f"“{_short(entry.text)}” is not a dependency: {reason}.") from exc
    except BaseException as exc:  # a panic of the engine is no Exception; this text must not end the process
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            raise
        raise _invalid(entry, f"“{_short(entry.text)}” is not a dependency.") from exc
    if spec.channel is not None:
        raise _refused(entry, "Name channels under `channels:`, not inside a dependency.")
    if _reads_unlike_typed(entry.text, spec):
        raise _invalid(entry, f"“{_short(entry.text)}” is not a dependency: what follows the name is no version.")
    return spec


def _reads_unlike_typed(text: str, spec: MatchSpec) -> bool:
    """Tell what lenient parsing lets through and nobody means: `num py` as version py, `x; y` as a build."""
    words = text.split()
    bare_word = len(words) == 2 and re.fullmatch(r"[A-Za-z_-]+", words[1]) is not None
    return bare_word or re.search(r"[\s;]", str(spec.build or "")) is not None


def parse_pip_line(entry: Entry) -> Requirement:
    """Parse one line of the pip part: a requirement of PEP 508 with a name and versions, and nothing else."""
    text = entry.text
    if text.startswith("-"):
        raise _refused(entry, "Options of pip are not allowed here; write a package name with a version.")
    if re.match(r"(git|hg|svn|bzr)\+|\w+://|[./~\\]", text):
        raise _no_pip_path(entry)
    try:
        requirement = Requirement(text)
    except InvalidRequirement as exc:
        reason = str(exc).split("\n", 1)[0]
        raise _invalid(entry, f"“{_short(text)}” is not a pip requirement: {reason}.") from exc
    if requirement.url is not None or _ARCHIVE.search(requirement.name):
        raise _no_pip_path(entry)
    return requirement


def _no_pip_path(entry: Entry) -> PolicyRefusedError:
    return _refused(entry, "A pip line is a package name with a version, not an address or a path.")


def parse_virtual_package(entry: Entry) -> tuple[str, Version, str]:
    """Read `__cuda=12.6`, or `__archspec=1=x86_64_v3` with a build, into name, version and build."""
    from rattler import Version
    from rattler.exceptions import InvalidVersionError

    match = _VIRTUAL_PACKAGE.fullmatch(entry.text)
    try:
        if match:
            return match[1], Version(match[2]), match[3] or "0"
    except InvalidVersionError:
        pass
    raise _invalid(entry, f"“{_short(entry.text)}” is no virtual package; write one such as __cuda=12.6.")


def check_virtual_packages(entries: Iterable[Entry]) -> None:
    """Raise for what is no virtual package, and for one that is named twice: a machine has one of each."""
    seen: set[str] = set()
    for entry in entries:
        name, *_ = parse_virtual_package(entry)
        if name in seen:
            raise _invalid(entry, f"{name} stands here twice; a machine has one of it.")
        seen.add(name)


def resolve_channel(
    entry: Entry, *, alias: str, allowed: tuple[str, ...], aliases: Mapping[str, str] | None = None
) -> str:
    """Return the address of a channel, or raise when it is none that is allowed.

    `aliases` are addresses of names; any other name is looked for under `alias`. `allowed` holds addresses without a
    trailing slash, which allow what is below them too.
    """
    text = entry.text.rstrip("/")
    address = text if "://" in text else (aliases or {}).get(text, f"{alias.rstrip('/')}/{text}")
    if "://" not in text and not _CHANNEL_NAME.fullmatch(text):
        raise _refused(entry, f"“{_short(entry.text)}” is not a channel name.")
    if "://" in text and not _is_plain_http(text):
        raise _refused(entry, "A channel is a name, or an http(s) address without a password in it.")
    if not any(is_under(address, prefix) for prefix in allowed):
        raise _refused(
            entry,
            f"The channel “{_short(entry.text)}” is not among those that this service allows.",
        )
    return address


def check_channel(text: str) -> str:
    """Return a channel as an administrator names it, without its last slash; raise ValueError in words for no such."""
    bare = text.rstrip("/")
    if len(bare) > _MAX_ADDRESS or not (_is_plain_http(bare) if "://" in bare else _CHANNEL_NAME.fullmatch(bare)):
        raise ValueError(f"“{_short(text)}” is neither the name of a channel nor an http(s) address")
    return bare


def check_address(text: str) -> str:
    """Return an http(s) address without its last slash; raise ValueError in words for what is none."""
    bare = text.rstrip("/")
    if len(bare) > _MAX_ADDRESS or not _is_plain_http(bare):
        raise ValueError(f"“{_short(text)}” is not an http(s) address without a password in it")
    return bare


def read_index_option(entry: Entry) -> str | None:
    """Return the index that a line of the pip part names by an option; None for any other line."""
    found = re.fullmatch(r"(?:--index-url|-i)(?:\s+|=)(\S+)", entry.text)
    return found[1].rstrip("/") if found else None


def _is_plain_http(text: str) -> bool:
    try:
        parts = urlsplit(text)
        plain = parts.username is None and parts.password is None and not parts.query and not parts.fragment
        path_is_plain = ".." not in parts.path and "%" not in parts.path and "\\" not in parts.path
        return plain and path_is_plain and parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def is_under(address: str, prefix: str) -> bool:
    """Tell whether an address is another one, or below it."""
    prefix = prefix.rstrip("/")
    return address == prefix or address.startswith(prefix + "/")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "…"


def _invalid(entry: Entry, message: str) -> InvalidSpecificationError:
    return InvalidSpecificationError(message, line=entry.line, column=entry.column)


def _refused(entry: Entry, message: str) -> PolicyRefusedError:
    return PolicyRefusedError(message, line=entry.line, column=entry.column)
