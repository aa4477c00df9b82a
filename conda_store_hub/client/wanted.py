"""Have an environment be what a text says: what has to be done for that, if anything."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from conda_store_hub.core import source, spec
from conda_store_hub.core.errors import InvalidSpecificationError, NotFoundError
from conda_store_hub.core.lines import split_lines
from conda_store_hub.core.states import LIVE, BuildStatus

if TYPE_CHECKING:
    from conda_store_hub.client.api import Client
    from conda_store_hub.core.schemas import Build, Environment


class Step(StrEnum):
    """What has to be done."""

    NOTHING = "unchanged"
    WAIT = "being built"
    DESCRIBE = "described"
    ACTIVATE = "activated"
    SUBMIT = "submitted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What has to be done for an environment to be what a text says, and where that begins.

    build: what the environment is, or is about to become; None where there is none. description: the one to be set
    besides, None where it stays.
    """

    namespace: str
    name: str
    text: str
    step: Step
    build: Build | None
    description: str | None = None

    @property
    def place(self) -> str:
        """Return `NAMESPACE/NAME`."""
        return f"{self.namespace}/{self.name}"

    @property
    def latest_build_id(self) -> int:
        """The newest build when this was planned, as submitting takes it: 0 for none."""
        return self.build.id if self.build is not None else 0

    def diff(self) -> Iterator[str]:
        """Yield how the text differs from that of the build, line by line."""
        old = self.build.specification.text if self.build is not None else ""
        names = (
            self.place + (f":{self.build.id}" if self.build is not None else ""),
            "what is given",
        )
        yield from difflib.unified_diff(split_lines(old), split_lines(self.text), *names, lineterm="")


def plan(client: Client, text: str, *, namespace: str, name: str | None) -> Plan:
    """Find out what has to be done; raise InvalidSpecificationError in words for a text that has no name."""
    wanted = _read(text)
    called = name or (wanted.name if wanted is not None else None)
    if called is None:
        raise InvalidSpecificationError("What is given has no name: give --name.")
    try:
        environment = client.get_environment(namespace, called)
    except NotFoundError:
        return Plan(namespace=namespace, name=called, text=text, step=Step.SUBMIT, build=None)
    latest = environment.latest_build_id
    newest = None if latest is None else client.get_build(latest)
    step, build = _choose(environment, newest, text, wanted)
    description = None if wanted is None or wanted.description == environment.description else wanted.description
    if step is Step.NOTHING and description is not None:
        step = Step.DESCRIBE
    return Plan(namespace=namespace, name=called, text=text, step=step, build=build, description=description)


def carry_out(client: Client, plan: Plan) -> int:
    """Do what is planned, and return the build that the environment is then."""
    build_id = plan.latest_build_id
    if plan.step is Step.SUBMIT:
        build_id = client.submit(
            plan.namespace, plan.text, environment_name=plan.name, latest_build_id=plan.latest_build_id
        )
    elif plan.step is Step.ACTIVATE:
        client.activate(plan.namespace, plan.name, build_id)
    if plan.description is not None and plan.step is not Step.SUBMIT:  # what is built brings its own along
        client.describe(plan.namespace, plan.name, plan.description)
    return build_id


def _read(text: str) -> spec.Specification | None:
    """Return what a text says; None for a lock file, which is compared as it stands."""
    return spec.parse(text, may_be_empty=True) if source.has_name(text) else None


def _choose(
    environment: Environment, newest: Build | None, text: str, wanted: spec.Specification | None
) -> tuple[Step, Build | None]:
    """Return what has to be done, and the build it is about."""
    active = environment.current_build
    if newest is not None and newest.status in LIVE:
        # What is being built is what the environment is about to be.
        return (Step.WAIT if _is_same(newest, text, wanted) else Step.SUBMIT), newest
    if active is not None and _is_same(active, text, wanted):
        return Step.NOTHING, active
    if newest is not None and newest.status is BuildStatus.COMPLETED and newest.deleted_on is None:
        return (Step.ACTIVATE if _is_same(newest, text, wanted) else Step.SUBMIT), newest
    return Step.SUBMIT, newest


def _is_same(build: Build, text: str, wanted: spec.Specification | None) -> bool:
    """Tell whether a build is of what a text says; of lock files, whether it is of that very text."""
    if wanted is not None:
        return build.specification.sha256 == wanted.sha256()
    return split_lines(build.specification.text) == split_lines(text)
