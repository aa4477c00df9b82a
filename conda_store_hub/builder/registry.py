"""Images in other registries, read over the distribution specification: challenges answered, every byte checked."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, cast

import httpx

from conda_store_hub import __version__
from conda_store_hub.builder.files import HashingFile
from conda_store_hub.builder.pace import Pace
from conda_store_hub.core.errors import ArtifactError, ArtifactNotNowError
from conda_store_hub.core.oci import (
    DOCKER_INDEX_TYPE,
    DOCKER_MANIFEST_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
    MOST_MANIFEST,
    Descriptor,
)
from conda_store_hub.core.references import ImageReference, is_near

_ACCEPTED = ", ".join((INDEX_TYPE, MANIFEST_TYPE, DOCKER_INDEX_TYPE, DOCKER_MANIFEST_TYPE))
_CONNECT_SECONDS = 10
_MOST_REDIRECTS = 5
_MOST_TOKEN = 1 << 20
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _ITS_FAULT = 401, 403, 404, 429, 500
_CHALLENGE_WORD = re.compile(r'(?P<name>[\w-]+)(?:\s*=\s*(?P<value>"[^"]*"|[^\s,"]+))?')
_SAID = {
    _FORBIDDEN: "the registry does not give it to this service",
    _NOT_FOUND: "the registry does not have it",
    _TOO_MANY: "the registry has given too much to this machine for now",
}


class RegistryClient:
    """Reads one repository; a server that says nothing for `seconds`, or next to nothing, is given up.

    Redirects and logins are followed here, and not by the library: it would read what comes with them without an end.
    """

    def __init__(self, reference: ImageReference, login: str | None, seconds: float, whole_seconds: float) -> None:
        """`login`: user name and password as Basic has them, in base64; None is nobody.

        `whole_seconds`: how long all of it may take.
        """
        self._reference = reference
        self._seconds = seconds
        self._basic = None if login is None else f"Basic {login}"
        self._known = ""
        self._pace = Pace(seconds, whole_seconds)
        self._http = httpx.Client(
            headers={"User-Agent": f"conda-store-hub/{__version__}", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
            verify=ssl.create_default_context(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def read_manifest(self, wanted: str) -> tuple[bytes, Descriptor]:
        """Return the manifest or index that a tag or digest means, with its digest."""
        with self._get(f"{self._reference.address}/manifests/{wanted}", {"Accept": _ACCEPTED}) as answer:
            data = b"".join(self._pieces(answer, MOST_MANIFEST))
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if wanted.startswith("sha256:") and digest != wanted:
            raise ArtifactError("what the registry gives is not what it was asked for: its digest is another")
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        return data, Descriptor(media_type=media_type or MANIFEST_TYPE, digest=digest, size=len(data))

    def read_blob(self, wanted: Descriptor, path: Path) -> None:
        """Write a blob to `path`, as it is read; raise ArtifactError when it is not the one that was asked for."""
        out = HashingFile(path)
        try:
            with self._get(f"{self._reference.address}/blobs/{wanted.digest}") as answer:
                for piece in self._pieces(answer, wanted.size):
                    out.write(piece)
            if f"sha256:{out.finish().sha256}" != wanted.digest:
                path.unlink()
                raise ArtifactError("what the registry gives is not what it was asked for: a digest is another")
        finally:
            out.close()

    @contextmanager
    def _get(self, address: str, headers: dict[str, str] | None = None) -> Generator[httpx.Response]:
        """Give a good answer; where the registry wants to know who asks, it is told, and asked again."""
        with _explained():
            with self._send(address, headers or {}) as answer:
                if not self._has_to_log_in(answer):
                    _require_good(answer)
                    yield answer
                    return
            self._log_in(_read_challenges(answer))
            with self._send(address, headers or {}) as answer:
                _require_good(answer)
                yield answer

    def _has_to_log_in(self, answer: httpx.Response) -> bool:
        """Tell whether the registry itself asks who we are; what is asked where it sent us to counts not."""
        if answer.status_code != _UNAUTHORIZED or answer.url.host != httpx.URL(self._reference.address).host:
            return False
        schemes = _read_challenges(answer)
        return "bearer" in schemes or ("basic" in schemes and self._basic is not None)

    def _log_in(self, challenges: dict[str, dict[str, str]]) -> None:
        """Answer with Basic, or a token of the service that the registry names."""
        if "bearer" not in challenges:
            self._known = self._basic or ""
            return
        said = challenges["bearer"]
        scope = said.get("scope") or f"repository:{self._reference.name}:pull"
        wanted = {"service": said.get("service", ""), "scope": scope}
        url = httpx.URL(said.get("realm", "")).copy_merge_params({name: each for name, each in wanted.items() if each})
        if not url.host or not self._may_ask(url):
            raise ArtifactError("the registry names no token service that can be asked")
        headers = {} if self._basic is None else {"Authorization": self._basic}
        with self._follow(self._build(url, headers)) as answer:
            _require_good(answer)
            self._known = f"Bearer {_find_token(b''.join(self._pieces(answer, _MOST_TOKEN)))}"

    @contextmanager
    def _send(self, address: str, headers: dict[str, str]) -> Generator[httpx.Response]:
        known = {"Authorization": self._known} if self._known else {}
        with self._follow(self._build(address, headers | known)) as answer:
            yield answer

    def _build(self, url: httpx.URL | str, headers: dict[str, str]) -> httpx.Request:
        return self._http.build_request("GET", url, headers=headers, extensions={"trace": self._pace.trace})

    @contextmanager
    def _follow(self, request: httpx.Request) -> Generator[httpx.Response]:
        """Give the answer, from wherever the registry sends to; a login is not sent along to another host."""
        for _ in range(_MOST_REDIRECTS + 1):
            self._pace.require_time()
            with self._pace.ending():
                answer = self._http.send(request, stream=True)
            try:
                if answer.next_request is None:
                    yield answer
                    return
                request = answer.next_request
            finally:
                answer.close()
            self._require_allowed(request.url)
        raise ArtifactError("the registry sends from one place to the next without an end")

    def _require_allowed(self, url: httpx.URL) -> None:
        if self._reference.scheme == "https" and url.scheme != "https":
            raise ArtifactError("the registry sends elsewhere, over a connection that is not encrypted")
        if not self._may_ask(url):
            raise ArtifactError("the registry sends to where it is not for it to send: to this machine, or beside it")

    def _may_ask(self, url: httpx.URL) -> bool:
        """Tell whether to go where the registry says: over TLS if it speaks that, and to this machine only from it.

        What is beside this machine, at an address of the link, tells clouds' secrets to whoever asks.
        """
        if url.scheme not in (("https",) if self._reference.scheme == "https" else ("http", "https")) or url.userinfo:
            return False
        return not _is_near(url.host) or _is_near(httpx.URL(self._reference.address).host)

    def _pieces(self, answer: httpx.Response, most: int) -> Iterator[bytes]:
        left = most
        self._pace.begin()
        for piece in answer.iter_raw():  # as it comes: of pieces of one size, the first might never be full
            self._pace.note(len(piece))
            left -= len(piece)
            if left < 0:
                raise ArtifactError("the registry sends more than it may")
            yield piece


def _is_near(host: str) -> bool:
    """Tell whether a host is this machine, or at an address of its link, as far as that can be told."""
    try:
        found = {str(each[4][0]) for each in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):  # a proxy may know it; a label may be too long for any name
        found = {host}
    return any(is_near(each) for each in (host, *found))


def _read_challenges(answer: httpx.Response) -> dict[str, dict[str, str]]:
    """Return what each scheme says; proxies join several to one line, in which a word without a value is a scheme."""
    found: dict[str, dict[str, str]] = {}
    for line in answer.headers.get_list("WWW-Authenticate"):
        said: dict[str, str] = {}
        for word in _CHALLENGE_WORD.finditer(line):
            if word["value"] is None:
                said = found.setdefault(word["name"].lower(), {})
            else:
                said[word["name"].lower()] = word["value"].strip('"')
    return found


def _find_token(data: bytes) -> str:
    try:
        said: object = json.loads(data)
    except (ValueError, RecursionError):
        said = None
    tokens = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    token = tokens.get("token") or tokens.get("access_token")
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
        raise ArtifactError("the token service of the registry gives no token")
    return token


def _require_good(answer: httpx.Response) -> None:
    status = answer.status_code
    if status == _UNAUTHORIZED:
        raise ArtifactError(
            "the registry gives it to those who log in only (`c.CondaStore.image_base_credentials` says how)"
        )
    if not answer.is_success:
        kind = ArtifactNotNowError if status == _TOO_MANY or status >= _ITS_FAULT else ArtifactError
        raise kind(_SAID.get(status, f"the registry answers with status {status}"))


@contextmanager
def _explained() -> Generator[None]:
    """Turn what the network says into words for people; the rest goes to the log."""
    try:
        yield
    except httpx.TimeoutException as exc:
        raise ArtifactNotNowError("the registry does not answer in time", detail=repr(exc)) from exc
    except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError) as exc:  # cut, or not let through
        raise ArtifactNotNowError("the registry cannot be reached", detail=repr(exc)) from exc
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise ArtifactError("the registry cannot be reached", detail=repr(exc)) from exc


def find_login(path: str, reference: ImageReference) -> str | None:
    """Return what a file says of a registry that `docker login`, `podman login` or `skopeo login` wrote.

    Of several entries the one counts that names most of the repository. Programs that keep passwords are not asked.
    """
    if not path:
        return None
    try:
        said: object = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as exc:
        raise ArtifactError("the file with its credentials cannot be read", detail=repr(exc)) from exc
    auths: object = cast("dict[str, Any]", said).get("auths") if isinstance(said, dict) else None
    entries = cast("dict[str, object]", auths) if isinstance(auths, dict) else {}
    place = f"{reference.host}/{reference.name}/"
    fitting = {name: each for name, each in _normalise(entries) if place.startswith(f"{name}/")}
    return _read_login(fitting[max(fitting, key=len)]) if fitting else None


def _normalise(entries: dict[str, object]) -> Iterator[tuple[str, object]]:
    """Yield entries by host and what of a repository they are for; some programs write addresses."""
    for key, entry in entries.items():
        place = re.sub(r"/v[12]$", "", key.partition("://")[2].rstrip("/") or key.rstrip("/"))
        yield re.sub(r"^index\.docker\.io(?=/|$)", "docker.io", place), entry


def _read_login(entry: object) -> str | None:
    values = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    if isinstance(auth := values.get("auth"), str) and re.fullmatch(r"[A-Za-z0-9+/=]+", auth):
        return auth
    name, password = values.get("username"), values.get("password")
    if isinstance(name, str) and isinstance(password, str):
        return base64.b64encode(f"{name}:{password}".encode()).decode()
    return None
