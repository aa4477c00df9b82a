"""The OAuth 2.0 server that programs log in at: oauthlib's authorization code grant, with PKCE, for one public client.

Slow to load, so only those who need it import it, when they do. What a code is worth is `services.authorization`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from oauthlib.common import Request
from oauthlib.oauth2 import (
    AccessDeniedError,
    AuthorizationCodeGrant,
    AuthorizationEndpoint,
    BearerToken,
    FatalClientError,
    OAuth2Error,
    RequestValidator,
    RevocationEndpoint,
    TokenEndpoint,
)
from oauthlib.oauth2.rfc6749.errors import InvalidRequestError as OAuthRequestError
from oauthlib.oauth2.rfc6749.errors import UnsupportedCodeChallengeMethodError
from sqlalchemy.orm import Session

from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.oauth import CALLBACK_PATH, CHALLENGE_METHOD, CLIENT_ID
from conda_store_hub.core.permissions import Identity, Role
from conda_store_hub.db.tables import AuthorizationCode
from conda_store_hub.services import authorization, tokens
from conda_store_hub.services.authorization import Leave

_LOOPBACK = re.compile(rf"http://(127\.0\.0\.1|\[::1\]):[1-9][0-9]{{0,4}}{re.escape(CALLBACK_PATH)}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_SHOWN = "about:blank"  # stands for "shown on a page" where the grant wants an address; nobody is ever sent there
_GRANT = "authorization_code"
_MOST_TEXTS = 4  # there is one in what a program sends


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a program asks for that may have it; `redirect_uri` is empty where the code is to be shown."""

    uri: str
    redirect_uri: str
    challenge: str
    role: Role
    state: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """What cannot be asked for, and where a program is told so."""

    location: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """The answer to a program."""

    status: int
    headers: dict[str, str]
    body: str


def read_request(uri: str) -> Asked | Refused:
    """Read what a browser was sent with; InvalidRequestError for what must not be answered by sending it on."""
    endpoint = _make_authorization(_Rules())
    try:
        _, found = endpoint.validate_authorization_request(uri)
    except FatalClientError as exc:
        raise InvalidRequestError(_explain(exc)) from exc
    except OAuth2Error as exc:
        if exc.redirect_uri in (None, _SHOWN):
            raise InvalidRequestError(_explain(exc)) from exc
        return Refused(location=exc.in_uri(exc.redirect_uri))
    except ValueError as exc:  # what is no query at all
        raise InvalidRequestError(_NOT_UNDERSTOOD) from exc
    request: Any = found["request"]
    return Asked(
        uri=uri,
        redirect_uri="" if request.redirect_uri == _SHOWN else request.redirect_uri,
        challenge=request.code_challenge,
        role=Role(request.scopes[0]),
        state=request.state or "",
    )


def refuse(asked: Asked) -> str:
    """Return where a browser is sent with the news that its user said no."""
    return str(AccessDeniedError(state=asked.state or None).in_uri(asked.redirect_uri))


def allow(session: Session, identity: Identity, asked: Asked, leave: Leave, *, pepper: bytes) -> str:
    """Give leave; return where a browser is sent with the code for it."""
    endpoint = _make_authorization(_Giving(session, identity, leave, pepper))
    headers, _, _ = endpoint.create_authorization_response(asked.uri, scopes=[leave.role.value])
    return str(headers["Location"])


def read_code(location: str) -> str:
    """Return the code in an address that `allow` gave."""
    return parse_qs(urlsplit(location).query)["code"][0]


def is_known(session: Session, body: str, *, pepper: bytes) -> bool:
    """Tell whether a form has a code or a token that there is, or was."""
    try:
        form = parse_qs(body)
    except ValueError:
        return False
    texts = [*form.get("code", []), *form.get("token", [])]
    return any(authorization.is_known(session, text, pepper=pepper) for text in texts[:_MOST_TEXTS])


def exchange(session: Session, uri: str, body: str, *, source: str, pepper: bytes) -> Answered:
    """Give the token that a code stands for to who has its verifier, once."""
    rules = _Taking(session, source, pepper)
    endpoint = TokenEndpoint(_GRANT, rules.bearer, {_GRANT: _make_grant(rules)})
    return _answer(endpoint.create_token_response, uri, body)


def revoke(session: Session, uri: str, body: str, *, source: str, pepper: bytes) -> Answered:
    """End the token that a program has, when its user logs out."""
    endpoint = RevocationEndpoint(_Taking(session, source, pepper), supported_token_types=("access_token",))
    return _answer(endpoint.create_revocation_response, uri, body)


def _answer(ask: Callable[..., tuple[dict[str, str], str, int]], uri: str, body: str) -> Answered:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        told, text, status = ask(uri, http_method="POST", body=body, headers=headers)
    except OAuth2Error as exc:
        return Answered(status=exc.status_code, headers={}, body=exc.json)
    except ValueError:
        return Answered(status=HTTPStatus.BAD_REQUEST, headers={}, body=OAuthRequestError().json)
    return Answered(status=status, headers=dict(told), body=text)


_NOT_UNDERSTOOD = (
    "The program that sent you here did not say in the right way what it wants, so it cannot be answered. Nothing was"
    " given to it. Start its login again; if this comes back, the program is not conda-store, or is older or newer than"
    " this service."
)


def _explain(error: OAuth2Error) -> str:
    """Say what is wrong in oauthlib's words, which hold nothing of what was sent."""
    what = error.description or error.error
    return f"{_NOT_UNDERSTOOD} (What is wrong: {str(what).strip().rstrip('.')}.)"


def _make_authorization(rules: RequestValidator) -> AuthorizationEndpoint:
    bearer: Any = BearerToken(rules)
    return AuthorizationEndpoint("code", bearer, {"code": _make_grant(rules)})


