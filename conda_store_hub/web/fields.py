"""The fields of our forms: what they are called where a form is shown outside of its page, and what all must say."""

from __future__ import annotations

from tornado.web import RequestHandler

from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.web import seen
from conda_store_hub.web.contexts import ShownField

_LABELS = {
    "action": "What to do",
    "artifact_type": "File",
    "build_id": "Build",
    "description": "Description",
    "end": "Ends",
    "label": "Label",
    "level": "Kind",
    "message": "Message",
    "name": "Name",
    "namespace": "Namespace",
    "role": "Role",
    "specification": "environment.yaml",
    "subject": "Who",
    "tag": "Tag",
    "until": "Until",
}
#: What no person typed: marks of a form, and what its page was made with.
_HIDDEN = frozenset({"answer", "anyway", "force", "from", "is_there", "latest_build_id", "mark", "move"})


def list_typed(handler: RequestHandler) -> tuple[tuple[str, str], ...]:
    """Return all that was sent with a form, but the token."""
    names = (name for name in handler.request.body_arguments if name != "_xsrf")
    return tuple((name, text) for name in names for text in handler.get_body_arguments(name, strip=False))


def show_fields(fields: tuple[tuple[str, str], ...]) -> tuple[ShownField, ...]:
    """Return what somebody has typed or chosen; what a policy sets is called by its key, as on its page."""
    return tuple(
        ShownField(name=name, label=_LABELS.get(name, ""), value=value)
        for name, value in fields
        if name not in _HIDDEN and not name.startswith(seen.PREFIX) and value
    )


def require_action(handler: RequestHandler) -> str:
    """Return what a form asks for; raise InvalidRequestError where it does not say."""
    action = handler.get_body_argument("action", "")
    if not action:
        raise InvalidRequestError("The form does not say what is to be done: load the page again.")
    return action
