"""The form that makes an environment, or a new build of one: what was typed is never lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas, source
from conda_store_hub.core.errors import (
    CondaStoreHubError,
    EditConflictError,
    InvalidSpecificationError,
    NotAuthenticatedError,
    NotFoundError,
    SolveError,
)
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.services import builds, environments, namespaces, rights
from conda_store_hub.web import arguments, files
from conda_store_hub.web.base import MAX_LOCK_BODY, SERVER_FAULT
from conda_store_hub.web.conflicts import Conflict, compare_texts
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.following import Following
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.previews import Preview, make_preview
from conda_store_hub.web.query import MAX_NUMBER, Number, Query, Text
from conda_store_hub.web.submission import find_place, solve_specification, submit_specification

COMPOSER = "built/create.js"
"""What shows the text as lists; it is built with the extension of JupyterLab, and the form does without it."""

_EXAMPLE = """\
name: my-environment
channels:
{channels}
dependencies:
  - python
  - ipykernel
  - pandas
"""


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

    def describe(self) -> schemas.ReadSpecification:
        """Return it as the API takes it."""
        return schemas.ReadSpecification(
            specification=self.text, namespace=self.namespace or None, environment_name=self.name.strip() or None
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateContext(Context):
    """The form for a specification, with what was typed, what is wrong with it, and what would come of it."""

    template: ClassVar[str] = "create.html"
    namespaces: tuple[schemas.Namespace, ...]
    form: Form
    is_given_back: bool
    """Whether it shows what was sent, and not what one begins with."""
    error: CondaStoreHubError | None
    conflict: Conflict | None
    preview: Preview | None
    composer: str
    """The address of the script that composes; empty where it was not built."""

    @property
    def line(self) -> str:
        """The line of the text that the error is about."""
        lines = self.form.text.splitlines()
        number = self.error.line if self.error else None
        return lines[number - 1] if number and number <= len(lines) else ""

    @property
    def solver_says(self) -> str:
        """Why nothing fits together, in the solver's own words."""
        return (self.error.detail or "") if isinstance(self.error, SolveError) else ""

    @property
    def draft(self) -> str:
        """What a browser keeps the draft under: one for each person and environment; empty for nobody."""
        target = f"{self.form.namespace}/{self.form.name}" if self.form.is_there else "new"
        return f"{self.layout.user}:{target}" if self.layout.user else ""


class CreateQuery(Query):
    """What the form begins with: the newest build of `environment` (`NAMESPACE/NAME`), or `build`.

    `anew`: as something new, not as a change of the environment that it is of.
    """

    build: Number | None = None
    environment: Text | None = None
    namespace: Text | None = None
    anew: bool = False


def _begin(
    session: Session, identity: Identity, build_id: int | None, where: tuple[str, str] | None, data: DataDirectory
) -> Form:
    """Return what the form begins with for a build or an environment; as something new for who may not change that."""
    found = None if build_id is None else builds.get_build(session, identity, build_id, data=data)
    place = (found.namespace, found.environment) if found else where or ("", "")
    environment = environments.get_environment(session, identity, *place, data=data)
    latest = environment.latest_build_id or 0
    if found is None and latest:
        found = builds.get_build(session, identity, latest, data=data)
    text = source.rename(found.specification.text, environment.name) if found else ""
    if not rights.may_on_environment(session, identity, Permission.ENVIRONMENT_UPDATE, *place):
        return Form(text=text, name=_name_without(text, environment.name), latest=0)
    return Form(text=text, namespace=place[0], name=environment.name, is_there=True, latest=latest)


def _name_without(text: str, name: str) -> str:
    """Return the name that has to be given beside a text which has none."""
    return "" if source.has_name(text) else name


def _find_conflict(
    session: Session, identity: Identity, where: tuple[str, str], form: Form, data: DataDirectory
) -> Conflict | None:
    """Return what somebody else did meanwhile; None where nothing of it is there any more."""
    newest = environments.get_environment(session, identity, *where, data=data).latest_build_id
    if newest is None:
        return None
    theirs = builds.get_build(session, identity, newest, data=data).specification.text
    if form.latest:
        before, after = builds.get_build(session, identity, form.latest, data=data).specification.text, theirs
    else:
        before, after = theirs, form.text
    return Conflict(place="/".join(where), newest=newest, began=form.latest or 0, lines=compare_texts(before, after))


