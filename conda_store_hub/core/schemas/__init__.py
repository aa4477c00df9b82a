"""The REST wire, as the server, the client and the descriptions of the API have it.

A subject is loaded when something of it is first used: `conda-store run` needs builds alone, and is in a hurry.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conda_store_hub.core.schemas.access import (
        MAX_LABEL,
        MAX_TOKEN_NAMESPACES,
        AuditEntry,
        AuditPage,
        GrantRole,
        MakeToken,
        Member,
        NewToken,
        RoleMapping,
        RoleMappingOf,
        RoleMappingView,
        RoleName,
        TokenScope,
        TokenView,
    )
    from conda_store_hub.core.schemas.builds import (
        Artifact,
        Build,
        BuildSummary,
        Environment,
        FurtherArtifact,
        MatchingPackage,
        Namespace,
        Package,
        PhaseTime,
        SpecificationView,
    )
    from conda_store_hub.core.schemas.changes import (
        ActivateBuild,
        BuildId,
        CloneEnvironment,
        EndLease,
        Lease,
        MakeArtifact,
        NewName,
        PinBuild,
        Rebuild,
        Tag,
        TagBuild,
        TakeLease,
    )
    from conda_store_hub.core.schemas.live import KernelList, KernelView, LogPhases, LogProgress, LogState
    from conda_store_hub.core.schemas.namespaces import (
        ChangeNamespace,
        NamespaceDetails,
        NamespaceSummary,
        Notes,
        PermissionSummary,
        RestoreNamespace,
        Usage,
        UsagePage,
    )
    from conda_store_hub.core.schemas.search import (
        ChannelPackage,
        ChannelPackages,
        ChannelProblem,
        DepartedPackage,
        DepartedPackages,
        FoundPackage,
        FoundPackages,
    )
    from conda_store_hub.core.schemas.specifications import (
        GivenSetting,
        ListedPackage,
        PackageChange,
        PackageDiff,
        PackageVersion,
        ReadSpecification,
        Setting,
        SolvedList,
        SolvedPackage,
        SolvedSpecification,
        SolveSpecification,
        SubmitSpecification,
    )
    from conda_store_hub.core.schemas.watched import WatchedFile, WatchedFiles, WatchedFolder
    from conda_store_hub.core.schemas.wire import (
        Answer,
        CursorPage,
        ErrorAnswer,
        Health,
        Json,
        Moment,
        Page,
        RegistryPlace,
        Version,
        Wire,
    )

__all__ = [
    "MAX_LABEL",
    "MAX_TOKEN_NAMESPACES",
    "ActivateBuild",
    "Answer",
    "Artifact",
    "AuditEntry",
    "AuditPage",
    "Build",
    "BuildId",
    "BuildSummary",
    "ChangeNamespace",
    "ChannelPackage",
    "ChannelPackages",
    "ChannelProblem",
    "CloneEnvironment",
    "CursorPage",
    "DepartedPackage",
    "DepartedPackages",
    "EndLease",
    "Environment",
    "ErrorAnswer",
    "FoundPackage",
    "FoundPackages",
    "FurtherArtifact",
    "GivenSetting",
    "GrantRole",
    "Health",
    "Json",
    "KernelList",
    "KernelView",
    "Lease",
    "ListedPackage",
    "LogPhases",
    "LogProgress",
    "LogState",
    "MakeArtifact",
    "MakeToken",
    "MatchingPackage",
    "Member",
    "Moment",
    "Namespace",
    "NamespaceDetails",
    "NamespaceSummary",
    "NewName",
    "NewToken",
    "Notes",
    "Package",
    "PackageChange",
    "PackageDiff",
    "PackageVersion",
    "Page",
    "PermissionSummary",
    "PhaseTime",
    "PinBuild",
    "ReadSpecification",
    "Rebuild",
    "RegistryPlace",
    "RestoreNamespace",
    "RoleMapping",
    "RoleMappingOf",
    "RoleMappingView",
    "RoleName",
    "Setting",
    "SolveSpecification",
    "SolvedList",
    "SolvedPackage",
    "SolvedSpecification",
    "SpecificationView",
    "SubmitSpecification",
    "Tag",
    "TagBuild",
    "TakeLease",
    "TokenScope",
    "TokenView",
    "Usage",
    "UsagePage",
    "Version",
    "WatchedFile",
    "WatchedFiles",
    "WatchedFolder",
    "Wire",
]

_SUBJECTS = {
    "access": (
        "MAX_LABEL MAX_TOKEN_NAMESPACES AuditEntry AuditPage GrantRole MakeToken Member NewToken RoleMapping "
        "RoleMappingOf RoleMappingView RoleName TokenScope TokenView"
    ),
    "builds": (
        "Artifact Build BuildSummary Environment FurtherArtifact MatchingPackage Namespace "
        "Package PhaseTime SpecificationView"
    ),
    "changes": (
        "ActivateBuild BuildId CloneEnvironment EndLease Lease MakeArtifact NewName PinBuild Rebuild "
        "Tag TagBuild TakeLease"
    ),
    "live": "KernelList KernelView LogPhases LogProgress LogState",
    "namespaces": (
        "ChangeNamespace NamespaceDetails NamespaceSummary Notes PermissionSummary RestoreNamespace Usage UsagePage"
    ),
    "search": (
        "ChannelPackage ChannelPackages ChannelProblem DepartedPackage DepartedPackages FoundPackage FoundPackages"
    ),
    "specifications": (
        "GivenSetting ListedPackage PackageChange PackageDiff PackageVersion ReadSpecification Setting SolvedList "
        "SolvedPackage SolvedSpecification SolveSpecification SubmitSpecification"
    ),
    "watched": "WatchedFile WatchedFiles WatchedFolder",
    "wire": "Answer CursorPage ErrorAnswer Health Json Moment Page RegistryPlace Version Wire",
}
_PLACES = {name: subject for subject, names in _SUBJECTS.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Return a model of a subject, which is loaded now."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value