def _make_grant(rules: RequestValidator) -> AuthorizationCodeGrant:
    grant = AuthorizationCodeGrant(rules, refresh_token=False, post_auth=[_require_challenge])
    grant.register_token_modifier(_say_no_end)
    return grant


def _require_challenge(request: Any) -> dict[str, Any]:
    """Take no challenge but by S256: `plain`, which oauthlib takes too, shows the verifier to who reads addresses."""
    if request.response_mode not in (None, "query"):
        raise OAuthRequestError("The response_mode is not query", request=request)
    if request.code_challenge_method != CHALLENGE_METHOD:
        raise UnsupportedCodeChallengeMethodError(request=request)
    if not _CHALLENGE.fullmatch(request.code_challenge):
        raise OAuthRequestError("The code_challenge is none of S256", request=request)
    return {}


def _say_no_end(token: dict[str, Any], _handler: object, _request: object) -> dict[str, Any]:
    """Leave out when a token ends that never does."""
    return {key: value for key, value in token.items() if not (key == "expires_in" and value == _NEVER)}


_NEVER = -1


@dataclass(frozen=True, slots=True)
class _Client:
    client_id: str = CLIENT_ID


class _Rules(RequestValidator):
    """What oauthlib asks about requests: there is one client, it is public, and is called back on its own machine."""

    def client_authentication_required(self, request: Request, *args: Any, **kwargs: Any) -> bool:
        return False

    def authenticate_client_id(self, client_id: str | None, request: Any, *args: Any, **kwargs: Any) -> bool:
        request.client = _Client()
        return client_id == CLIENT_ID

    def validate_client_id(self, client_id: str, request: Request, *args: Any, **kwargs: Any) -> bool:
        return client_id == CLIENT_ID

    def validate_redirect_uri(
        self, client_id: str, redirect_uri: str, request: Request, *args: Any, **kwargs: Any
    ) -> bool:
        return _LOOPBACK.fullmatch(redirect_uri) is not None

    def get_default_redirect_uri(self, client_id: str, request: Request, *args: Any, **kwargs: Any) -> str:
        return _SHOWN

    def validate_response_type(
        self, client_id: str, response_type: str, client: object, request: Request, *args: Any, **kwargs: Any
    ) -> bool:
        return response_type == "code"

    def validate_grant_type(
        self, client_id: str, grant_type: str, client: object, request: Request, *args: Any, **kwargs: Any
    ) -> bool:
        return grant_type == _GRANT

    def get_default_scopes(self, client_id: str, request: Request, *args: Any, **kwargs: Any) -> list[str]:
        return [Role.VIEWER.value]

    def validate_scopes(
        self, client_id: str, scopes: list[str], client: object, request: Request, *args: Any, **kwargs: Any
    ) -> bool:
        return len(scopes) == 1 and scopes[0] in list(Role)

    def is_pkce_required(self, client_id: str, request: Request) -> bool:
        return True


class _Giving(_Rules):
    """Those, where a user has said yes."""

    def __init__(self, session: Session, identity: Identity, leave: Leave, pepper: bytes) -> None:
        self._session = session
        self._identity = identity
        self._leave = leave
        self._pepper = pepper

    def save_authorization_code(
        self, client_id: str, code: dict[str, str], request: Request, *args: Any, **kwargs: Any
    ) -> None:
        authorization.give(self._session, self._identity, self._leave, code["code"], pepper=self._pepper)


class _Taking(_Rules):
    """Those, where a program comes with a code, or with a token to be ended."""

    def __init__(self, session: Session, source: str, pepper: bytes) -> None:
        self._session = session
        self._source = source
        self._pepper = pepper
        self._found: AuthorizationCode | None = None
        self.bearer: Any = BearerToken(self, token_generator=self._make_text, expires_in=self._count_seconds)

    @property
    def _leave(self) -> AuthorizationCode:
        if self._found is None:
            raise LookupError("no code was looked for")
        return self._found

    def validate_code(self, client_id: str, code: str, client: object, request: Any, *args: Any, **kwargs: Any) -> bool:
        self._found = authorization.find(self._session, code, source=self._source, pepper=self._pepper)
        if self._found is None or self._found.redirect_uri != (request.redirect_uri or ""):
            return False
        request.user, request.scopes = self._found.user.name, [self._found.role.value]
        return True

    def get_code_challenge(self, code: str, request: Request) -> str:
        return self._leave.challenge

    def get_code_challenge_method(self, code: str, request: Request) -> str:
        return CHALLENGE_METHOD

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, client: object, request: Request, *args: Any, **kwargs: Any
    ) -> bool:
        return True  # looked at with the code: another address is an invalid grant (RFC 6749, 5.2)

    def save_token(self, token: dict[str, Any], request: Request, *args: Any, **kwargs: Any) -> None:
        text = str(token["access_token"])
        authorization.take_up(self._session, self._leave, text, source=self._source, pepper=self._pepper)

    def invalidate_authorization_code(
        self, client_id: str, code: str, request: Request, *args: Any, **kwargs: Any
    ) -> None:
        """Taken up, it is worth nothing already."""

    def revoke_token(
        self, token: str, token_type_hint: str | None, request: Request, *args: Any, **kwargs: Any
    ) -> None:
        authorization.give_back(self._session, token, source=self._source, pepper=self._pepper)

    def _make_text(self, _request: Request) -> str:
        return tokens.make_text()

    def _count_seconds(self, _request: Request) -> int:
        end = self._leave.token_expires_at
        return _NEVER if end is None else max(0, int((end - datetime.now(UTC)).total_seconds()))