class CreateHandler(Following, PageHandler):
    """`/create/`."""

    asks_anew_for = frozenset()
    help = "pages/#create"

    max_body = MAX_LOCK_BODY

    async def give_back(self, error: NotAuthenticatedError) -> None:
        """Show what was typed when the session ended meanwhile, or the page was too old."""
        await self._show_form(self._read_form(), error=error, is_given_back=True)

    async def get(self) -> None:
        """Show the form: with an example, or with what another build was made of."""
        query = self.read_query(CreateQuery)
        if query.build is None and query.environment is None:
            channels = "\n".join(f"  - {channel}" for channel in self.services.rules.values.default_channels)
            example = _EXAMPLE.format(channels=channels)
            await self._show_form(Form(text=example, namespace=query.namespace or "", latest=0))
            return
        where = None
        if query.build is None:
            namespace, _, name = (query.environment or "").partition("/")
            where = arguments.read_names(namespace, name)
        form = await self.services.db.read(_begin, self.identity, query.build, where, self.services.data)
        if query.anew:
            form = replace(form, name=_name_without(form.text, form.name), is_there=False, latest=0)
        await self._show_form(form)

    async def post(self) -> None:
        """Build what was typed, or try it (`action` is `preview`); or show it again with what is wrong."""
        form = self._read_form()
        try:
            form = replace(form, text=self._read_file() or form.text)
            await self._act(form)
        except CondaStoreHubError as exc:
            if exc.status >= SERVER_FAULT:
                self.log.warning("a specification could not be taken: %s", exc.detail or exc.message)
            self.set_status(exc.status)
            conflict = await self._find_conflict(form) if isinstance(exc, EditConflictError) else None
            await self._show_form(form, error=exc, conflict=conflict, is_given_back=True)

    async def _act(self, form: Form) -> None:
        action = self.get_body_argument("action", "build")
        if action == "load":
            await self._show_form(form, is_given_back=True)
        elif action == "preview":
            request = schemas.SolveSpecification(**dict(form.describe()))
            solved = await self.follow(solve_specification(self.services, self.identity, request, log=self.log))
            await self._show_form(form, preview=make_preview(solved), is_given_back=True)
        else:
            anyway = _read_number(self.get_body_argument("anyway", ""))
            latest = form.latest if anyway is None else anyway
            request = schemas.SubmitSpecification(**dict(form.describe()), latest_build_id=latest)
            build_id = await submit_specification(self.services, self.identity, request, log=self.log)
            self.redirect(f"{self.prefix}build/{build_id}/", status=303)

    async def _find_conflict(self, form: Form) -> Conflict | None:
        try:
            where = await find_place(self.services, self.identity, form.describe())
            return await self.services.db.read(_find_conflict, self.identity, where, form, self.services.data)
        except NotFoundError:
            return None  # it was deleted meanwhile: the error says that, and there is nothing to compare

    def _read_form(self) -> Form:
        return Form(
            text=self._typed("specification"),
            namespace=self._typed("namespace"),
            name=self._typed("name"),
            is_there=self._typed("is_there") == "1",
            latest=_read_number(self._typed("latest_build_id")),
        )

    def _read_file(self) -> str:
        """Return the text of a file that was sent with the form."""
        sent = self.request.files.get("file", [])
        try:
            return "".join(file.body.decode("utf-8-sig") for file in sent).replace("\r\n", "\n")
        except UnicodeDecodeError as exc:
            raise InvalidSpecificationError("That file is no text in UTF-8.") from exc

    def _typed(self, name: str) -> str:
        # Browsers send CRLF.
        return self.get_body_argument(name, "", strip=False).replace("\r\n", "\n")

    async def _show_form(
        self,
        form: Form,
        *,
        error: CondaStoreHubError | None = None,
        conflict: Conflict | None = None,
        preview: Preview | None = None,
        is_given_back: bool = False,
    ) -> None:
        known = self.identity.authenticated
        writable = await self.services.db.read(namespaces.list_writable, self.identity) if known else []
        title = f"Change {form.namespace}/{form.name}" if form.is_there else "New environment"
        self.show(
            CreateContext(
                layout=self.lay_out(title, "" if form.is_there else "create"),
                namespaces=tuple(writable),
                form=form,
                is_given_back=is_given_back,
                error=error,
                conflict=conflict,
                preview=preview,
                composer=files.url(self.prefix, COMPOSER) if files.is_there(COMPOSER) else "",
            )
        )


def _read_number(text: str) -> int | None:
    """Return the number of a build from a field of the form; None for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < len(str(MAX_NUMBER)) else None
