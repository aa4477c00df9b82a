"""What the form for a specification holds, and what it begins with."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas, source
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.services import builds, environments, rights


@dataclass(frozen=True, kw_only=True, slots=True)
class Beginning:
    """The build that a change begins with, and the active one, which notebooks run in."""

    build_id: int
    active: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """What stands in the form."""

    text: str
    namespace: str = ""
    name: str = ""
    """Of an environment that is there, or what was typed for a text that has none."""
    is_there: bool = False
    """Whether it is about an environment that is there: then namespace and name stay."""
    latest: int | None = None
    """The environment's newest build when one began, 0 for a new one; None where that is not to be held against."""
    began: Beginning | None = None
    """What a change begins with; None for what was sent."""

    def describe(self) -> schemas.ReadSpecification:
        """Return it as the API takes it."""
        return schemas.ReadSpecification(
            specification=self.text, namespace=self.namespace or None, environment_name=self.name.strip() or None
        )


def begin(
    session: Session, identity: Identity, build_id: int | None, where: tuple[str, str] | None, data: DataDirectory
) -> Form:
    """Return what the form begins with for a build, or for an environment: its active build, or the newest if none is.

    It is the beginning of something new for who may not change that.
    """
    found = None if build_id is None else builds.get_build(session, identity, build_id, data=data)
    place = (found.namespace, found.environment) if found else where or ("", "")
    environment = environments.get_environment(session, identity, *place, data=data)
    latest, active = environment.latest_build_id or 0, environment.current_build_id
    if found is None and (active or latest):
        found = builds.get_build(session, identity, active or latest, data=data)
    text = source.rename(found.specification.text, environment.name) if found else ""
    if not rights.may_on_environment(session, identity, Permission.ENVIRONMENT_UPDATE, *place):
        return Form(text=text, name=name_without(text, environment.name), latest=0)
    began = Beginning(build_id=found.id, active=active) if found else None
    return Form(text=text, namespace=place[0], name=environment.name, is_there=True, latest=latest, began=began)


def name_without(text: str, name: str) -> str:
    """Return the name that has to be given beside a text which has none."""
    return "" if source.has_name(text) else name
