"""Logins kept on this machine, and the way of a browser back to who waits for it."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from conda_store_hub.client.addresses import name_server
from conda_store_hub.client.credentials import Logins, find_path, load_keyring
from conda_store_hub.client.login import Listener, LoginRequest
from conda_store_hub.core.errors import ConfigurationError, ForbiddenError, InvalidRequestError, NotAuthenticatedError

HUB = "https://hub.example.org/services/conda-store-hub/"
OTHER = "https://other.example.org/"


class Ring:
    """A keyring; `broken` is one that is locked, with nobody there to unlock it."""

    def __init__(self, *, broken: bool = False) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.broken = broken
        self.asked = 0

    def get_password(self, service: str, username: str) -> str | None:
        self._open()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._open()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._open()
        del self.kept[service, username]

    def _open(self) -> None:
        self.asked += 1
        if self.broken:
            raise RuntimeError("locked")


def make(folder: Path, ring: Ring | None = None) -> Logins:
    return Logins(folder / "conda-store" / "logins.json", lambda: ring)


# What is kept


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://me:secret@Hub.example.org/services/x", "https://hub.example.org/services/x/"),
        ("https://hub.example.org:443/", "https://hub.example.org/"),
        ("http://hub.example.org:443", "http://hub.example.org:443/"),
        ("http://[::1]:8000/x/", "http://[::1]:8000/x/"),
        ("http://[::1]:80/x/", "http://[::1]/x/"),
    ],
)
def test_a_service_has_one_name_however_its_address_is_written(url: str, name: str) -> None:
    assert name_server(url) == name


@pytest.mark.parametrize("url", ["http://h:80a/", "http://h:99999/", "http://[::1/"])
def test_what_is_no_address_is_told_in_words(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="is not an address"):
        make(tmp_path).find_token(url)


def test_a_token_is_kept_for_one_service_and_told_to_no_other(tmp_path: Path) -> None:
    logins = make(tmp_path)
    assert logins.find_default() is None
    assert logins.find_token(HUB) is None
    assert logins.keep(HUB, "csh_one", made=True) is False
    assert logins.keep(OTHER, "csh_two", made=False) is False
    again = make(tmp_path)
    assert again.find_token(HUB) == "csh_one"
    assert again.find_token(HUB.rstrip("/")) == "csh_one"
    assert again.find_token("https://alice:secret@hub.example.org/services/conda-store-hub") == "csh_one"
    assert again.find_token(OTHER) == "csh_two"
    for near in (HUB.replace("https", "http"), "https://hub.example.org/", HUB.replace(".org", ".org:8443")):
        assert again.find_token(near) is None
    assert (again.is_made(HUB), again.is_made(OTHER), again.is_made("https://x/")) == (True, False, False)


def test_the_service_of_the_last_login_is_meant_until_it_is_forgotten(tmp_path: Path) -> None:
    logins = make(tmp_path)
    logins.keep(HUB, "csh_one", made=True)
    logins.keep(OTHER, "csh_two", made=True)
    assert logins.find_default() == OTHER
    logins.forget(OTHER)
    assert (logins.find_default(), logins.find_token(OTHER)) == (HUB, None)
    logins.forget(OTHER)
    logins.forget(HUB)
    assert logins.find_default() is None
    assert "csh" not in logins.path.read_text()


def test_only_the_owner_can_read_the_file_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        logins = make(tmp_path)
        logins.keep(HUB, "csh_one", made=True)
        logins.keep(HUB, "csh_two", made=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE(logins.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(logins.path.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in logins.path.parent.iterdir()) == ["logins.json", "logins.json.lock"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644])
def test_a_file_that_others_can_read_or_write_is_not_used(tmp_path: Path, mode: int) -> None:
    logins = make(tmp_path)
    logins.keep(HUB, "csh_one", made=True)
    logins.path.chmod(mode)
    for use in (lambda: logins.find_token(HUB), logins.find_default, lambda: logins.keep(HUB, "csh_2", made=True)):
        with pytest.raises(ConfigurationError, match="can be read by others"):
            use()


def test_a_file_of_somebody_else_or_a_link_to_one_is_not_used(tmp_path: Path) -> None:
    logins = make(tmp_path)
    logins.keep(HUB, "csh_one", made=True)
    planted = tmp_path / "planted"
    logins.path.rename(planted)
    logins.path.symlink_to(planted)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        logins.find_token(HUB)
    logins.path.unlink()
    logins.path.mkdir()
    with pytest.raises(ConfigurationError):
        logins.find_token(HUB)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"default": 1, "logins": {"a": 2}}', "\x00", '"x"'])
def test_a_damaged_file_is_told_in_words(tmp_path: Path, text: str) -> None:
    logins = make(tmp_path)
    logins.keep(HUB, "csh_one", made=True)
    logins.path.write_text(text)
    with pytest.raises(ConfigurationError, match="damaged"):
        logins.find_token(HUB)


def test_logins_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    def keep(number: int) -> None:
        make(tmp_path).keep(f"https://hub{number}.example.org/", f"csh_{number}", made=True)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, range(16)))
    assert [make(tmp_path).find_token(f"https://hub{n}.example.org/") for n in range(16)] == [
        f"csh_{n}" for n in range(16)
    ]


def test_a_keyring_has_the_token_and_the_file_does_not(tmp_path: Path) -> None:
    ring = Ring()
    logins = make(tmp_path, ring)
    assert logins.keep(HUB, "csh_one", made=True) is True
    assert "csh_one" not in logins.path.read_text()
    assert list(ring.kept.values()) == ["csh_one"]
    assert make(tmp_path, ring).find_token(HUB) == "csh_one"
    logins.forget(HUB)
    assert ring.kept == {}
    assert logins.find_token(HUB) is None


def test_a_keyring_is_not_asked_about_what_it_does_not_have(tmp_path: Path) -> None:
    ring = Ring()
    make(tmp_path).keep(HUB, "csh_one", made=True)
    logins = make(tmp_path, ring)
    assert (logins.find_default(), logins.find_token(HUB), logins.find_token(OTHER)) == (HUB, "csh_one", None)
    assert ring.asked == 0


def test_a_keyring_that_fails_leaves_the_token_to_the_file(tmp_path: Path) -> None:
    logins = make(tmp_path, Ring(broken=True))
    assert logins.keep(HUB, "csh_one", made=True) is False
    assert make(tmp_path).find_token(HUB) == "csh_one"


def test_a_keyring_that_does_not_give_back_what_it_took_keeps_nothing(tmp_path: Path) -> None:
    class Deaf(Ring):
        def get_password(self, service: str, username: str) -> str | None:
            raise RuntimeError("locked")

    ring = Deaf()
    assert not make(tmp_path, ring).keep(HUB, "secret", made=True)
    assert ring.kept == {}


def test_a_keyring_that_is_locked_later_is_told_in_words(tmp_path: Path) -> None:
    ring = Ring()
    logins = make(tmp_path, ring)
    logins.keep(HUB, "csh_one", made=True)
    ring.broken = True
    for use in (lambda: logins.find_token(HUB), lambda: logins.forget(HUB)):
        with pytest.raises(ConfigurationError, match="Unlock it"):
            use()
    assert logins.has(HUB), "its token would be in the keyring, and nobody would know of it"
    logins.forget(HUB, whatever=True)
    assert not logins.has(HUB)


def test_a_keyring_that_cannot_be_reached_from_here_is_told_in_words(tmp_path: Path) -> None:
    """Over SSH, for one."""
    make(tmp_path, Ring()).keep(HUB, "csh_one", made=True)
    elsewhere = make(tmp_path)
    for use in (lambda: elsewhere.find_token(HUB), lambda: elsewhere.forget(HUB)):
        with pytest.raises(ConfigurationError, match="cannot be reached from here"):
            use()
    elsewhere.keep(HUB, "csh_two", made=True)
    assert elsewhere.find_token(HUB) == "csh_two"


def test_a_keyring_keeps_nothing_that_the_file_does_not_know_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = Ring()
    logins = make(tmp_path, ring)
    logins.require_room()
    assert not logins.path.exists()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    for use in (logins.require_room, lambda: logins.keep(HUB, "csh_one", made=True)):
        with pytest.raises(ConfigurationError, match="No space left"):
            use()
    assert ring.kept == {}
    assert [path.name for path in logins.path.parent.iterdir()] == ["logins.json.lock"]


def test_a_machine_without_a_keyring_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    assert load_keyring() is None


def test_a_file_system_without_locks_is_told_as_one_of_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(ConfigurationError, match="knows no locks: set XDG_CONFIG_HOME"):
        make(tmp_path).require_room()


def test_the_file_is_where_settings_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert find_path() == tmp_path / "conda-store" / "logins.json"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_path() == tmp_path / ".config" / "conda-store" / "logins.json"


@pytest.mark.usefixtures("homeless")
def test_who_has_no_home_has_no_logins_and_is_told_when_one_is_to_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    logins = Logins(find_keyring=lambda: None)
    assert (logins.find_default(), logins.find_token("https://h/"), logins.has("https://h/")) == (None, None, False)
    logins.forget("https://h/")
    for keep in (logins.require_room, lambda: logins.keep("https://h/", "a-token", made=True)):
        with pytest.raises(ConfigurationError, match="no home on this machine: set HOME, or CONDA_STORE_TOKEN"):
            keep()


def test_nothing_is_told_by_what_is_printed_of_a_login(tmp_path: Path) -> None:
    make(tmp_path).keep(HUB, "csh_one", made=True)
    login = next(iter(make(tmp_path)._read().logins.values()))
    request = LoginRequest(url=HUB, role="admin", host="laptop")
    assert "csh_one" not in repr(login)
    assert request.verifier not in repr(request)
    assert json.loads((tmp_path / "conda-store" / "logins.json").read_text())["default"] == HUB


# The way back


def test_the_address_asks_for_a_code_that_only_this_login_can_use() -> None:
    first, second = (LoginRequest(url=HUB, role="viewer", host="my laptop") for _ in range(2))
    where = urlsplit(first.address)
    assert f"{where.scheme}://{where.netloc}{where.path}" == f"{HUB}oauth2/authorize/"
    asked = dict(parse_qsl(where.query))
    digest = base64.urlsafe_b64encode(hashlib.sha256(first.verifier.encode()).digest()).rstrip(b"=").decode()
    assert (asked["code_challenge"], asked["code_challenge_method"]) == (digest, "S256")
    assert (asked["scope"], asked["host"], asked["client_id"]) == ("viewer", "my laptop", "conda-store")
    assert "redirect_uri" not in asked
    assert first.verifier not in first.address
    assert len({first.verifier, second.verifier, first.state, second.state}) == 4
    assert min(len(first.verifier), len(first.state)) >= 32


def call_back(listener: Listener, iss: str = HUB.rstrip("/"), **values: str) -> httpx.Response:
    assert listener.request.redirect_uri is not None
    return httpx.get(listener.request.redirect_uri, params=values | {"iss": iss}, trust_env=False)


def test_a_code_that_is_typed_in_says_whose_it_is() -> None:
    request = LoginRequest(url=HUB, role="admin", host="h")
    assert request.read_typed("c0-de@hub.example.org/services/conda-store-hub") == "c0-de"
    for typed in ("c0-de", "c0-de@", "c0-de@other.example.org", "c0-de@hub.example.org/services/other", "c@[", "c@x@y"):
        with pytest.raises(NotAuthenticatedError):
            request.read_typed(typed)


def test_a_browser_that_comes_back_brings_the_code() -> None:
    with Listener(LoginRequest(url=HUB, role="admin", host="h")) as listener:
        response = call_back(listener, code="c", state=listener.request.state)
        assert listener.wait(5) == "c"
        assert listener.request.make_exchange("c")["redirect_uri"] == listener.request.redirect_uri
    assert "Go back to your terminal" in response.text
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_who_does_not_know_the_state_is_not_listened_to() -> None:
    with Listener(LoginRequest(url=HUB, role="admin", host="h")) as listener:
        for values in ({"code": "evil"}, {"code": "evil", "state": ""}, {"code": "evil", "state": "guess\u00e9d"}):
            response = call_back(listener, **values)
            assert response.status_code == 400
            assert "evil" not in response.text
        assert httpx.get(listener.request.redirect_uri.replace("callback", "x"), trust_env=False).status_code == 404  # type: ignore[union-attr]
        call_back(listener, code="right", state=listener.request.state)
        assert listener.wait(5) == "right"


def test_a_connection_that_says_nothing_holds_nobody_up() -> None:
    with Listener(LoginRequest(url=HUB, role="admin", host="h")) as listener:
        port = urlsplit(listener.request.redirect_uri or "").port
        with socket.create_connection(("127.0.0.1", port or 0)):
            call_back(listener, code="c", state=listener.request.state)
            assert listener.wait(5) == "c"


@pytest.mark.parametrize(
    ("issuer", "is_taken"),
    [
        (HUB, True),
        (HUB.replace("https", "http"), True),  # behind a proxy that does not say how one came to it
        ("https://HUB.example.org/services/conda%2Dstore-hub", True),
        ("https://hub.example.org:443/services/conda-store-hub/", True),
        ("", False),
        ("https://[", False),
        (OTHER, False),
        ("https://hub.example.org/services/other/", False),
        ("https://hub.example.org:8443/services/conda-store-hub/", False),
        ("https://hub.example.org@evil.example/services/conda-store-hub/", False),
    ],
)
def test_an_answer_of_another_service_is_not_taken(issuer: str, is_taken: bool) -> None:
    """A service that sends its visitors on to another one would get a token of theirs there (RFC 9207)."""
    with Listener(LoginRequest(url=HUB, role="admin", host="h")) as listener:
        call_back(listener, issuer, code="c", state=listener.request.state)
        if is_taken:
            assert listener.wait(5) == "c"
        else:
            with pytest.raises(NotAuthenticatedError, match="Another service than"):
                listener.wait(5)


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ({"error": "access_denied"}, ForbiddenError, "said no"),
        ({"error": "invalid_scope", "error_description": "<b>bad"}, NotAuthenticatedError, "refused the login: <b>bad"),
        ({}, NotAuthenticatedError, "refused"),
    ],
)
def test_a_no_is_told(values: dict[str, str], kind: type[Exception], words: str) -> None:
    with Listener(LoginRequest(url=HUB, role="admin", host="h")) as listener:
        response = call_back(listener, state=listener.request.state, **values)
        with pytest.raises(kind, match=words):
            listener.wait(5)
    assert "<b>" not in response.text


def test_nobody_is_waited_for_forever_or_listened_to_afterwards() -> None:
    with Listener(LoginRequest(url=HUB, role="admin", host="h")) as listener:
        with pytest.raises(NotAuthenticatedError, match="in time"):
            listener.wait(0.01)
        uri = listener.request.redirect_uri or ""
    with pytest.raises(httpx.ConnectError):
        httpx.get(uri, trust_env=False)
    assert threading.active_count() < 50
