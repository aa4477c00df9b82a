"""How people name environments and builds on the command line, and which ones they mean.

A name without a namespace is one in one's own: what others share never stands in for it.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conda_store_hub.core.errors import ConflictError, InvalidRequestError, NotFoundError
from conda_store_hub.core.names import check_environment_name, check_namespace_name, shorten

if TYPE_CHECKING:
    from conda_store_hub.client.api import Client
    from conda_store_hub.core.schemas import Build, Environment

_NUMBER = re.compile(r"[0-9]{1,18}")
_MOST_NAMESAKES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """An environment, a build, or both, as somebody named them; without a namespace, in one's own."""

    namespace: str | None = None
    name: str | None = None
    build_id: int | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read `12`, `NAME`, `NAMESPACE/NAME` or one of these with `:BUILD`; raise InvalidRequestError in words."""
        if _NUMBER.fullmatch(text):
            return cls(build_id=int(text))
        place, colon, build = text.partition(":")
        namespace, slash, name = place.rpartition("/")
        if (colon and not _NUMBER.fullmatch(build)) or (slash and not namespace):
            raise InvalidRequestError(
                f"“{shorten(text)}” names no environment and no build: those are NAMESPACE/NAME, NAME, the number of a"
                " build, or NAMESPACE/NAME:BUILD."
            )
        return cls(
            namespace=check_namespace_name(namespace) if slash else None,
            name=check_environment_name(name),
            build_id=int(build) if colon else None,
        )

    @classmethod
    def parse_environment(cls, text: str) -> Reference:
        """Read `NAME` or `NAMESPACE/NAME`, where only an environment can be meant: a number is a name then."""
        if _NUMBER.fullmatch(text):
            return cls(name=text)
        reference = cls.parse(text)
        if reference.build_id is not None:
            raise InvalidRequestError(f"“{shorten(text)}” names a build, and an environment is meant here.")
        return reference


def find_environment(client: Client, reference: Reference) -> Environment:
    """Return the environment that is meant."""
    if reference.name is None:
        build = _get_build(client, reference.build_id or 0)
        return client.get_environment(build.namespace, build.environment)
    namespace = reference.namespace or find_own_namespace(client, reference.name)
    try:
        return client.get_environment(namespace, reference.name)
    except NotFoundError as exc:
        if reference.namespace is None:
            raise suggest(client, namespace, reference.name) from exc
        raise


def name_place(client: Client, reference: Reference) -> tuple[str, str]:
    """Return the namespace and the name of an environment, which need not be there."""
    if reference.name is None or reference.build_id is not None:
        raise InvalidRequestError("An environment is meant here: NAMESPACE/NAME, or NAME.")
    return reference.namespace or find_own_namespace(client, reference.name), reference.name


def find_active_build(client: Client, reference: Reference) -> Build:
    """Return the build that is named, or the active one of an environment."""
    return _find_build(client, reference, newest=False)


def find_newest_build(client: Client, reference: Reference) -> Build:
    """Return the build that is named, or the newest one of an environment, whatever became of it."""
    return _find_build(client, reference, newest=True)


def _find_build(client: Client, reference: Reference, *, newest: bool) -> Build:
    if reference.name is None:
        return _get_build(client, reference.build_id or 0)
    environment = find_environment(client, reference)
    place = f"{environment.namespace.name}/{environment.name}"
    if reference.build_id is not None:
        build = client.get_build(reference.build_id)
        if build.environment_id != environment.id:
            raise NotFoundError(f"{place} has no build {reference.build_id}.")
        return build
    if newest:
        if environment.latest_build_id is None:
            raise NotFoundError(f"{place} has no build.")
        return client.get_build(environment.latest_build_id)
    if environment.current_build_id is None:
        raise miss_active_build(place)
    return client.get_build(environment.current_build_id)


def miss_active_build(place: str) -> ConflictError:
    """Return the error of an environment that cannot be used yet."""
    return ConflictError(f"{place} has no active build yet: `conda-store list build -e {place}` shows what it has.")


def refuse_ambiguous(client: Client, reference: Reference) -> None:
    """Raise InvalidRequestError for a number that is a build, and one's own environment is called like it."""
    if reference.name is not None:
        return
    own = client.permission().primary_namespace
    if any(True for _ in client.list_environments(own, name=str(reference.build_id))):
        raise InvalidRequestError(
            f"“{reference.build_id}” is a build, and your environment is called like it too: say"
            f" {own}/{reference.build_id} for that, and NAMESPACE/NAME:{reference.build_id} for the build."
        )


def _get_build(client: Client, build_id: int) -> Build:
    """Return the build of a number, which could have been meant as the name of an environment."""
    try:
        return client.get_build(build_id)
    except NotFoundError as exc:
        raise NotFoundError(exc.public_message + _ask_for_namesakes(client, str(build_id))) from exc


def find_own_namespace(client: Client, name: str) -> str:
    """Return the namespace of who asks, where a name alone means an environment."""
    who = client.permission()
    if not who.authenticated:
        raise InvalidRequestError(f"Which “{name}” is meant? Say NAMESPACE/{name}, or log in to mean your own.")
    return who.primary_namespace


def suggest(client: Client, namespace: str, name: str) -> NotFoundError:
    """Return the error that says which environments of the name there are elsewhere; none of them is guessed."""
    return NotFoundError(f"There is no environment {namespace}/{name}.{_ask_for_namesakes(client, name)}")


def _ask_for_namesakes(client: Client, name: str) -> str:
    found = itertools.islice(client.list_environments(name=name), _MOST_NAMESAKES)
    places = [f"{each.namespace.name}/{each.name}" for each in found]
    return f" Do you mean {' or '.join(places)}?" if places else ""
