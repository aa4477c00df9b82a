"""What an address names in its path, as values: what cannot be one is not found."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field

from conda_store_hub.core.errors import InvalidNameError, NotFoundError
from conda_store_hub.core.names import (
    ENVIRONMENT_PATTERN,
    MAX_ENVIRONMENT,
    MAX_NAMESPACE,
    NAMESPACE_PATTERN,
    check_environment_name,
    check_namespace_name,
    shorten,
)
from conda_store_hub.core.references import TAG_PATTERN
from conda_store_hub.core.tags import MOST_TAG
from conda_store_hub.web.query import MAX_ID

_ID = re.compile(r"[0-9]{1,10}")

# What a part of a path in braces can be: `{build_id}` in the route table is this everywhere.
PARTS: dict[str, Any] = {
    "build_id": Annotated[int, Field(ge=0, le=MAX_ID, description="The number of a build.")],
    "other_id": Annotated[int, Field(ge=0, le=MAX_ID, description="The number of another build.")],
    "member_id": Annotated[int, Field(ge=0, le=MAX_ID, description="The number of a member.")],
    "token_id": Annotated[int, Field(ge=0, le=MAX_ID, description="The number of a token.")],
    "namespace": Annotated[
        str,
        Field(max_length=MAX_NAMESPACE, pattern=f"^{NAMESPACE_PATTERN}$", description="The name of a namespace."),
    ],
    "tag": Annotated[str, Field(max_length=MOST_TAG, pattern=f"^{TAG_PATTERN}$", description="A tag of a build.")],
    "package": Annotated[
        str, Field(max_length=200, pattern="^[A-Za-z0-9_.-]+$", description="The name of a conda package.")
    ],
    "name": Annotated[
        str,
        Field(max_length=MAX_ENVIRONMENT, pattern=f"^{ENVIRONMENT_PATTERN}$", description="An environment's name."),
    ],
}


def read_id(text: str) -> int:
    """Return a build's number from a path."""
    return _read_number(text, "build")


def read_member(text: str) -> int:
    """Return a member's number from a path."""
    return _read_number(text, "member")


def read_token(text: str) -> int:
    """Return a token's number from a path."""
    return _read_number(text, "token")


def _read_number(text: str, what: str) -> int:
    if not _ID.fullmatch(text) or int(text) > MAX_ID:
        raise NotFoundError(f"There is no {what} “{shorten(text)}”.")
    return int(text)


def read_namespace(namespace: str) -> str:
    """Return a namespace's name from a path."""
    try:
        return check_namespace_name(namespace)
    except InvalidNameError as exc:
        raise NotFoundError(f"There is no namespace “{shorten(namespace)}”, or you may not see it.") from exc


def read_names(namespace: str, environment: str) -> tuple[str, str]:
    """Return a namespace's and an environment's name from a path."""
    try:
        return check_namespace_name(namespace), check_environment_name(environment)
    except InvalidNameError as exc:
        raise NotFoundError(
            f"There is no environment “{shorten(namespace)}/{shorten(environment)}”, or you may not see it."
        ) from exc


def read_place(*names: str) -> tuple[str, ...]:
    """Return the names of a namespace, or of an environment in it, from a path; none where there are none."""
    return read_names(*names) if len(names) > 1 else tuple(map(read_namespace, names))
