"""What a page was made with, sent with its form: so who has an old page takes nothing back that another has set."""

from __future__ import annotations

import json
from typing import Any

from tornado.web import RequestHandler

from conda_store_hub.core.errors import InvalidRequestError

PREFIX = "seen-"
"""What the name of such a field begins with; what follows is the name of the field that it is about."""


def write(value: Any) -> str:
    """Return a value as its hidden field holds it: to the letter, whatever browsers do to the ends of lines."""
    return json.dumps(value)


def read(handler: RequestHandler, name: str) -> Any:
    """Return what was seen of a field; raise InvalidRequestError for what no page of ours sends."""
    try:
        return json.loads(handler.get_body_argument(f"{PREFIX}{name}", ""))
    except ValueError as exc:
        raise InvalidRequestError("This form is not as it was made: load its page again.") from exc


def is_sent(handler: RequestHandler, name: str) -> bool:
    """Tell whether a form says what was seen of a field: a script may not."""
    return f"{PREFIX}{name}" in handler.request.body_arguments
