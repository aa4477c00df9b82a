"""`/environment/NAMESPACE/NAME/changes/`: what one of its builds has that another has not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import ConflictError, InvalidRequestError, NotFoundError
from conda_store_hub.core.names import DataDirectory, shorten
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.services import builds, comparisons, environments
from conda_store_hub.web import arguments
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.query import MAX_SIZE, Id, Query


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangesContext(Context):
    """Two builds of an environment compared; without `diff` there is no other one.

    `previous` is the completed build before it, `others` are those that can be chosen, the newest first.
    """

    template: ClassVar[str] = "changes.html"
    namespace: str
    name: str
    build_id: int
    other_id: int | None
    previous: int | None
    others: tuple[int, ...]
    diff: schemas.PackageDiff | None
    specification_changed: bool


class ChangesQuery(Query):
    """Which builds are compared; without `other`, with the completed one before."""

    build: Id | None = None
    other: Id | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _ChangesView:
    environment: schemas.Environment
    build_id: int
    other_id: int | None
    previous: int | None
    others: tuple[int, ...]
    diff: schemas.PackageDiff | None
    specification_changed: bool


def _read_changes(
    session: Session, identity: Identity, where: tuple[str, str], query: ChangesQuery, data: DataDirectory
) -> _ChangesView:
    environment = environments.get_environment(session, identity, *where, data=data)
    build = _require_completed(session, identity, environment, _require_number(query.build), data)
    previous = next(iter(_list_completed(session, identity, environment.id, size=1, before=build.id)), None)
    listed = _list_completed(session, identity, environment.id, size=MAX_SIZE)
    chosen = previous if query.other is None else query.other
    other = None if chosen is None else _require_completed(session, identity, environment, chosen, data)
    known = {*listed, *(number for number in (previous, chosen) if number is not None)}
    return _ChangesView(
        environment=environment,
        build_id=build.id,
        other_id=chosen,
        previous=previous,
        others=tuple(sorted(known - {build.id}, reverse=True)),
        diff=None if chosen is None else comparisons.compare(session, identity, build.id, chosen),
        specification_changed=other is not None and other.specification_id != build.specification_id,
    )


def _list_completed(
    session: Session, identity: Identity, environment_id: int, *, size: int, before: int | None = None
) -> list[int]:
    """Return the numbers of completed builds, the newest first."""
    rows, _ = builds.list_builds(
        session,
        identity,
        page=1,
        size=size,
        after=before,
        environment_id=environment_id,
        status=BuildStatus.COMPLETED,
    )
    return [row.id for row in rows]


def _require_number(number: int | None) -> int:
    if number is None:
        raise InvalidRequestError("Say which build: `?build=` and its number.")
    return number


def _require_completed(
    session: Session, identity: Identity, environment: schemas.Environment, number: int, data: DataDirectory
) -> schemas.Build:
    build = builds.get_build(session, identity, number, data=data)
    if build.environment_id != environment.id:
        raise NotFoundError(f"The environment “{shorten(environment.name)}” has no build {number}.")
    if build.status is not BuildStatus.COMPLETED:
        raise ConflictError(f"Build {number} is {build.status}: only what is completed has packages to compare.")
    return build


class ChangesHandler(PageHandler):
    """`/environment/NAMESPACE/NAME/changes/`."""

    help = "pages/#environment"

    shareable = True

    async def get(self, namespace: str, name: str) -> None:
        """Show what changed."""
        where = arguments.read_names(namespace, name)
        view = await self.look_up(_read_changes, where, self.read_query(ChangesQuery), self.services.data)
        self.show(
            ChangesContext(
                layout=self.lay_out(f"What changed in build {view.build_id}"),
                namespace=view.environment.namespace.name,
                name=view.environment.name,
                build_id=view.build_id,
                other_id=view.other_id,
                previous=view.previous,
                others=view.others,
                diff=view.diff,
                specification_changed=view.specification_changed,
            )
        )
