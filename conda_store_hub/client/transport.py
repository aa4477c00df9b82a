"""How the service is asked: requests, pages, streams, and what its answers mean. What can be asked is in `api*.py`."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Literal, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from conda_store_hub.client.failures import find_error
from conda_store_hub.client.trust import LateTrust
from conda_store_hub.core.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotAuthenticatedError,
    UnavailableError,
)
from conda_store_hub.core.schemas import CursorPage, Page, Wire

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

#: What a query may hold: None is left out, several values are sent one by one.
Query = Mapping[str, object]

PAGE_SIZE = 100
_RESTARTING = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)


class _Done(Wire):
    """What the service says when it has done something: what else is there to say, its reader reads."""

    status: Literal["ok"]


class Transport:
    """A connection to one service.

    url: the service's address, with or without a last slash; its REST API is below it.
    token: of the Hub's user, or of the service; None asks as an anonymous, unless `basic` has a name and a password.
    timeout: seconds to wait for a connection and between two pieces of an answer.
    verify: False trusts any certificate; a context trusts what it says.
    advice: what a person can do where the service does not know what was shown to it; it goes with that error.

    Every method raises the class of `core.errors` that the service named, and UnavailableError when it
    cannot be reached or does not answer in its own shapes. Safe to share between threads.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        basic: tuple[str, str] | None = None,
        timeout: float = 30.0,
        verify: bool | ssl.SSLContext = True,
        advice: str = "",
    ) -> None:
        base = _parse_url(url)
        self._url = base.join("api/v1/")
        self._shown_url = str(base.copy_with(username=None, password=None))
        self._timeout = timeout
        self._advice = advice
        headers = _make_headers(token, basic)
        try:
            trust = LateTrust() if verify is True and base.scheme == "http" else verify
            self._http = httpx.Client(headers=headers, timeout=timeout, verify=trust)
        except ImportError as exc:
            raise ConfigurationError(
                "A SOCKS proxy is set, as by ALL_PROXY, which needs `pip install 'httpx[socks]'`; or unset it."
            ) from exc
        except (ValueError, httpx.InvalidURL) as exc:
            raise ConfigurationError(
                f"A proxy that is set, as by HTTPS_PROXY or ALL_PROXY, cannot be used: {exc}."
            ) from exc

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

    def _get(self, path: str, model: type[M], query: Query | None = None) -> M:
        return self._read(self._ask("GET", path, query=query), model)

    def _pages(
        self, path: str, model: type[Page[T]], query: Query, *, after: Callable[[T], Query] | None = None
    ) -> Iterator[T]:
        """Yield what a list has, a page at a time; `after`: what asks for all behind an entry; else pages count."""
        number = 1
        cursor: Query = {}
        while True:
            page = self._get(path, model, {**query, **cursor, "page": number, "size": PAGE_SIZE})
            yield from page.data
            # `count` stops at 10,000; a page that is not full is the last.
            if not page.data or len(page.data) < page.size:
                return
            if after is None:
                number += 1
            else:
                cursor = after(page.data[-1])

    def _pages_by_cursor(self, path: str, model: type[CursorPage[T]], query: Query) -> Iterator[T]:
        """Yield what a list has, a page at a time; each begins behind the last entry, whatever changes meanwhile."""
        cursor: str | None = None
        while True:
            page = self._get(path, model, {**query, "cursor": cursor, "limit": PAGE_SIZE})
            yield from page.data
            is_all = page.count is not None and page.count <= len(page.data)  # which the first page tells
            if not page.data or page.cursor is None or is_all:
                return
            cursor = page.cursor

    def _tell(self, method: str, path: str, *, query: Query | None = None, body: BaseModel | None = None) -> None:
        """Have something done of which nothing else is told; only the service's own word for it counts."""
        self._read(self._ask(method, path, query=query, body=body), _Done)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: BaseModel | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
        or_unchanged: bool = False,
        says_null: bool = False,
    ) -> httpx.Response:
        """Return an answer that is a success, which says nothing of its shape: `_read` does.

        or_unchanged: what was asked knows an earlier answer, so that the new one may be that nothing has changed.
        says_null: what the body was given as None means something else than what it was not given.
        """
        content = None if body is None else body.model_dump_json(exclude_none=not says_null, exclude_unset=says_null)
        request = self._http.build_request(
            method,
            self._url.join(path),
            params=list_pairs(query or {}),
            content=content,
            headers={**({"Content-Type": "application/json"} if body is not None else {}), **(headers or {})},
            timeout=self._timeout if timeout is None else timeout,
        )
        with self._translated():
            response = self._http.send(request)
        self._check(response, or_unchanged=or_unchanged)
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
            raise UnavailableError(f"The service at {self.url} did not answer in time.") from exc
        except httpx.RequestError as exc:
            raise self._explain(exc) from exc

    def _explain(self, exc: httpx.RequestError) -> UnavailableError:
        reason = re.sub(r"\[Errno -?\d+\] ", "", str(exc)).rstrip(".") or type(exc).__name__
        if "CERTIFICATE_VERIFY_FAILED" not in reason:
            return UnavailableError(f"The service at {self.url} cannot be reached: {reason}.")
        why = re.sub(r".*certificate verify failed: |\s*\(_ssl\.c:\d+\)", "", reason)
        return UnavailableError(
            f"The certificate of {self.url} is not trusted ({why}): name your site's authority with --ca-file, or set"
            " SSL_CERT_FILE."
        )

    def _check(self, response: httpx.Response, *, or_unchanged: bool = False) -> None:
        if response.is_success or (or_unchanged and response.status_code == HTTPStatus.NOT_MODIFIED):
            return
        error = find_error(response.status_code, response.content)
        if isinstance(error, NotAuthenticatedError) and self._advice:
            raise type(error)(f"{error.public_message} {self._advice}")
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
        if response.status_code in _RESTARTING:
            return UnavailableError(
                f"The service at {self.url} is not there at this moment: what stands before it answered"
                f" {response.status_code}. Try again soon."
            )
        return UnavailableError(
            f"What is at {self.url} {what}, which is no answer of this service. Is the address right?"
        )


def _make_headers(token: str | None, basic: tuple[str, str] | None) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {_check_secret(token)}"
    elif basic is not None:
        joined = ":".join(basic).encode()
        headers["Authorization"] = f"Basic {base64.b64encode(joined).decode()}"
    return headers


def _check_secret(token: str) -> str:
    """Return a token that can be sent; one that was pasted may hold anything, which nobody is shown."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidRequestError("The token holds characters that no token has: was more pasted than that?")
    return token


def list_pairs(query: Query) -> tuple[tuple[str, str], ...]:
    """Return a query as pairs: what is None is left out, and a sequence is each of its values."""
    pairs: list[tuple[str, str]] = []
    for key, value in query.items():
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        pairs.extend((key, str(each)) for each in values if each is not None)
    return tuple(pairs)


def _parse_url(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url.rstrip("/") + "/")
    except httpx.InvalidURL as exc:
        raise InvalidRequestError(f"{url!r} is not an address: {exc}.") from exc
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise InvalidRequestError(f"{url!r} is not an address: it begins with http:// or https://.")
    return parsed
