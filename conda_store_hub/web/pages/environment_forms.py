"""Small forms about one environment: another name, a clone of it, its description; what was typed is never lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import CondaStoreHubError, EditConflictError
from conda_store_hub.core.names import MAX_DESCRIPTION, MAX_ENVIRONMENT, DataDirectory, shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.services import environments, namespaces, rebuilds, rights
from conda_store_hub.web import arguments, seen
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.page import PageHandler


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of a form: lines of a text with `rows`, one of `choices`, or else a line."""

    name: str
    label: str
    value: str
    most: int = MAX_ENVIRONMENT
    rows: int = 0
    choices: tuple[str, ...] = ()
    are_cut: bool = False
    """Whether there may be more choices than are listed."""
    seen: str = ""
    """What it showed when the page was made, where that is held against what is there when it is sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FormContext(Context):
    """A form about an environment, with what was typed and what is wrong with it."""

    template: ClassVar[str] = "environment_form.html"
    namespace: str
    name: str
    action: str
    text: str
    fields: tuple[Field, ...]
    button: str
    error: CondaStoreHubError | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _FormView:
    environment: schemas.Environment
    writable: tuple[str, ...]


def _read_form(
    session: Session,
    identity: Identity,
    where: tuple[str, str],
    needs: Permission,
    data: DataDirectory,
    *,
    takes_name: bool,
) -> _FormView:
    """Return what forms begin with; raise for who may not do what they are for."""
    row = rights.require_environment(session, identity, *where, needs)
    if takes_name:
        environments.require_new_name(session, identity, row)
    return _FormView(
        environment=environments.get_environment(session, identity, *where, data=data),
        writable=tuple(row.name for row in namespaces.list_writable(session, identity)),
    )


class FormHandler(PageHandler):
    """A form about an environment: each kind says what it asks for, and what is done with that."""

    asks_anew_for = frozenset()
    help = "pages/#environment"

    needs: ClassVar[Permission]
    takes_name: ClassVar[bool] = False
    """Whether it gives the environment another name, which needs a right in its namespace too."""
    title: ClassVar[str]
    action: ClassVar[str]
    text: ClassVar[str]
    button: ClassVar[str]

    def say_deed(self) -> str:
        """Return its title."""
        return f"{self.title} {'/'.join(map(shorten, self.path_args))}"

    async def give_back(self, error: CondaStoreHubError) -> None:
        """Show the form with what was typed."""
        self._show_form(arguments.read_names(*self.path_args), self.list_fields(None, error), error)

    async def get(self, namespace: str, name: str) -> None:
        """Show the form."""
        where = arguments.read_names(namespace, name)
        self._show_form(where, self.list_fields(await self._look(where), None), None)

    async def post(self, namespace: str, name: str) -> None:
        """Do it, or show the form again with what is wrong."""
        where = arguments.read_names(namespace, name)
        await self.take_form(self.do(where), lambda exc: self._show_refused(where, exc))

    async def _show_refused(self, where: tuple[str, str], error: CondaStoreHubError) -> None:
        self._show_form(where, self.list_fields(await self._look(where), error), error)

    def list_fields(self, view: _FormView | None, error: CondaStoreHubError | None) -> tuple[Field, ...]:
        """Return the fields: with what was typed, else as they begin; nothing is known to who is not logged in.

        `error`: why what was typed cannot be.
        """
        raise NotImplementedError

    async def do(self, where: tuple[str, str]) -> str:
        """Do what was asked for, and return the address to go on at."""
        raise NotImplementedError

    def typed(self, name: str, begin: str = "") -> str:
        """Return what was typed into a field; browsers send CRLF."""
        return self.get_body_argument(name, begin, strip=False).replace("\r\n", "\n")

    async def _look(self, where: tuple[str, str]) -> _FormView:
        return await self.look_up(_read_form, where, self.needs, self.services.data, takes_name=self.takes_name)

    def _show_form(self, where: tuple[str, str], fields: tuple[Field, ...], error: CondaStoreHubError | None) -> None:
        self.show(
            FormContext(
                layout=self.lay_out(f"{self.title} {where[0]}/{where[1]}"),
                namespace=where[0],
                name=where[1],
                action=self.action,
                text=self.text,
                fields=fields,
                button=self.button,
                error=error,
            )
        )


class RenameHandler(FormHandler):
    """`/environment/NAMESPACE/NAME/rename/`."""

    needs = Permission.ENVIRONMENT_UPDATE
    takes_name = True
    title, action, button = "Rename", "rename", "Rename"
    text = "Its builds stay, and nothing is built. Notebooks that know it by its old name still find their kernel."

    def list_fields(self, view: _FormView | None, error: CondaStoreHubError | None) -> tuple[Field, ...]:
        """Ask for a name."""
        return (Field(name="name", label="New name", value=self.typed("name", view.environment.name if view else "")),)

    async def do(self, where: tuple[str, str]) -> str:
        """Rename it."""
        name = self.typed("name").strip()
        await self.services.db.write(environments.rename, self.identity, *where, name)
        return f"environment/{where[0]}/{name}/"


class DescribeHandler(FormHandler):
    """`/environment/NAMESPACE/NAME/description/`."""

    needs = Permission.ENVIRONMENT_UPDATE
    title, action, button = "Description of", "description", "Save"
    text = "What it is for, and for whom. A build whose specification has a description replaces this one."

    def list_fields(self, view: _FormView | None, error: CondaStoreHubError | None) -> tuple[Field, ...]:
        """Ask for a text."""
        begin = view.environment.description if view else ""
        value = self.typed("description", begin)
        is_known = seen.is_sent(self, "description") and not isinstance(error, EditConflictError)
        known = seen.write(seen.read(self, "description") if is_known else begin)
        return (Field(name="description", label="Description", value=value, most=MAX_DESCRIPTION, rows=6, seen=known),)

    async def do(self, where: tuple[str, str]) -> str:
        """Replace it."""
        change = schemas.ActivateBuild(description=self.typed("description").strip())
        known = str(seen.read(self, "description")) if seen.is_sent(self, "description") else None
        await self.services.db.write(environments.update, self.identity, *where, change, seen=known)
        return f"environment/{where[0]}/{where[1]}/"


class CloneHandler(FormHandler):
    """`/environment/NAMESPACE/NAME/clone/`."""

    needs = Permission.ENVIRONMENT_READ
    title, action, button = "Clone", "clone", "Clone"
    text = (
        "The clone has the very packages of the active build, without a new solve."
        " What happens to one later leaves the other as it is."
    )

    def list_fields(self, view: _FormView | None, error: CondaStoreHubError | None) -> tuple[Field, ...]:
        """Ask where to, and for a name."""
        writable = view.writable if view else ()
        namespace = self.typed("namespace", writable[0] if writable else "")
        choices = writable if not namespace or namespace in writable else (*writable, namespace)
        are_cut = len(writable) >= namespaces.MOST_SHOWN
        name = self.typed("name", _suggest_name(view, namespace))
        return (
            Field(name="namespace", label="Into the namespace", value=namespace, choices=choices, are_cut=are_cut),
            Field(name="name", label="Name", value=name),
        )

    async def do(self, where: tuple[str, str]) -> str:
        """Clone it."""
        target = self.typed("namespace"), self.typed("name").strip()
        build_id = await self.services.db.write(rebuilds.clone, self.identity, where, target, self.services.rules)
        return f"build/{build_id}/"


def _suggest_name(view: _FormView | None, namespace: str) -> str:
    """Return the same name, where that can be free."""
    if view is None:
        return ""
    name = view.environment.name
    return f"{name}-copy" if view.environment.namespace.name == namespace else name
