"""Ask the service over its REST API: one typed method an endpoint, errors rebuilt from their stable codes."""

from __future__ import annotations

import re
import secrets
import ssl
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from conda_store_hub.client.downloads import Download, OnBytes, fetch, pause
from conda_store_hub.client.failures import find_error
from conda_store_hub.client.logstream import LogEnd, LogEvent, LogText, find_log_event, read_events
from conda_store_hub.core.artifacts import FILES
from conda_store_hub.core.errors import InvalidRequestError, StorageError, UnavailableError
from conda_store_hub.core.names import check_environment_name, check_namespace_name
from conda_store_hub.core.protocol import ArtifactType, BuildStatus
from conda_store_hub.core.schemas import (
    ActivateBuild,
    Answer,
    Build,
    BuildId,
    BuildSummary,
    Environment,
    KernelList,
    KernelView,
    Namespace,
    Package,
    Page,
    PermissionSummary,
    SubmitSpecification,
    Version,
)

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

PAGE_SIZE = 100
HOLD_SECONDS = 50.0  # how long the service holds a long poll
STREAM_SILENCE = 60.0  # a live log says something, if only a comment, every 25 s
STREAM_RETRIES = 6
MAKING_SECONDS = 600.0  # an archive of some gigabytes takes a few minutes


class LogPart(NamedTuple):
    """A part of a log: its text, the byte offset after it, and whether nothing more will come."""

    text: str
    next_offset: int
    complete: bool


