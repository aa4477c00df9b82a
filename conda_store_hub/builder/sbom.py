"""The SBOM: what an environment consists of, in CycloneDX 1.6, for programs that look for flaws and for licenses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid5

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.utils import canonicalize_name

from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.indexes import PYPI_FILES, is_in_places, list_wheel_places
from conda_store_hub.core.matchspec import parse_pip_line
from conda_store_hub.core.packages import read_package
from conda_store_hub.core.policy import PYPI
from conda_store_hub.core.protocol import BuildRequest, Package
from conda_store_hub.core.reasons import Key, key_of, list_needed, make_key

_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_VERSION = "1.6"
_TOOL = "conda-store-hub"
_SERIALS = UUID("3541744a-b328-44d9-b2f0-66ca1f72e25d")
_CHANNELS = ("https://conda.anaconda.org/", "https://repo.anaconda.com/pkgs/")
"""Where the channels lie that everybody knows by name."""
_OF_ADDRESSES = "%:/?#[]@!$&'()*+,;=~"
_ID = re.compile(r"(?!LicenseRef-)[A-Za-z0-9.-]+")


def format_sbom(request: BuildRequest, packages: Sequence[Package], made: int) -> str:
    """Return the document; the same packages, `made` at the same time (seconds since 1970), give the same text."""
    root = _describe_root(request)
    references = {key_of(each): _format_purl(each, request.pip_index) for each in packages}
    document: dict[str, Any] = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": _VERSION,
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(made, UTC).isoformat(),
            "tools": {"components": [{"type": "application", "name": _TOOL}]},
            "component": root,
        },
        "components": [_describe(each, references[key_of(each)], request.pip_index) for each in packages],
        "dependencies": _list_dependencies(request, root["bom-ref"], packages, references),
    }
    # A random number would be another one each time.
    serial = uuid5(_SERIALS, json.dumps(document))
    return json.dumps({**document, "serialNumber": serial.urn}, indent=2, ensure_ascii=False) + "\n"


def _describe_root(request: BuildRequest) -> dict[str, Any]:
    """Return the environment itself, as a component; its build is its version."""
    place = f"{request.namespace}/{request.name}" if request.namespace else request.name
    root = {"type": "application", "bom-ref": f"{place}:{request.build_id}", "group": request.namespace}
    return _without_empty({**root, "name": request.name, "version": str(request.build_id)})


def _describe(package: Package, purl: str, index: str | None) -> dict[str, Any]:
    """Return a component; what is not known is left out."""
    hashes = {"MD5": package.md5, "SHA-256": package.sha256}
    return _without_empty(
        {
            "type": "library",
            "bom-ref": purl,
            "supplier": _describe_supplier(package, index),
            "name": package.name,
            "version": package.version,
            "hashes": [{"alg": name, "content": digest} for name, digest in hashes.items() if digest],
            "licenses": _describe_license(package.license.strip()),
            "purl": purl,
            "externalReferences": [{"type": "distribution", "url": _write_address(package.url)}] if package.url else [],
        }
    )


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _describe_supplier(package: Package, index: str | None) -> dict[str, Any]:
    """Return who distributes it: a channel, or an index."""
    place = package.channel if package.manager == "conda" else _find_index(package, index)
    return {"name": "PyPI" if place == PYPI else _name_channel(place), "url": [_write_address(place)]} if place else {}


def _write_address(address: str) -> str:
    """Return an address as one may be written: a channel of files may be in a folder with a space in its name."""
    return quote(address, safe=_OF_ADDRESSES)


def _describe_license(text: str) -> list[dict[str, Any]]:
    """Return a license as SPDX knows it, or by the name that the package gives it."""
    if text in ("", "UNKNOWN"):
        return []
    told = {"acknowledgement": "declared"}
    try:
        known = canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return [{"license": {"name": text, **told}}]
    return [{"license": {"id": known, **told}} if _ID.fullmatch(known) else {"expression": known, **told}]


# Package URLs.


def _format_purl(package: Package, index: str | None) -> str:
    """Return the address that all tools know a package by, wherever it was found."""
    version = quote(package.version, safe=":")
    if package.manager == "pip":
        found = _find_index(package, index)
        # Of another index than PyPI, a name may be somebody else's package.
        qualifiers = {"repository_url": "" if found == PYPI else found}
        return f"pkg:pypi/{canonicalize_name(package.name)}@{version}{_format_qualifiers(qualifiers)}"
    qualifiers = {
        "build": package.build,
        "channel": _name_channel(package.channel),
        "subdir": package.subdir,
        "type": "tar.bz2" if package.url.endswith(".tar.bz2") else "conda",
    }
    return f"pkg:conda/{quote(package.name)}@{version}{_format_qualifiers(qualifiers)}"


def _format_qualifiers(values: dict[str, str]) -> str:
    pairs = [f"{name}={quote(value, safe=':/')}" for name, value in sorted(values.items()) if value]
    return "?" + "&".join(pairs) if pairs else ""


def _name_channel(address: str) -> str:
    start = next((known for known in _CHANNELS if address.startswith(known)), "")
    return address.removeprefix(start)


def _find_index(package: Package, index: str | None) -> str:
    """Return the index that a wheel came from, as far as its address tells: a lock may have one from anywhere."""
    if is_in_places(package.url, (PYPI_FILES,)):
        return PYPI
    address = strip_credentials(index or "")
    return address if address and is_in_places(package.url, list_wheel_places((address,))) else ""


# Dependencies.


def _list_dependencies(
    request: BuildRequest, root: str, packages: Sequence[Package], references: dict[Key, str]
) -> list[dict[str, Any]]:
    """Return what needs what; the environment needs what it was asked for, and what nothing else in it needs."""
    needs = {key_of(each): set(list_needed(each, references)) for each in packages}
    unneeded = references.keys() - {key for needed in needs.values() for key in needed}
    first = (_list_asked(request) & references.keys()) | unneeded
    entries = [(root, first), *((references[key], needed) for key, needed in needs.items())]
    return [_format_needs(reference, (references[key] for key in needed)) for reference, needed in entries]


def _format_needs(reference: str, needed: Iterable[str]) -> dict[str, Any]:
    return _without_empty({"ref": reference, "dependsOn": sorted(needed)})


def _list_asked(request: BuildRequest) -> set[Key]:
    """Return what was asked for by name; a lock file does not tell."""
    conda = {make_key("conda", read_package(entry.text)[0]) for entry in request.dependencies}
    return conda | {make_key("pip", parse_pip_line(entry).name) for entry in request.pip}
