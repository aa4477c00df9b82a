"""The user guide: Markdown files that come with the package, as pages."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from conda_store_hub.core.errors import NotFoundError
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.page import PageHandler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererProtocol
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

# In an installed package the guide lies in the package; in a checkout it is where people look for it.
_PLACES = (Path(__file__).parents[1] / "guide", Path(__file__).parents[3] / "docs" / "guide")
_FIRST = "index"
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_NAME = re.compile(r"[a-z0-9-]{1,40}")
_LINK = re.compile(r"([a-z0-9-]+)(?:\.md|/)(#.*)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class GuideEntry:
    """A page of the guide in its table of contents."""

    name: str
    title: str


_REFERENCE = GuideEntry(name="api", title="REST API")


@dataclass(frozen=True, kw_only=True, slots=True)
class GuideContext(Context):
    """A page of the user guide; `html` was made from our own Markdown, or from the table of the API."""

    template: ClassVar[str] = "docs.html"
    entries: tuple[GuideEntry, ...]
    name: str
    html: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GuidePage:
    """A page of the guide as HTML."""

    name: str
    title: str
    html: str


@functools.cache
def load_guide(address: str) -> dict[str, GuidePage]:
    """Return the pages by name, in the order of the links on the first one; `address` is where that one is."""
    place = next((place for place in _PLACES if (place / f"{_FIRST}.md").is_file()), None)
    texts = {file.stem: file.read_text() for file in sorted(place.glob("*.md"))} if place else {}
    linked = [_FIRST, *re.findall(r"\(([a-z0-9-]+)\.md[)#]", texts.get(_FIRST, ""))]
    markdown = _make_markdown(address)
    return {name: _make_page(name, texts[name], markdown) for name in dict.fromkeys([*linked, *texts]) if name in texts}


def _make_page(name: str, text: str, markdown: MarkdownIt) -> GuidePage:
    title = _TITLE.search(text)
    return GuidePage(name=name, title=title[1] if title else name, html=_open_code(markdown.render(text)))


def _open_code(html: str) -> str:
    """Let code that is wider than the window be scrolled by keys; what stands in the code is escaped."""
    return html.replace("<pre>", '<pre tabindex="0">')


def _make_markdown(address: str) -> MarkdownIt:
    from markdown_it import MarkdownIt  # for one page of many

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")

    def open_link(
        renderer: RendererProtocol, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Turn a link to another file, or to another page as `api/`, into one that leads there from every page."""
        target = str(tokens[index].attrGet("href"))
        page = _LINK.fullmatch(target)
        if page:
            name = "" if page[1] == _FIRST else f"{page[1]}/"
            tokens[index].attrSet("href", f"{address}{name}{page[2] or ''}")
        return renderer.renderToken(tokens, index, options, env)  # type: ignore[attr-defined]

    def open_table(
        renderer: RendererProtocol, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Give a table the Hub's look."""
        tokens[index].attrSet("class", "table")
        return renderer.renderToken(tokens, index, options, env)  # type: ignore[attr-defined]

    def open_heading(
        renderer: RendererProtocol, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Give a heading the name that links to it have: `#a-heading`, as where the files are read elsewhere."""
        words = re.sub(r"[^\w\s-]", "", tokens[index + 1].content.lower())
        tokens[index].attrSet("id", re.sub(r"\s", "-", words))
        return renderer.renderToken(tokens, index, options, env)  # type: ignore[attr-defined]

    markdown.add_render_rule("heading_open", open_heading)
    markdown.add_render_rule("link_open", open_link)
    markdown.add_render_rule("table_open", open_table)
    return markdown


class DocumentationHandler(PageHandler):
    """A page of the documentation; for everybody who can reach the Hub, also before the service is ready."""

    async def prepare(self) -> None:
        """Show who is logged in if that can be known; the documentation is no secret."""
        await self.recognise()

    def load_pages(self) -> dict[str, GuidePage]:
        """Return the pages of the guide by name."""
        return load_guide(f"{self.prefix}docs/")

    def list_entries(self) -> tuple[GuideEntry, ...]:
        """Return the table of contents: the guide, and the reference of the API."""
        pages = self.load_pages().values()
        return (*(GuideEntry(name=page.name, title=page.title) for page in pages), _REFERENCE)


class GuideHandler(DocumentationHandler):
    """`/docs/` and `/docs/NAME/`."""

    async def get(self, name: str | None = None) -> None:
        """Show a page of the guide."""
        page = self.load_pages().get(name or _FIRST)
        if page is None or (name and not _NAME.fullmatch(name)):
            raise NotFoundError("The guide has no such page.")
        self.show(
            GuideContext(
                layout=self.lay_out(page.title, "docs"), entries=self.list_entries(), name=page.name, html=page.html
            )
        )
