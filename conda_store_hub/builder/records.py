"""Solved records: the list of exact packages that is the lock that counts, as JSON and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict
from rattler import PackageRecord, RepoDataRecord

from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.protocol import Package


class RecordDetails(BaseModel):
    """What some lock files tell of a conda package beyond what the protocol does, by the names of repodata."""

    model_config = ConfigDict(frozen=True)

    constrains: tuple[str, ...] = ()
    noarch: str | None = None
    timestamp: int | None = None
    """Milliseconds since 1970, of the package."""
    license_family: str | None = None
    python_site_packages_path: str | None = None


def dump_records(records: Iterable[RepoDataRecord]) -> str:
    """Return the records as a JSON list, without credentials."""
    return json.dumps([_dump(record) for record in records], indent=1)


def load_records(path: Path) -> list[RepoDataRecord]:
    """Read back what `dump_records` wrote; raise InvalidRequestError for anything else."""
    try:
        values = json.loads(path.read_bytes())
        return [_load(value, path.with_name("index.json")) for value in values]
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise InvalidRequestError("The lock of this build cannot be read.", detail=str(exc)) from exc


def describe_records(records: Sequence[RepoDataRecord]) -> tuple[Package, ...]:
    """Return what the protocol tells about each record, by name."""
    return tuple(sorted((_describe(record) for record in records), key=lambda package: package.name))


def describe_details(records: Iterable[RepoDataRecord]) -> dict[str, RecordDetails]:
    """Return what there is to tell of each record beside its package, by address."""
    return {strip_credentials(record.url): RecordDetails.model_validate_json(record.to_json()) for record in records}


def _dump(record: RepoDataRecord) -> dict[str, Any]:
    value = cast("dict[str, Any]", json.loads(record.to_json()))
    for key in ("url", "channel"):
        if isinstance(value.get(key), str):
            value[key] = strip_credentials(value[key])
    return value


def _load(value: dict[str, Any], scratch: Path) -> RepoDataRecord:
    # The engine reads a record of one package from a file only, and leaves out what stands in repodata alone.
    scratch.write_text(json.dumps(value))
    record = PackageRecord.from_index_json(scratch, size=value.get("size"))
    scratch.unlink()
    for name in ("sha256", "md5", "legacy_bz2_md5", "attestations_sha256"):
        if value.get(name):
            setattr(record, name, bytes.fromhex(value[name]))
    if value.get("legacy_bz2_size"):
        record.legacy_bz2_size = value["legacy_bz2_size"]
    if value.get("indexed_timestamp"):
        record.indexed_timestamp = datetime.fromtimestamp(value["indexed_timestamp"] / 1000, UTC)
    return RepoDataRecord(record, value["fn"], value["url"], value["channel"])


def _describe(record: RepoDataRecord) -> Package:
    return Package(
        manager="conda",
        name=record.name.normalized,
        version=str(record.version),
        build=str(record.build),
        channel=strip_credentials(record.channel or "").rstrip("/"),
        subdir=record.subdir,
        url=strip_credentials(record.url),
        sha256=record.sha256.hex() if record.sha256 else "",
        md5=record.md5.hex() if record.md5 else "",
        size=record.size or 0,
        license=record.license or "",
        depends=tuple(record.depends),
    )
