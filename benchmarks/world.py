"""A database as a service has it after years: namespaces, environments, builds, and what builds leave."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from conda_store_hub.core.names import NamespaceKind, new_prefix_name
from conda_store_hub.core.protocol import ArtifactType, BuildStatus, Phase
from conda_store_hub.db.tables import Build, Environment, Namespace, Package, Specification

NAMESPACES = 50
PACKAGES = 1_500
_KERNEL = json.dumps({"argv": ["python", "-m", "ipykernel_launcher"], "display_name": "Python 3", "language": "python"})
_BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
_LOG = b"".join(b"python-dateutil 2.9.0 pyhd8ed1ab_0 linked in 0.01 s\n" for _ in range(40))
_KEPT = """
INSERT INTO artifact (build_id, artifact_type, state, key, sha256, size)
SELECT id, :kind, 'READY', 'ab/' || lower(hex(randomblob(32))), lower(hex(randomblob(32))), 100000 FROM build
"""
_TIMED = """
INSERT INTO build_phase (build_id, phase, started_at, seconds) SELECT id, :phase, started_on, 0.25 FROM build
"""
_LOGGED = "INSERT INTO log_chunk (build_id, start, data) SELECT id, 0, :data FROM build"
_LINKED = """
INSERT INTO build_package (build_id, name, package_id)
SELECT build.id, package.name, package.id FROM build JOIN package
ON package.id BETWEEN build.id * 7 % :most + 1 AND build.id * 7 % :most + :packages
"""
_ACTIVATED = """
UPDATE environment SET (latest_build_id, current_build_id, linked_build_id) =
(SELECT max(id), max(id), max(id) FROM build WHERE environment_id = environment.id)
"""


def fill(session: Session, *, environments: int, builds: int, packages: int) -> None:
    """Make shared namespaces with environments, builds of each in turn, and what each build leaves."""
    made = {"kind": NamespaceKind.SHARED, "hub_name": None, "about": {}, "created_at": _BEGAN}
    session.execute(insert(Namespace), [{"name": f"team{number:02}"} | made for number in range(NAMESPACES)])
    session.execute(insert(Package), [_package(number) for number in range(PACKAGES)])
    session.execute(insert(Specification), [_specification(number) for number in range(environments)])
    session.execute(insert(Environment), [_environment(number) for number in range(environments)])
    session.execute(insert(Build), [_build(number, environments) for number in range(builds)])
    for kind in (ArtifactType.RECORDS, ArtifactType.LOCKFILE, ArtifactType.YAML, ArtifactType.CONDA_PACK):
        session.execute(text(_KEPT), {"kind": kind})
    for phase in Phase:
        session.execute(text(_TIMED), {"phase": phase})
    session.execute(text(_LOGGED), {"data": _LOG})
    session.execute(text(_LINKED), {"most": PACKAGES - packages, "packages": packages})
    session.execute(text(_ACTIVATED))


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _package(number: int) -> dict[str, Any]:
    name, build = f"package-{number % 1000:04}", f"py311h{number:07}_0"
    channel = "https://conda.anaconda.org/conda-forge"
    return {
        "digest": _digest("package", number),
        "manager": "conda",
        "name": name,
        "version": f"{number // 1000}.{number % 17}.3",
        "build": build,
        "channel": channel,
        "subdir": "linux-64",
        "url": f"{channel}/linux-64/{name}-{number // 1000}.{number % 17}.3-{build}.conda",
        "sha256": _digest("sha256", number),
        "md5": _digest("md5", number)[:32],
        "size": 1000 * number,
        "license": "BSD-3-Clause",
    }


def _specification(number: int) -> dict[str, Any]:
    names = [f"package-{(number + step) % 1000:04} >=1.{step}" for step in range(25)]
    lines = "".join(f"  - {name}  # of project {number}\n" for name in names)
    written = f"name: env{number:05}\nchannels:\n  - conda-forge\ndependencies:\n{lines}"
    parsed = {"name": f"env{number:05}", "channels": ["conda-forge"], "dependencies": names, "variables": {}}
    return {
        "name": f"env{number:05}",
        "sha256": _digest("specification", number),
        "text_sha256": _digest("text", number),
        "text": written,
        "parsed": parsed | {"description": "", "prefix": None},
        "created_at": _BEGAN,
    }


def _environment(number: int) -> dict[str, Any]:
    name = f"env{number:05}"
    return {
        "namespace_id": number % NAMESPACES + 1,
        "name": name,
        "name_key": name,
        "linked_name": name,
        "description": "What the team computes with: numerics, plots, and the packages of their own.",
        "created_at": _BEGAN,
        "updated_at": _BEGAN,
    }


def _build(number: int, environments: int) -> dict[str, Any]:
    at = _BEGAN + timedelta(minutes=number)
    owner = number % environments
    return {
        "environment_id": owner + 1,
        "specification_id": owner + 1,
        "key": f"{_digest('specification', owner)}-{at:%Y%m%d-%H%M%S-%f}-{number + 1}-env{owner:05}",
        "status": BuildStatus.COMPLETED,
        "requested_by": f"user{number % 40}",
        "scheduled_on": at,
        "started_on": at + timedelta(seconds=1),
        "ended_on": at + timedelta(seconds=9),
        "prefix_name": new_prefix_name(),
        "size": 500_000_000,
        "shared_size": 400_000_000,
        "kernels": [{"raw": "python3", "spec": _KERNEL}],
        "log_size": len(_LOG),
        "log_complete": True,
    }
