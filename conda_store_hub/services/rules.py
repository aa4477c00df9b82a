"""What a build may be in one place: what follows from the policies there, and what this service can do at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from conda_store_hub.core.errors import PolicyRefusedError
from conda_store_hub.core.layers import Effective, Layer
from conda_store_hub.core.policy import PolicyValues
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.core.spec import Specification


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """What the administrator's own check is asked about: `validate_specification` of the configuration.

    `who`: the Hub's name of the user, or what the audit trail calls what asks; None is nobody known.
    """

    namespace: str
    environment: str
    text: str
    specification: Specification
    who: str | None


#: Returns None, or a sentence that says why not.
Hook = Callable[[Proposal], str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class OnDemandRules:
    """For how many days an image on demand is fresh, and for how many it is kept unused; 0: none is made."""

    fresh_days: int = 7
    kept_days: int = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRules:
    """The rules of one place; those that the service starts with are what the configuration says."""

    policy: Effective
    platform: str
    hook: Hook | None = None
    kept_artifacts: tuple[ArtifactType, ...] = (ArtifactType.LOGS, ArtifactType.LOCKFILE, ArtifactType.YAML)
    """What stays of a build that is deleted."""
    image_base: str = ""
    """The image that environments are put on: a path, or a reference; empty: on nothing."""
    image_credentials: str = ""
    """Path of a file with credentials for its registry."""
    on_demand: OnDemandRules = OnDemandRules()
    """What counts of images on demand."""
    refusal: str | None = None
    """Why this service builds nothing at all; None when it does."""

    @property
    def values(self) -> PolicyValues:
        """What counts here, by key."""
        return self.policy.values

    def require_builds(self) -> None:
        """Raise PolicyRefusedError when this service builds nothing at all."""
        if self.refusal:
            raise PolicyRefusedError(self.refusal)

    def at(self, layers: tuple[Layer, ...]) -> BuildRules:
        """Return the rules of a place where this was set over the configuration."""
        return replace(self, policy=self.policy.at(layers))
