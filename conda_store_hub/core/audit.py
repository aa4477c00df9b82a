"""What the audit trail knows: the kinds of deeds that are written down."""

from __future__ import annotations

from enum import StrEnum


class AuditAction(StrEnum):
    """A deed. The texts are stored and filtered by: add, never change."""

    NAMESPACE_CREATE = "namespace.create"
    NAMESPACE_UPDATE = "namespace.update"
    NAMESPACE_DELETE = "namespace.delete"
    NAMESPACE_RESTORE = "namespace.restore"
    NAMESPACE_SEAL = "namespace.seal"
    ENVIRONMENT_CREATE = "environment.create"
    ENVIRONMENT_UPDATE = "environment.update"
    ENVIRONMENT_ACTIVATE = "environment.activate"
    ENVIRONMENT_RENAME = "environment.rename"
    ENVIRONMENT_DELETE = "environment.delete"
    ENVIRONMENT_RESTORE = "environment.restore"
    ENVIRONMENT_EXPIRE = "environment.expire"
    BUILD_SUBMIT = "build.submit"
    BUILD_CANCEL = "build.cancel"
    BUILD_PIN = "build.pin"
    BUILD_DELETE = "build.delete"
    BUILD_TAG = "build.tag"
    BUILD_UNTAG = "build.untag"
    ARTIFACT_DAMAGED = "artifact.damaged"
    STORAGE_FREE = "storage.free"
    CACHE_TRIM = "cache.trim"
    GRANT_SET = "grant.set"
    GRANT_REMOVE = "grant.remove"
    TOKEN_CREATE = "token.create"  # noqa: S105 - no password
    TOKEN_REVOKE = "token.revoke"  # noqa: S105 - no password
    POLICY_SET = "policy.set"
    POLICY_UNSET = "policy.unset"
    BANNER_SET = "banner.set"
    JANITOR_RUN = "janitor.run"
