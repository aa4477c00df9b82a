"""What this service lets a build be, as the administrator configured it."""

from __future__ import annotations

from dataclasses import dataclass

from conda_store_hub.core.protocol import ArtifactType


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRules:
    """Channels, platform and artifacts of builds. Empty `allowed_channels` means what stands under the alias."""

    channel_alias: str
    default_channels: tuple[str, ...]
    allowed_channels: tuple[str, ...]
    platform: str
    artifacts: tuple[ArtifactType, ...]
    pip_index: str | None
    solve_seconds: int
    kept_artifacts: tuple[ArtifactType, ...] = (ArtifactType.LOGS, ArtifactType.LOCKFILE, ArtifactType.YAML)
    """What stays of a build that is deleted."""
    refusal: str | None = None
    """Why this service builds nothing at all; None when it does."""
