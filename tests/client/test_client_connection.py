"""Which service is meant and what is shown to it: options, then the environment, then a login, then the Hub."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conda_store_hub.client.connection import (
    AuthKind,
    Connection,
    ConnectionOptions,
    Credentials,
    Source,
    find_connection,
)
from conda_store_hub.core.errors import InvalidRequestError, NotAuthenticatedError, UnavailableError
from conda_store_hub.core.states import ArtifactType
from tests.support.service_twin import TOKEN, ServiceTwin
from tests.support.tls import VERSION, serve_tls

OPTION, ENVIRONMENT, LOGIN, HUB = (f"https://{name}.example/csh/" for name in ("option", "environment", "login", "hub"))
OF_HUB = {"CONDA_STORE_HUB_URL": HUB, "JUPYTERHUB_API_TOKEN": "of-hub"}


@dataclass
class Logins:
    """What was kept of a login."""

    default: str | None = None
    tokens: dict[str, str] = field(default_factory=dict)

    def find_default(self) -> str | None:
        return self.default

    def find_token(self, url: str) -> str | None:
        return self.tokens.get(url)


KEPT = Logins(LOGIN, {LOGIN: "of-login"})


def find(options: dict[str, Any] | None = None, logins: Logins | None = None, **variables: str) -> Connection:
    return find_connection(ConnectionOptions(**options or {}), variables, logins or Logins())


def shown(found: Connection) -> tuple[Source, str | tuple[str, str] | None] | None:
    if found.credentials is None:
        return None
    return found.credentials.source, found.credentials.token or found.credentials.basic


def test_an_address_is_looked_for_in_order() -> None:
    everywhere = {"CONDA_STORE_URL": ENVIRONMENT, **OF_HUB}
    assert find({"url": OPTION}, KEPT, **everywhere).url == OPTION
    assert find({}, KEPT, **everywhere).url == ENVIRONMENT
    assert find({}, KEPT, **OF_HUB).url == LOGIN
    assert find({}, Logins(), **OF_HUB).url == HUB
    with pytest.raises(InvalidRequestError, match="Where is the service"):
        find()


def test_a_credential_is_looked_for_in_order() -> None:
    assert shown(find({}, KEPT, CONDA_STORE_TOKEN="t", **OF_HUB)) == (Source.ENVIRONMENT, "t")
    assert shown(find({}, KEPT, **OF_HUB)) == (Source.LOGIN, "of-login")
    assert shown(find({}, Logins(), **OF_HUB)) == (Source.HUB, "of-hub")
    assert shown(find({"url": OPTION})) is None
    own = Logins(HUB, {HUB: "of-login"})
    assert shown(find({}, own, **OF_HUB)) == (Source.HUB, "of-hub"), "a home may be shared, a server is not"
    assert shown(find({}, own, CONDA_STORE_HUB_URL=HUB)) == (Source.LOGIN, "of-login")
    basic = {"CONDA_STORE_USERNAME": "any", "CONDA_STORE_PASSWORD": "p"}
    assert shown(find({}, KEPT, **basic, **OF_HUB)) == (Source.ENVIRONMENT, ("any", "p"))
    assert shown(find({}, KEPT, CONDA_STORE_TOKEN="t", **basic)) == (Source.ENVIRONMENT, "t")


def test_what_the_hub_gave_goes_to_its_service_alone() -> None:
    assert shown(find({"url": OPTION}, Logins(), **OF_HUB)) is None
    assert shown(find({"url": HUB.rstrip("/")}, Logins(), **OF_HUB)) == (Source.HUB, "of-hub")


def test_what_was_kept_of_a_login_goes_to_its_service_alone() -> None:
    assert shown(find({"url": OPTION}, KEPT)) is None
    assert shown(find({"url": LOGIN}, KEPT)) == (Source.LOGIN, "of-login")


def test_auth_says_what_is_shown() -> None:
    both = {"CONDA_STORE_TOKEN": "t", "CONDA_STORE_USERNAME": "any", "CONDA_STORE_PASSWORD": "p"}
    at = {"url": OPTION}
    assert shown(find({**at, "auth": AuthKind.NONE}, Logins(), **both)) is None
    assert shown(find({**at, "auth": AuthKind.BASIC}, Logins(), **both)) == (Source.ENVIRONMENT, ("any", "p"))
    assert shown(find({**at, "auth": AuthKind.TOKEN}, Logins(), **both)) == (Source.ENVIRONMENT, "t")
    with pytest.raises(NotAuthenticatedError, match="CONDA_STORE_TOKEN"):
        find({**at, "auth": AuthKind.TOKEN})
    with pytest.raises(NotAuthenticatedError, match="CONDA_STORE_PASSWORD"):
        find({**at, "auth": AuthKind.BASIC}, Logins(), CONDA_STORE_USERNAME="any")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Source.ENVIRONMENT, "What CONDA_STORE_TOKEN, or"),
        (Source.LOGIN, "log in again with `conda-store login"),
        (Source.HUB, "start the server anew"),
        (None, "Log in with `conda-store login`"),
    ],
)
def test_what_is_to_be_done_about_a_refusal_fits_what_was_shown(
    twin: ServiceTwin, source: Source | None, words: str
) -> None:
    given = None if source is None else Credentials(source=source, token="worthless")
    found = Connection(url=twin.url, source=Source.OPTION, credentials=given)
    with found.connect() as client, pytest.raises(NotAuthenticatedError, match=words):
        client.version()


def test_a_secret_is_in_no_text() -> None:
    assert "secret" not in repr(find({"url": OPTION}, Logins(), CONDA_STORE_TOKEN="secret"))


def test_a_name_and_a_password_are_shown_as_the_standard_says(twin: ServiceTwin) -> None:
    found = find({"url": twin.url}, Logins(), CONDA_STORE_USERNAME="any", CONDA_STORE_PASSWORD="pässword")
    with found.connect() as client, pytest.raises(NotAuthenticatedError):
        client.version()
    assert twin.requests[0].headers["Authorization"] == "Basic YW55OnDDpHNzd29yZA=="


@pytest.mark.parametrize("token", ["two words", f"{TOKEN}\n", "tökén"])
def test_what_is_no_token_is_not_sent(twin: ServiceTwin, token: str) -> None:
    with pytest.raises(InvalidRequestError, match="no token has") as refused:
        find({"url": twin.url}, Logins(), CONDA_STORE_TOKEN=token).connect()
    assert token.strip() not in refused.value.public_message


def test_a_file_of_authorities_that_is_none_is_told_in_words(tmp_path: Path) -> None:
    for name, content, reason in (("none", None, "No such file"), ("empty", b"", "no cert"), ("text", b"x", "no cert")):
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(InvalidRequestError, match=reason):
            find({"url": OPTION, "ca_file": file}).connect()
    with pytest.raises(InvalidRequestError, match="not both"):
        find({"url": OPTION, "ca_file": file, "no_verify": True})


def test_who_is_sent_from_http_to_https_trusts_what_is_trusted_there(
    twin: ServiceTwin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is trusted is read no sooner: a service at an address with http needs none of it."""
    with serve_tls(tmp_path) as (url, authority):
        twin.state.instead = (302, {"Location": url}, b"")
        with find({"url": twin.url}).connect() as client, pytest.raises(UnavailableError, match="not trusted"):
            client.download(1, ArtifactType.LOCKFILE, tmp_path / "lock")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        with find({"url": twin.url}).connect() as client:
            client.download(1, ArtifactType.LOCKFILE, tmp_path / "lock")
        assert (tmp_path / "lock").read_bytes() == VERSION


def test_an_untrusted_certificate_says_what_to_do_and_can_be_trusted(tmp_path: Path) -> None:
    with serve_tls(tmp_path) as (url, authority):
        refused = pytest.raises(UnavailableError, match=r"not trusted \(self-signed certificate\): .*--ca-file")
        with find({"url": url}).connect() as client, refused:
            client.version()
        for trusting in ({"ca_file": authority}, {"no_verify": True}):
            with find({"url": url, **trusting}).connect() as client:
                assert client.version().version == "0.1.0"
