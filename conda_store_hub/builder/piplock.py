"""The lock of a pip part (PEP 751): exactly which wheels, from where, with which hashes."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.lockfiles import LockedPackage
from conda_store_hub.core.protocol import BuildRequest

FILE_NAME = "pylock.toml"
_HEAD = 'lock-version = "1.0"\ncreated-by = "conda-store-hub"\n'


def has_pip_part(request: BuildRequest) -> bool:
    """Tell whether pip has anything to do; a lock file says so whatever the pip lines are."""
    if request.locked:
        return any(each.manager == "pip" for each in request.locked)
    return bool(request.pip) or request.pip_lock is not None


def find_pip_lock(request: BuildRequest, *, reused: bool) -> str | None:
    """Return the text of the lock that this build has to install, or None when the pip part is to be resolved."""
    if locked := [each for each in request.locked if each.manager == "pip"]:
        return format_pip_lock(locked)
    path = request.pip_lock
    if path is None and reused and request.reuse is not None:
        path = request.reuse.pip_lock
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as exc:
        raise _unreadable(str(exc)) from exc


def format_pip_lock(packages: Sequence[LockedPackage]) -> str:
    """Return the lock of these packages, which is one without packages if there are none."""
    if not packages:
        return f"{_HEAD}packages = []\n"
    return _HEAD + "".join(
        f"\n[[packages]]\nname = {_quote(canonicalize_name(each.name))}\nversion = {_quote(each.version)}\n"
        f"wheels = [{{ url = {_quote(each.url)}, hashes = {{ sha256 = {_quote(each.sha256)} }} }}]\n"
        for each in packages
    )


def read_pins(text: str) -> dict[str, str]:
    """Return the name and version of each package; raise InvalidRequestError for what is more than hashed wheels."""
    try:
        return dict(_read_pin(package) for package in tomllib.loads(text)["packages"])
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        raise _unreadable(str(exc)) from exc


def _read_pin(package: dict[str, Any]) -> tuple[str, str]:
    wheels = package["wheels"]
    fine = all(wheel["url"].startswith(("https://", "http://")) and wheel["hashes"] for wheel in wheels)
    if not wheels or not fine or {"vcs", "directory", "archive"} & package.keys():
        raise ValueError(f"{package['name']} is no wheel with an address and a hash")
    return canonicalize_name(package["name"]), package["version"]


def _unreadable(reason: str) -> InvalidRequestError:
    return InvalidRequestError("The lock of the pip part cannot be read.", detail=reason)


def _quote(text: str) -> str:
    """Return a TOML string; JSON's is one, if its characters stand for themselves."""
    return json.dumps(text, ensure_ascii=False)
