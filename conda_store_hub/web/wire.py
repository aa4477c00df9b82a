"""Builds and environments as conda-store's clients understand them."""

from __future__ import annotations

from conda_store_hub.core import schemas
from conda_store_hub.core.protocol import ArtifactState


def show_build(build: schemas.Build) -> schemas.Build:
    """List only artifacts that are there: `conda-store wait --artifact` ends as soon as one is listed."""
    ready = [item for item in build.build_artifacts if item.state is ArtifactState.READY]
    others = [item for item in build.build_artifacts if item.state is not ArtifactState.READY]
    return build.model_copy(update={"build_artifacts": ready, "unfinished_artifacts": others})


def show_environment(environment: schemas.Environment) -> schemas.Environment:
    """Do the same in an environment's active build."""
    if environment.current_build is None:
        return environment
    return environment.model_copy(update={"current_build": show_build(environment.current_build)})