class Client:
    """A connection to one service.

    url: the service's address, with or without a last slash; its REST API is below it.
    token: of the Hub's user; None asks as an anonymous.
    timeout: seconds to wait for a connection and between two pieces of an answer.
    verify: False trusts any certificate; a context trusts what it says.

    Every method raises the class of `core.errors` that the service named, and UnavailableError when it
    cannot be reached or does not answer in its own shapes. Safe to share between threads.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        verify: bool | ssl.SSLContext = True,
    ) -> None:
        base = _parse_url(url)
        self._url = base.join("api/v1/")
        self._shown_url = str(base.copy_with(username=None, password=None))
        self._timeout = timeout
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(headers=headers, timeout=timeout, verify=verify)

    def __enter__(self) -> Self:
        """Use as a context manager: connections are closed at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def url(self) -> str:
        """The service's address, without a user and a password."""
        return self._shown_url

    # The service and who asks

    def version(self) -> Version:
        """Return the version of the service."""
        return self._get("", Answer[Version]).data

    def permission(self) -> PermissionSummary:
        """Return who the service takes us for, and what we may do."""
        return self._get("permission/", Answer[PermissionSummary]).data

    # Namespaces and environments

    def list_namespaces(self) -> Iterator[Namespace]:
        """Yield the namespaces we may see, a page at a time."""
        return self._pages("namespace/", Page[Namespace], {})

    def list_environments(self, namespace: str | None = None, search: str | None = None) -> Iterator[Environment]:
        """Yield the environments we may see, a page at a time."""
        return self._pages("environment/", Page[Environment], {"namespace": namespace, "search": search})

    def get_environment(self, namespace: str, name: str) -> Environment:
        """Return one environment."""
        return self._get(_environment_path(namespace, name), Answer[Environment]).data

    def activate(self, namespace: str, name: str, build_id: int) -> None:
        """Make a completed build the active one of its environment."""
        self._ask("PUT", _environment_path(namespace, name), body=ActivateBuild(build_id=build_id))

    # Builds

    def submit(self, namespace: str, text: str, *, environment_name: str | None = None) -> int:
        """Submit an `environment.yaml` and return the id of its build."""
        body = SubmitSpecification(specification=text, namespace=namespace, environment_name=environment_name)
        response = self._ask("POST", "specification/", body=body)
        return self._read(response, Answer[BuildId]).data.build_id

    def get_build(self, build_id: int) -> Build:
        """Return one build in full."""
        return self._get(f"build/{build_id}/", Answer[Build]).data

    def build_kernels(self, build_id: int) -> list[KernelView]:
        """Return the kernels of one build, whether it is active or not."""
        return self._get(f"build/{build_id}/kernels/", Answer[list[KernelView]]).data

    def list_builds(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        environment_id: int | None = None,
        status: BuildStatus | None = None,
    ) -> Iterator[BuildSummary]:
        """Yield the builds we may see, a page at a time."""
        query = {"namespace": namespace, "name": name, "environment_id": environment_id, "status": status}
        return self._pages("build/", Page[BuildSummary], query)

    def list_packages(self, build_id: int) -> Iterator[Package]:
        """Yield the packages of a build, a page at a time."""
        return self._pages(f"build/{build_id}/packages/", Page[Package], {})

    # Logs

    def read_log(self, build_id: int, offset: int = 0) -> LogPart:
        """Return the log from a byte offset on, as far as it is written."""
        path = f"build/{build_id}/logs/"
        response = self._ask("GET", path, query={"offset": offset}, headers={"Accept": "text/plain"})
        self._refuse_page(response)
        following = response.headers.get("X-Log-Offset", str(offset + len(response.content)))
        if not following.isdecimal():
            raise UnavailableError(f"The service at {self._shown_url} did not say where its log ends.")
        complete = response.headers.get("X-Log-Complete", "").lower() in {"true", "1"}
        return LogPart(response.content.decode("utf-8", "replace"), int(following), complete)

    def stream_log(self, build_id: int, offset: int = 0) -> Iterator[LogEvent]:
        """Yield what happens until the build has ended; a broken connection is taken up where it broke.

        Raises UnavailableError when the service is not there at first, or stays away for about half a minute.
        """
        failures = -1  # nothing came yet: a service that is not there is told at once
        while True:
            try:
                for event in self._stream_once(build_id, offset):
                    failures = 0
                    offset = event.next_offset if isinstance(event, LogText) else offset
                    yield event
                    if isinstance(event, LogEnd):
                        return
            except UnavailableError:
                if failures in (-1, STREAM_RETRIES):
                    raise
            failures = max(failures, 0) + 1
            if failures > STREAM_RETRIES:
                raise UnavailableError(f"The live log of build {build_id} broke off again and again.")
            pause(failures)

    def _stream_once(self, build_id: int, offset: int) -> Iterator[LogEvent]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(offset)}
        path = f"build/{build_id}/logs/"
        with self._stream(path, headers, {"offset": str(offset)}, silence=STREAM_SILENCE) as response:
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise self._strange(response)
            for event in read_events(response.iter_bytes()):
                typed = find_log_event(event)
                if typed is not None:
                    yield typed

    # Artifacts and kernels

    def download(
        self,
        build_id: int,
        artifact: ArtifactType,
        path: Path,
        *,
        wait: float = MAKING_SECONDS,
        on_bytes: OnBytes | None = None,
    ) -> None:
        """Write an artifact of a build to `path`, which is there whole or not at all.

        A connection that breaks off is taken up where it broke, and what came is held against its digest.
        wait: seconds to wait for what the service has to make first; raises BeingMadeError after that.
        on_bytes: told how many bytes there are, and of how many (0: unknown); what it raises ends the download.
        """
        if artifact is not ArtifactType.LOGS and artifact not in FILES:
            raise InvalidRequestError(f"{artifact} cannot be downloaded.")
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        kind = "logs" if artifact is ArtifactType.LOGS else FILES[artifact].path
        where, silence = f"build/{build_id}/{kind}/", HOLD_SECONDS + self._timeout
        query = {"wait": f"{min(wait, HOLD_SECONDS):g}"}

        @contextmanager
        def ask(headers: Mapping[str, str]) -> Generator[httpx.Response]:
            with self._stream(where, headers, query, silence=silence) as response:
                self._refuse_page(response)
                yield response

        try:
            with part.open("xb") as file:
                fetch(ask, Download(file), wait=wait, on_bytes=on_bytes)
            part.replace(path)
        except OSError as exc:
            raise StorageError(f"{path} cannot be written: {exc.strerror}.") from exc
        finally:
            part.unlink(missing_ok=True)

    def kernels(self, since: str | None = None, wait: float = HOLD_SECONDS) -> KernelList | None:
        """Return the kernels of the active builds, or None when `wait` seconds changed nothing since an etag."""
        query = {"since": since, "wait": None if since is None else f"{wait:g}"}
        slack = httpx.Timeout(self._timeout, read=max(wait, HOLD_SECONDS) + self._timeout)
        response = self._ask("GET", "kernels/", query=query, timeout=slack)
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            return None
        answer = self._read(response, Answer[KernelList]).data
        return None if answer.etag == since else answer

    # The wire

    def _get(self, path: str, model: type[M], query: Mapping[str, object] | None = None) -> M:
        return self._read(self._ask("GET", path, query=query), model)

    def _pages(self, path: str, model: type[Page[T]], query: Mapping[str, object]) -> Iterator[T]:
        number = 1
        while True:
            page = self._get(path, model, {**query, "page": number, "size": PAGE_SIZE})
            yield from page.data
            # `count` stops at 10,000; a page that is not full is the last.
            if not page.data or len(page.data) < page.size:
                return
            number += 1

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: BaseModel | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> httpx.Response:
        content = None if body is None else body.model_dump_json(exclude_none=True)
        request = self._http.build_request(
            method,
            self._url.join(path),
            params={key: str(value) for key, value in (query or {}).items() if value is not None},
            content=content,
            headers={**({"Content-Type": "application/json"} if body is not None else {}), **(headers or {})},
            timeout=self._timeout if timeout is None else timeout,
        )
        with self._translated():
            response = self._http.send(request)
        self._check(response)
        return response

    @contextmanager
    def _stream(
        self, path: str, headers: Mapping[str, str], query: Mapping[str, str], *, silence: float
    ) -> Generator[httpx.Response]:
        # An artifact may lie in an object store: httpx drops the token when the origin changes.
        with (
            self._translated(),
            self._http.stream(
                "GET",
                self._url.join(path),
                params=query,
                headers=headers,
                timeout=httpx.Timeout(self._timeout, read=silence),
                follow_redirects=True,
            ) as response,
        ):
            if not response.is_success:
                response.read()
            self._check(response)
            yield response

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except httpx.TimeoutException as exc:
            raise UnavailableError(f"The service at {self._shown_url} did not answer in time.") from exc
        except httpx.RequestError as exc:
            reason = re.sub(r"\[Errno -?\d+\] ", "", str(exc)).rstrip(".") or type(exc).__name__
            raise UnavailableError(f"The service at {self._shown_url} cannot be reached: {reason}.") from exc

    def _check(self, response: httpx.Response) -> None:
        if response.is_success or response.status_code == HTTPStatus.NOT_MODIFIED:
            return
        error = find_error(response.status_code, response.content)
        raise error if error is not None else self._strange(response)

    def _read(self, response: httpx.Response, model: type[M]) -> M:
        try:
            return model.model_validate_json(response.content)
        except ValidationError as exc:
            raise self._strange(response) from exc

    def _refuse_page(self, response: httpx.Response) -> None:
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise self._strange(response)

    def _strange(self, response: httpx.Response) -> UnavailableError:
        kind = response.headers.get("Content-Type", "").partition(";")[0] or "nothing"
        what = f"answered {response.status_code} with {kind}"
        if response.is_redirect:
            what = f"answered {response.status_code} and sent us to {response.headers.get('Location', '')}"
        return UnavailableError(
            f"What is at {self._shown_url} {what}, which is no answer of this service. Is the address right?"
        )


def _parse_url(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url.rstrip("/") + "/")
    except httpx.InvalidURL as exc:
        raise InvalidRequestError(f"{url!r} is not an address: {exc}.") from exc
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise InvalidRequestError(f"{url!r} is not an address: it begins with http:// or https://.")
    return parsed


def _environment_path(namespace: str, name: str) -> str:
    # Checked here, because `..` in an address would ask for something else.
    return f"environment/{check_namespace_name(namespace)}/{check_environment_name(name)}/"
