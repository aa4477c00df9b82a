"""What can be asked about namespaces, environments, and what is to be built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, cast, get_args

import httpx

from conda_store_hub.client.transport import Transport
from conda_store_hub.core import schemas
from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.names import check_environment_name, check_namespace_name, shorten
from conda_store_hub.core.states import ArtifactType, BuildStatus

if TYPE_CHECKING:
    from conda_store_hub.core.search import Platform

_SOLVE_SECONDS = 900.0  # the service ends a solve by itself, long before


class EnvironmentCalls(Transport):
    """A client's methods about environments."""

    def list_namespaces(self) -> Iterator[schemas.Namespace]:
        """Yield the namespaces we may see, a page at a time."""
        return self._pages("namespace/", schemas.Page[schemas.Namespace], {}, after=lambda last: {"after": last.name})

    def list_environments(
        self,
        namespace: str | None = None,
        search: str | None = None,
        *,
        name: str | None = None,
        status: BuildStatus | None = None,
        packages: Sequence[str] = (),
        artifact: ArtifactType | None = None,
    ) -> Iterator[schemas.Environment]:
        """Yield the environments we may see, a page at a time."""
        query = {
            "namespace": namespace,
            "search": search,
            "name": name,
            "status": status,
            "packages": packages,
            "artifact": artifact,
        }
        # conda-store's only list with a cursor: what comes and goes meanwhile moves nothing of what is still to come.
        return self._pages_by_cursor("../v2/environment/", schemas.CursorPage[schemas.Environment], query)

    def get_environment(self, namespace: str, name: str) -> schemas.Environment:
        """Return one environment."""
        return self._get(environment_path(namespace, name), schemas.Answer[schemas.Environment]).data

    def find_environment_news(self, namespace: str, name: str, etag: str) -> tuple[schemas.Environment | None, str]:
        """Return one environment and its etag; None where it is what the service called `etag` before."""
        headers = {"If-None-Match": etag} if etag else {}
        response = self._ask("GET", environment_path(namespace, name), headers=headers, or_unchanged=bool(etag))
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            return None, etag
        return self._read(response, schemas.Answer[schemas.Environment]).data, response.headers.get("ETag", "")

    def activate(self, namespace: str, name: str, build_id: int) -> None:
        """Make a completed build the active one of its environment."""
        self._tell("PUT", environment_path(namespace, name), body=schemas.ActivateBuild(build_id=build_id))

    def describe(self, namespace: str, name: str, description: str) -> None:
        """Give an environment another description."""
        self._tell("PUT", environment_path(namespace, name), body=schemas.ActivateBuild(description=description))

    def delete_environment(self, namespace: str, name: str, *, force: bool = False) -> None:
        """Delete an environment; `force`: also while something in it is used or built."""
        self._tell("DELETE", environment_path(namespace, name), query={"force": "true" if force else None})

    def restore_environment(self, namespace: str, name: str, *, new_name: str | None = None) -> schemas.Environment:
        """Bring back the environment of a name that was deleted last."""
        path = f"{environment_path(namespace, name)}restore/"
        response = self._ask("PUT", path, body=schemas.NewName(name=new_name))
        return self._read(response, schemas.Answer[schemas.Environment]).data

    def submit(
        self,
        namespace: str,
        text: str,
        *,
        environment_name: str | None = None,
        description: str | None = None,
        activate: bool = True,
        fresh: bool = False,
        latest_build_id: int | None = None,
    ) -> int:
        """Submit an `environment.yaml` or a lock file and return the id of its build.

        latest_build_id: the newest build that the environment had when one began to edit, 0 if it has to be new;
        raises EditConflictError if it is another one now.
        """
        body = schemas.SubmitSpecification(
            specification=text,
            namespace=namespace,
            environment_name=environment_name,
            environment_description=description,
            activate=activate,
            fresh=fresh,
            latest_build_id=latest_build_id,
        )
        response = self._ask("POST", "specification/", body=body)
        return self._read(response, schemas.Answer[schemas.BuildId]).data.build_id

    def solve(
        self,
        text: str,
        *,
        namespace: str | None = None,
        environment_name: str | None = None,
        fresh: bool = False,
        platform: str | None = None,
    ) -> schemas.SolvedSpecification:
        """Return what would be built of a specification, and what that changes; nothing is built."""
        body = schemas.SolveSpecification(
            specification=text,
            namespace=namespace,
            environment_name=environment_name,
            fresh=fresh,
            platform=_check_platform(platform),
        )
        patient = httpx.Timeout(self._timeout, read=_SOLVE_SECONDS)
        response = self._ask("POST", "specification/solve/", body=body, timeout=patient)
        return self._read(response, schemas.Answer[schemas.SolvedSpecification]).data

    def search_packages(
        self, text: str, *, channels: Sequence[str] = (), platforms: Sequence[str] = (), page: int = 1, size: int = 100
    ) -> schemas.FoundPackages:
        """Return a page of the packages of channels with a text in their name."""
        query = {"search": text, "channel": channels, "platform": platforms, "page": page, "size": size}
        return self._get("package/", schemas.FoundPackages, query)


def _check_platform(name: str | None) -> Platform | None:
    if name is None:
        return None
    from conda_store_hub.core.search import Platform  # with the models of searches, which hardly anybody needs

    if name not in get_args(Platform):
        raise InvalidRequestError(f"“{shorten(name)}” is not a platform; write one such as linux-64.")
    return cast("Platform", name)


def environment_path(namespace: str, name: str) -> str:
    """Return where an environment is, below the API."""
    # Checked here, because `..` in an address would ask for something else.
    return f"environment/{check_namespace_name(namespace)}/{check_environment_name(name)}/"
