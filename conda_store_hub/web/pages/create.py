"""The form that makes an environment, or a new build of one: what was typed is never lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from conda_store_hub.core import schemas, source
from conda_store_hub.core.errors import CondaStoreHubError, NotAuthenticatedError
from conda_store_hub.services import builds, namespaces
from conda_store_hub.web.base import MAX_LOCK_BODY, SERVER_FAULT
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.query import Number, Query, Text
from conda_store_hub.web.submission import submit_specification

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
class CreateContext(Context):
    """The form for a specification, with what was typed and what is wrong with it."""

    template: ClassVar[str] = "create.html"
    namespaces: tuple[schemas.Namespace, ...]
    namespace: str
    text: str
    name: str
    """What was typed for a text that has none."""
    error: CondaStoreHubError | None

    @property
    def line(self) -> str:
        """The line of the text that the error is about."""
        lines = self.text.splitlines()
        number = self.error.line if self.error else None
        return lines[number - 1] if number and number <= len(lines) else ""


class CreateQuery(Query):
    """What the form begins with."""

    build: Number | None = None
    namespace: Text | None = None


class CreateHandler(PageHandler):
    """`/create/`."""

    help = "pages/#create"

    max_body = MAX_LOCK_BODY

    async def ask_to_log_in(self) -> None:
        """Give back what was typed when the session ended meanwhile, or the page was too old."""
        if self.request.method != "POST":
            await super().ask_to_log_in()
            return
        self.set_status(NotAuthenticatedError.status)
        await self._show_form(
            self._typed("specification"),
            self._typed("namespace"),
            self._typed("name"),
            NotAuthenticatedError(
                "You were logged out, or this page was too old. Nothing is lost: log in in another tab if you have to,"
                " look at what stands below, and submit it again."
            ),
        )

    async def get(self) -> None:
        """Show the form: with an example, or with what another build was made of."""
        query = self.read_query(CreateQuery)
        if query.build is None:
            channels = "\n".join(f"  - {channel}" for channel in self.services.rules.values.default_channels)
            example = _EXAMPLE.format(channels=channels)
            await self._show_form(example, query.namespace or "", "", None)
            return
        found = await self.services.db.read(builds.get_build, self.identity, query.build, data=self.services.data)
        text = found.specification.text
        await self._show_form(text, found.namespace, "" if source.has_name(text) else found.environment, None)

    async def post(self) -> None:
        """Submit what was typed, or show it again with what is wrong."""
        text, namespace, name = (self._typed(field) for field in ("specification", "namespace", "name"))
        try:
            build_id = await self._submit(text, namespace, name)
        except CondaStoreHubError as exc:
            if exc.status >= SERVER_FAULT:
                self.log.warning("a specification could not be taken: %s", exc.detail or exc.message)
            self.set_status(exc.status)
            await self._show_form(text, namespace, name, exc)
            return
        self.redirect(f"{self.prefix}build/{build_id}/", status=303)

    async def _submit(self, text: str, namespace: str, name: str) -> int:
        request = schemas.SubmitSpecification(
            specification=text, namespace=namespace or None, environment_name=name.strip() or None
        )
        return await submit_specification(self.services, self.identity, request, log=self.log)

    def _typed(self, name: str) -> str:
        # Browsers send CRLF.
        return self.get_body_argument(name, "", strip=False).replace("\r\n", "\n")

    async def _show_form(self, text: str, namespace: str, name: str, error: CondaStoreHubError | None) -> None:
        writable = (
            await self.services.db.read(namespaces.list_writable, self.identity) if self.identity.authenticated else []
        )
        self.show(
            CreateContext(
                layout=self.lay_out("New environment", "create"),
                namespaces=tuple(writable),
                namespace=namespace,
                text=text,
                name=name,
                error=error,
            )
        )
