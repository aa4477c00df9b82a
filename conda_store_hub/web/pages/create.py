"""The form that makes an environment, or a new build of one: what was typed is never lost."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import (
    CondaStoreHubError,
    EditConflictError,
    InvalidSpecificationError,
    NotFoundError,
    SolveError,
    UnavailableError,
)
from conda_store_hub.core.lines import split_lines
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.permissions import Identity
from conda_store_hub.services import builds, environments, namespaces
from conda_store_hub.web import arguments, files
from conda_store_hub.web.base import MAX_LOCK_BODY
from conda_store_hub.web.conflicts import Conflict, compare_texts
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.following import Following
from conda_store_hub.web.held import Held
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages.beginning import Form, begin, name_without
from conda_store_hub.web.previews import Preview, PreviewState, describe_held, make_preview
from conda_store_hub.web.query import MAX_NUMBER, Number, Query, Text
from conda_store_hub.web.submission import (
    find_place,
    hold_solve,
    name_asker,
    read_submission,
    submit_specification,
)

COMPOSER = "built/create.js"
"""What shows the text as lists; it is built with the extension of JupyterLab, and the form does without it."""

_PREVIEWS = {"preview": True, "look": False, "follow": True, "resume": False}
"""Whether each begins a preview that has ended anew; the last two are a script's, which looks after it by itself."""
_BY_SCRIPT = ("follow", "resume")

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
class Choices:
    """The namespaces to choose from; `other` is the one that the form has, where it is not among them.

    Nothing is built elsewhere because a list is short: `may_write` says whether the other one can be written to.
    """

    namespaces: tuple[schemas.Namespace, ...] = ()
    other: str = ""
    may_write: bool = False

    @property
    def are_cut(self) -> bool:
        """Whether there may be more than are listed."""
        return len(self.namespaces) >= namespaces.MOST_SHOWN


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateContext(Context):
    """The form for a specification, with what was typed, what is wrong with it, and what would come of it."""

    template: ClassVar[str] = "create.html"
    choices: Choices
    form: Form
    is_given_back: bool
    """Whether it shows what was sent, and not what one begins with."""
    error: CondaStoreHubError | None
    conflict: Conflict | None
    preview: Preview | None
    awaited: PreviewState | None
    """How a preview stands that goes on, for who has no script that asks."""
    composer: str
    """The address of the script that composes; empty where it was not built."""

    @property
    def has_nowhere(self) -> bool:
        """Whether it is known that there is no namespace that who looks may make environments in."""
        known = bool(self.layout.user) and not _is_away(self.error)
        return known and not self.form.is_there and not self.choices.namespaces

    @property
    def line(self) -> str:
        """The line of the text that the error is about."""
        lines = split_lines(self.form.text)
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
    """What the form begins with: the active build of `environment` (`NAMESPACE/NAME`), or `build`.

    `anew`: as something new, not as a change of the environment that it is of.
    """

    build: Number | None = None
    environment: Text | None = None
    namespace: Text | None = None
    anew: bool = False


