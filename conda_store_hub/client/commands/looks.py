"""How each kind of value is shown in lists and alone, and what it is called by other commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conda_store_hub.client.commands.output import Look, format_bytes

if TYPE_CHECKING:
    from conda_store_hub.core.schemas import (
        BuildSummary,
        Environment,
        FoundPackage,
        Member,
        Namespace,
        Package,
        SolvedPackage,
        TokenView,
    )


def name_environment(environment: Environment) -> str:
    """Return how an environment is named."""
    return f"{environment.namespace.name}/{environment.name}"


def name_build(build: BuildSummary) -> str:
    """Return how a build is named."""
    return f"{build.namespace}/{build.environment}:{build.id}"


def _name_package(package: Package) -> str:
    # As each manager takes it.
    return f"{package.name}=={package.version}" if package.manager == "pip" else _name_conda_package(package)


def _name_conda_package(package: Package | SolvedPackage) -> str:
    return "=".join(part for part in (package.name, package.version, package.build) if part)


def _say_size(package: Package | SolvedPackage) -> str:
    return format_bytes(package.size) if package.size else ""


NAMESPACES: Look[Namespace] = Look(
    columns=(("NAMESPACE", lambda each: each.name), ("KIND", lambda each: each.kind)),
    name=lambda each: each.name,
)

ENVIRONMENTS: Look[Environment] = Look(
    columns=(
        ("ENVIRONMENT", name_environment),
        ("ACTIVE BUILD", lambda each: each.current_build_id),
        ("LATEST", lambda each: each.latest_status),
        ("UPDATED", lambda each: each.updated_on),
        ("DESCRIPTION", lambda each: each.description.partition("\n")[0]),
    ),
    name=name_environment,
)

BUILDS: Look[BuildSummary] = Look(
    columns=(
        ("BUILD", lambda each: each.id),
        ("ENVIRONMENT", lambda each: f"{each.namespace}/{each.environment}"),
        ("STATUS", lambda each: "deleted" if each.deleted_on else each.status),
        ("ACTIVE", lambda each: "active" if each.active else ""),
        ("SUBMITTED", lambda each: each.scheduled_on),
        ("BY", lambda each: each.requested_by),
    ),
    name=name_build,
)

PACKAGES: Look[Package] = Look(
    columns=(
        ("PACKAGE", lambda each: each.name),
        ("VERSION", lambda each: each.version),
        ("BUILD", lambda each: each.build),
        ("FROM", lambda each: "pip" if each.manager == "pip" else each.channel.get("name", "")),
        ("WHY", lambda each: each.reason),
        ("SIZE", _say_size),
    ),
    name=_name_package,
)

SOLVED_PACKAGES: Look[SolvedPackage] = Look(
    columns=(
        ("PACKAGE", lambda each: each.name),
        ("VERSION", lambda each: each.version),
        ("BUILD", lambda each: each.build),
        ("FROM", lambda each: each.channel),
        ("WHY", lambda each: each.reason),
        ("SIZE", _say_size),
    ),
    name=_name_conda_package,
)

FOUND_PACKAGES: Look[FoundPackage] = Look(
    columns=(
        ("PACKAGE", lambda each: each.name),
        ("NEWEST", lambda each: each.version),
        ("VERSIONS", lambda each: each.versions),
        ("CHANNEL", lambda each: each.channel.get("name", "")),
        ("SUMMARY", lambda each: each.summary),
    ),
    name=lambda each: each.name,
)

TOKENS: Look[TokenView] = Look(
    columns=(
        ("TOKEN", lambda each: each.id),
        ("FOR", lambda each: each.label),
        ("LIMITED TO", lambda each: ", ".join(f"{scope.on} as {scope.role}" for scope in each.scopes)),
        ("ENDS WITH", lambda each: f"…{each.hint}"),
        ("EXPIRES", lambda each: "expired" if each.expired else each.expires_on or "never"),
        ("LAST USED", lambda each: each.last_used_on or "never"),
    ),
    name=lambda each: str(each.id),
)

MEMBERS: Look[Member] = Look(
    columns=(
        ("WHO", lambda each: name_member(each)),
        ("ROLE", lambda each: each.role),
        ("UNTIL", lambda each: each.expires_on),
        ("GIVEN BY", lambda each: each.granted_by or ("" if each.id else "whose it is")),
    ),
    name=lambda each: name_member(each),
)


def name_member(member: Member) -> str:
    """Return how somebody with a role is named: `user:NAME`, `group:NAME`, `authenticated` or `anyone`."""
    return f"{member.subject}:{member.name}" if member.name else str(member.subject)
