"""The lock of a pip part (PEP 751): exactly which wheels, from where, with which hashes."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from conda_store_hub.builder.wheels import rank_wheel
from conda_store_hub.core.errors import InvalidRequestError, PipError
from conda_store_hub.core.indexes import is_in_places
from conda_store_hub.core.lockfiles import LockedPackage
from conda_store_hub.core.packages import is_forbidden_pin
from conda_store_hub.core.protocol import BuildRequest, Package

FILE_NAME = "pylock.toml"
_HEAD = 'lock-version = "1.0"\ncreated-by = "conda-store-hub"\n'


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """One package of a lock; `sources` are the index that it came from, or the addresses of its wheels."""

    name: str
    version: str
    sources: tuple[str, ...]


def find_pip_lock(request: BuildRequest, *, reused: bool) -> str | None:
    """Return the text of the lock that this build has to install, or None when the pip part is to be resolved."""
    if locked := [each for each in request.list_locked() if each.manager == "pip"]:
        return format_pip_lock(locked)
    if request.pip_lock is not None:
        return _read(request.pip_lock)
    if not reused or request.reuse is None or request.reuse.pip_lock is None:
        return None
    text = _read(request.reuse.pip_lock)
    return None if find_breach(read_pins(text), request) else text


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as exc:
        raise _unreadable(str(exc)) from exc


def format_pip_lock(packages: Sequence[LockedPackage]) -> str:
    """Return the lock of these packages, which is one without packages if there are none."""
    return _format(
        {"name": each.name, "version": each.version, "wheels": [{"url": each.url, "hashes": {"sha256": each.sha256}}]}
        for each in packages
    )


def pin_wheels(text: str, index: str = "") -> str:
    """Return a lock with one wheel of each package: the closest of those that fit, which then is what is installed.

    uv lists all that fit, so that nobody could tell which one is in the environment. It leaves out also which `index`
    was asked. Raises InvalidRequestError for what is more than hashed wheels.
    """
    read_pins(text)
    return _format(_pin(package, index) for package in _list_packages(text))


def _pin(package: dict[str, Any], index: str) -> dict[str, Any]:
    closest = max(package["wheels"], key=lambda wheel: rank_wheel(wheel["url"]))
    return package | {"wheels": [closest]} | ({"index": index} if index else {})


def _format(packages: Iterable[dict[str, Any]]) -> str:
    texts = [_format_package(package) for package in packages]
    return _HEAD + "".join(texts) if texts else f"{_HEAD}packages = []\n"


def _format_package(package: dict[str, Any]) -> str:
    index = f"index = {_quote(package['index'])}\n" if "index" in package else ""
    wheels = ", ".join(_format_wheel(wheel) for wheel in package["wheels"])
    return (
        f"\n[[packages]]\n{index}name = {_quote(canonicalize_name(package['name']))}\n"
        f"version = {_quote(package['version'])}\nwheels = [{wheels}]\n"
    )


def _format_wheel(wheel: dict[str, Any]) -> str:
    hashes = ", ".join(f"{kind} = {_quote(digest)}" for kind, digest in sorted(wheel["hashes"].items()))
    size = f", size = {int(wheel['size'])}" if "size" in wheel else ""
    return f"{{ url = {_quote(wheel['url'])}{size}, hashes = {{ {hashes} }} }}"


def _list_packages(text: str) -> list[dict[str, Any]]:
    return tomllib.loads(text)["packages"]


def read_wheels(text: str) -> tuple[Package, ...]:
    """Return the packages of a lock that `read_pins` lets pass, by name, each with the first of its wheels."""
    return tuple(sorted((_read_wheel(package) for package in _list_packages(text)), key=lambda package: package.name))


def _read_wheel(package: dict[str, Any]) -> Package:
    wheel = package["wheels"][0]
    return Package(
        manager="pip",
        name=package["name"],
        version=package["version"],
        url=wheel["url"],
        sha256=wheel["hashes"].get("sha256", ""),
        size=wheel.get("size", 0),
    )


def read_pins(text: str) -> tuple[Pin, ...]:
    """Return the packages of a lock; raise InvalidRequestError for what is more than hashed wheels."""
    try:
        return tuple(_read_pin(package) for package in _list_packages(text))
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        raise _unreadable(str(exc)) from exc


def _read_pin(package: dict[str, Any]) -> Pin:
    wheels = package["wheels"]
    fine = all(wheel["url"].startswith(("https://", "http://")) and wheel["hashes"] for wheel in wheels)
    if not wheels or not fine or {"vcs", "directory", "archive"} & package.keys():
        raise ValueError(f"{package['name']} is no wheel with an address and a hash")
    # An index may say that its files lie elsewhere: what was resolved here names the index that was asked.
    sources = (package["index"],) if "index" in package else tuple(wheel["url"] for wheel in wheels)
    return Pin(name=canonicalize_name(package["name"]), version=package["version"], sources=sources)


def find_breach(pins: Sequence[Pin], request: BuildRequest) -> PipError | None:
    """Return the error for the first package of a lock that the policy of a request does not let in."""
    if found := find_forbidden({pin.name: pin.version for pin in pins}, request):
        return PipError(f"{found.words}: build the specification anew.")
    for pin in pins:
        for source in pin.sources:
            if request.wheel_places is not None and not is_in_places(source, request.wheel_places):
                return PipError(
                    f"The lock of the pip part has {pin.name} from {source}, which is below no index that is allowed"
                    " here: build the specification anew."
                )
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Forbidden:
    """A package of the pip part that the policy excludes, and the sentence that says so, without its end."""

    name: str
    words: str


def find_forbidden(pins: Mapping[str, str], request: BuildRequest) -> Forbidden | None:
    """Return the first package, of those with their versions, that the policy of a request excludes."""
    for name, version in pins.items():
        for text in request.excluded:
            if is_forbidden_pin(name, version, text):
                words = f"The policy of this service excludes “{text}”, and the pip part has {name} {version}"
                return Forbidden(name=name, words=words)
    return None


def _unreadable(reason: str) -> InvalidRequestError:
    return InvalidRequestError("The lock of the pip part cannot be read.", detail=reason)


def _quote(text: str) -> str:
    """Return a TOML string; JSON's is one, if its characters stand for themselves."""
    return json.dumps(text, ensure_ascii=False)
