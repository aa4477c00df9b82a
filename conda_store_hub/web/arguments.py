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

_ID = re.compile(r"[0-9]{1,18}")

# What a part of a path in braces can be: `{build_id}` in the route table is this everywhere.
PARTS: dict[str, Any] = {
    "build_id": Annotated[int, Field(ge=0, le=10**18 - 1, description="The number of a build.")],
    "namespace": Annotated[
        str,
        Field(max_length=MAX_NAMESPACE, pattern=f"^{NAMESPACE_PATTERN}$", description="The name of a namespace."),
    ],
    "name": Annotated[
        str,
        Field(max_length=MAX_ENVIRONMENT, pattern=f"^{ENVIRONMENT_PATTERN}$", description="An environment's name."),
    ],
}


def read_id(text: str) -> int:
    """Return a build's id from a path."""
    if not _ID.fullmatch(text):
        raise NotFoundError(f"There is no build “{shorten(text)}”.")
    return int(text)


def read_names(namespace: str, environment: str) -> tuple[str, str]:
    """Return a namespace's and an environment's name from a path."""
    try:
        return check_namespace_name(namespace), check_environment_name(environment)
    except InvalidNameError as exc:
        raise NotFoundError(
            f"There is no environment “{shorten(namespace)}/{shorten(environment)}”, or you may not see it."
        ) from exc
