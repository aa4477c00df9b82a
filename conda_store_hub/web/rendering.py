"""Templates: a context in, HTML out. Everything in a context is escaped."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from conda_store_hub.core.protocol import BuildStatus, Phase
from conda_store_hub.web import files

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from conda_store_hub.web.contexts import Context

_BADGES = {
    BuildStatus.QUEUED: "text-bg-secondary",
    BuildStatus.BUILDING: "text-bg-primary",
    BuildStatus.COMPLETED: "badge-completed",
    BuildStatus.FAILED: "text-bg-danger",
    BuildStatus.CANCELED: "text-bg-warning",
}
_WORDS = {
    BuildStatus.QUEUED: "queued",
    BuildStatus.BUILDING: "building",
    BuildStatus.COMPLETED: "completed",
    BuildStatus.FAILED: "failed",
    BuildStatus.CANCELED: "cancelled",
}
_PHASES = {
    Phase.SOLVE: "Choose packages",
    Phase.INSTALL: "Install packages",
    Phase.BYTECODE: "Compile bytecode",
    Phase.PIP: "Install the pip part",
    Phase.ACTIVATE: "Make it usable",
    Phase.YAML: "Write the pinned YAML",
    Phase.LOCKFILE: "Write the lockfile",
    Phase.EXPLICIT: "Write the explicit list",
    Phase.PIXI_LOCK: "Write pixi.lock",
    Phase.SBOM: "Write the SBOM",
    Phase.ARCHIVE: "Pack the archive",
    Phase.IMAGE: "Make the image",
    Phase.IMAGE_ARCHIVE: "Pack the image",
}
#: An address in a text: what ends a sentence, or stands around it, is not of it.
_ADDRESS = re.compile(r"""(https?://[^\s<>"'()]*[^\s<>"'().,:;!?])""")
_UNIT = 1000
_UNITS = ("kB", "MB", "GB", "TB")
_LONGEST_TEXT = 100_000
_MINUTE = _HOUR = 60
_DAY = 24


def render(context: Context) -> str:
    """Return the HTML of a page."""
    return _environment().get_template(context.template).render(page=context)


def render_part(template: str, **values: Any) -> str:
    """Return the HTML of a part of a page, to be kept and put into many."""
    return _environment().get_template(template).render(**values)


def load_templates() -> None:
    """Compile all templates, which takes a second on a small machine, so that no page has to wait for it."""
    environment = _environment()
    for name in environment.list_templates(extensions=("html",)):
        environment.get_template(name)


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape  # not needed to be up

    environment = Environment(
        loader=FileSystemLoader(files.TEMPLATES),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Any] = {
        "badge": _BADGES.__getitem__,
        "word": _WORDS.__getitem__,
        "phase": _PHASES.__getitem__,
        "size": show_size,
        "span": show_seconds,
        "prose": show_prose,
        "count": show_count,
        "linked": show_links,
        "beginning": cut_text,
    }
    names: dict[str, Any] = {
        "static": files.url,
        "stamp": show_time,
        "seconds_between": seconds_between,
        "phase_words": _PHASES,
    }
    environment.filters.update(filters)
    environment.globals.update(names)
    return environment


def show_prose(text: str) -> Markup:
    """Return a text as HTML, with what stands between backticks as code."""
    from markupsafe import Markup, escape  # jinja2's

    pieces = enumerate(text.split("`"))
    return Markup().join(Markup("<code>{}</code>").format(piece) if at % 2 else escape(piece) for at, piece in pieces)


def cut_text(text: str) -> str:
    """Return the first lines of a long text, as much as a page has of it; all of one that is not long."""
    if len(text) <= _LONGEST_TEXT:
        return text
    return text[: text.rfind("\n", 0, _LONGEST_TEXT) + 1 or _LONGEST_TEXT]


def show_links(text: str) -> Markup:
    """Return a text as HTML, with the web addresses in it as links; everything else is as it was typed."""
    from markupsafe import Markup, escape  # jinja2's

    link = Markup('<a class="alert-link" href="{0}">{0}</a>')
    pieces = enumerate(_ADDRESS.split(text))
    return Markup().join(link.format(piece) if at % 2 else escape(piece) for at, piece in pieces)


def show_size(size: int) -> str:
    """Return a number of bytes as people read it: `12.3 MB`."""
    if size < _UNIT:
        return f"{size} bytes"
    amount = size / _UNIT
    for unit in _UNITS[:-1]:
        if round(amount, 1) < _UNIT:  # what comes to 1000.0 of a unit is 1.0 of the next one
            return f"{amount:.1f} {unit}"
        amount /= _UNIT
    return f"{amount:.1f} {_UNITS[-1]}"


def show_count(number: int, one: str, many: str = "") -> str:
    """Return how many there are of something: `1 build`, `2,000 builds`."""
    return f"1 {one}" if number == 1 else f"{number:,} {many or one + 's'}"


def show_seconds(seconds: float) -> str:
    """Return how long something took: `3.2 s`, `4 min 05 s`, `2 h 00 min`, `3 d 04 h`."""
    if round(seconds, 1) < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes_left = divmod(minutes, _HOUR)
    days, hours_left = divmod(hours, _DAY)
    if days:
        return f"{days} d {hours_left:02} h"
    return f"{hours} h {minutes_left:02} min" if hours else f"{minutes} min {rest:02} s"


def show_time(when: datetime) -> str:
    """Return a time in UTC for who has no JavaScript that makes it local."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def seconds_between(start: datetime, end: datetime) -> float:
    """Return how many seconds lie between two times."""
    return (end - start).total_seconds()
