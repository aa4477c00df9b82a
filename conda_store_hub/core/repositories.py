"""Repositories: how a registry calls the place of an environment's images."""

from __future__ import annotations

import re
from dataclasses import dataclass

from conda_store_hub.core.errors import InvalidNameError, UnknownRepositoryError
from conda_store_hub.core.names import ENVIRONMENT_PATTERN, NAMESPACE_PATTERN, shorten
from conda_store_hub.core.ondemand import NAMESPACE, Wish, is_name_of_environment

_MOST_NAME = 255
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY_PATTERN = rf"{_COMPONENT}(?:/{_COMPONENT})*"
"""What a repository may be called (distribution specification, "Pulling manifests")."""
_REPOSITORY = re.compile(REPOSITORY_PATTERN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """Where a registry has the images of an environment, in lower case."""

    namespace: str
    environment: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.environment}"

    @classmethod
    def parse(cls, text: str) -> Repository:
        """Read the name of a repository (distribution specification, "Pulling manifests").

        Raises InvalidNameError for what is no name of one, and UnknownRepositoryError for one that can be nobody's.
        """
        _check_name(text)
        namespace, _, environment = text.partition("/")
        if not re.fullmatch(NAMESPACE_PATTERN, namespace) or not re.fullmatch(ENVIRONMENT_PATTERN, environment):
            raise UnknownRepositoryError(f"There is no repository “{shorten(text)}”: one is NAMESPACE/ENVIRONMENT.")
        return cls(namespace=namespace, environment=environment)


def read_name(text: str) -> Repository | Wish:
    """Read the name of a repository, which may be a wish for one; raise as `Repository.parse` does."""
    _check_name(text)
    namespace, _, rest = text.partition("/")
    if namespace == NAMESPACE and rest and not is_name_of_environment(rest):
        return Wish.parse(rest)
    return Repository.parse(text)


def _check_name(text: str) -> None:
    if len(text) > _MOST_NAME or not _REPOSITORY.fullmatch(text):
        raise InvalidNameError(
            f"The name of a repository has at most {_MOST_NAME} characters: lower-case letters and digits, with"
            " separators between them."
        )
