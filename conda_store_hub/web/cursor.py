"""Where a page of conda-store's v2 list ended, as the text that asks for the next one."""

from __future__ import annotations

import base64
import binascii
import json

from pydantic import BaseModel, ConfigDict, ValidationError

from conda_store_hub.core.errors import InvalidRequestError


class _Last(BaseModel):
    model_config = ConfigDict(frozen=True)

    namespace: str
    name: str


class _Cursor(BaseModel):
    model_config = ConfigDict(frozen=True)

    last_id: int
    last_value: _Last


def read_cursor(text: str) -> tuple[str, str]:
    """Return the namespace and environment that the last page ended with."""
    try:
        last = _Cursor.model_validate_json(base64.b64decode(text, altchars=b"-_", validate=True)).last_value
    except (ValidationError, binascii.Error, ValueError) as exc:
        raise InvalidRequestError("`cursor` is none that this service gave.") from exc
    if "\0" in last.namespace + last.name:
        raise InvalidRequestError("`cursor` is none that this service gave.")
    return last.namespace, last.name


def make_cursor(environment_id: int, namespace: str, name: str) -> str:
    """Return the cursor of a page that ends with this environment."""
    content = {"last_id": environment_id, "last_value": {"namespace": namespace, "name": name}}
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
