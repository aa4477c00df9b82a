"""The tables: columns, constraints, indexes, and no behaviour."""

from __future__ import annotations

from conda_store_hub.db.tables.access import (
    AuditEntry,
    AuthorizationCode,
    Grant,
    HubUser,
    Token,
    TokenLimit,
)
from conda_store_hub.db.tables.builds import (
    NAMESPACE_NAMES,
    Artifact,
    Build,
    BuildPackage,
    BuildPhase,
    BuildTag,
    Environment,
    EnvironmentAlias,
    ImageBlob,
    Lease,
    LogChunk,
    Namespace,
    Package,
    Specification,
)
from conda_store_hub.db.tables.columns import Base, UtcDateTime
from conda_store_hub.db.tables.settings import (
    Note,
    OnDemand,
    Policy,
    WatchedFile,
    WatchedFolder,
)

__all__ = [
    "NAMESPACE_NAMES",
    "Artifact",
    "AuditEntry",
    "AuthorizationCode",
    "Base",
    "Build",
    "BuildPackage",
    "BuildPhase",
    "BuildTag",
    "Environment",
    "EnvironmentAlias",
    "Grant",
    "HubUser",
    "ImageBlob",
    "Lease",
    "LogChunk",
    "Namespace",
    "Note",
    "OnDemand",
    "Package",
    "Policy",
    "Specification",
    "Token",
    "TokenLimit",
    "UtcDateTime",
    "WatchedFile",
    "WatchedFolder",
]