def _list_choices(session: Session, identity: Identity, namespace: str) -> Choices:
    """Return where one may make environments, with the namespace that the form has already."""
    writable = tuple(namespaces.list_writable(session, identity))
    if not namespace or namespace in {row.name for row in writable}:
        return Choices(namespaces=writable)
    may_write = namespaces.may_write(session, identity, namespace)
    return Choices(namespaces=writable, other=namespace, may_write=may_write)


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

    deed = "Build an environment"
    asks_anew_for = frozenset()
    help = "pages/#create"

    max_body = MAX_LOCK_BODY

    async def give_back(self, error: CondaStoreHubError) -> None:
        """Show what was typed when it could not be taken: the session had ended, or the service was away."""
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
        form = await self.services.db.read(begin, self.identity, query.build, where, self.services.data)
        if query.anew:
            form = replace(form, name=name_without(form.text, form.name), is_there=False, latest=0, began=None)
        await self._show_form(form)

    async def post(self) -> None:
        """Build what was typed, or try it (`action` is one of `_PREVIEWS`); or show it again with what is wrong."""
        form = self._read_form()
        await self.take_form(self._act(form), lambda exc: self._show_refused(form, exc))

    async def _show_refused(self, form: Form, error: CondaStoreHubError) -> None:
        conflict = await self._find_conflict(form) if isinstance(error, EditConflictError) else None
        await self._show_form(form, error=error, conflict=conflict, is_given_back=True)

    async def _act(self, form: Form) -> str | None:
        """Do what was asked for; return the address of the build that it began, None when the page was shown again."""
        self._read_file()
        action = self.get_body_argument("action", "build")
        if given_up := self.get_body_argument("give_up", ""):
            self.services.held.give_up(name_asker(self.identity), given_up)
            await self._show_form(form, is_given_back=True)
        elif action == "load":
            await self._show_form(form, is_given_back=True)
        elif action in _PREVIEWS:
            await self._preview(form, action)
        else:
            anyway = _read_number(self.get_body_argument("anyway", ""))
            latest = form.latest if anyway is None else anyway
            request = schemas.SubmitSpecification(**dict(form.describe()), latest_build_id=latest)
            build_id = await submit_specification(self.services, self.identity, request, log=self.log)
            return f"build/{build_id}/"
        return None

    async def _preview(self, form: Form, action: str) -> None:
        """Show what would be built, or say how that stands if it takes long: it goes on, and is asked for again."""
        request = schemas.SolveSpecification(**dict(form.describe()))
        services, identity = self.services, self.identity
        solved = await self.follow(hold_solve(services, identity, request, anew=_PREVIEWS[action], log=self.log))
        if isinstance(solved, Held):
            await self._show_awaited(form, describe_held(solved, services.solver), action)
            return
        preview = make_preview(solved, has_pip=await self._has_pip(form))
        await self._show_form(form, preview=preview, is_given_back=True)

    async def _show_awaited(self, form: Form, state: PreviewState, action: str) -> None:
        if action in _BY_SCRIPT:
            self.set_status(202)
            self.write_model(state)
        else:
            await self._show_form(form, awaited=state, is_given_back=True)

    async def _has_pip(self, form: Form) -> bool:
        """Tell whether pip chooses packages beside those of a dry run; of a lock file it chooses none."""
        found = await read_submission(form.describe(), self.services.rules.platform, self.services.reading)
        return bool(found.source.specification.pip) and not found.source.locked

    async def _find_conflict(self, form: Form) -> Conflict | None:
        try:
            where = await find_place(self.services, self.identity, form.describe())
            return await self.services.db.read(_find_conflict, self.identity, where, form, self.services.data)
        except NotFoundError:
            return None  # it was deleted meanwhile: the error says that, and there is nothing to compare

    def _read_form(self) -> Form:
        """Return what was typed; a file that was sent with it takes the place of the text, unless it is none."""
        sent = ""
        with contextlib.suppress(InvalidSpecificationError):
            sent = self._read_file()
        return Form(
            text=sent or self._typed("specification"),
            namespace=self._typed("namespace"),
            name=self._typed("name"),
            is_there=self._typed("is_there") == "1",
            latest=_read_number(self._typed("latest_build_id")),
        )

    def _read_file(self) -> str:
        """Return the text of a file that was sent with the form; raise InvalidSpecificationError for what is none."""
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
        awaited: PreviewState | None = None,
        is_given_back: bool = False,
    ) -> None:
        known = self.identity.authenticated and not _is_away(error)
        choices = await self.services.db.read(_list_choices, self.identity, form.namespace) if known else Choices()
        title = f"Change {form.namespace}/{form.name}" if form.is_there else "New environment"
        self.show(
            CreateContext(
                layout=self.lay_out(title, "" if form.is_there else "create"),
                choices=choices,
                form=form,
                is_given_back=is_given_back,
                error=error,
                conflict=conflict,
                preview=preview,
                awaited=awaited,
                composer=files.url(self.prefix, COMPOSER) if files.is_there(COMPOSER) else "",
            )
        )


def _is_away(error: CondaStoreHubError | None) -> bool:
    """Tell whether the database cannot be asked now."""
    return error is not None and error.status == UnavailableError.status


def _read_number(text: str) -> int | None:
    """Return the number of a build from a field of the form; None for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < len(str(MAX_NUMBER)) else None
