"""What can be asked about who may what: oneself, tokens, and the roles that others have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict

from conda_store_hub.client.api_environments import environment_path
from conda_store_hub.client.transport import Transport
from conda_store_hub.core import schemas
from conda_store_hub.core.errors import NotAuthenticatedError, UnavailableError
from conda_store_hub.core.names import check_namespace_name
from conda_store_hub.core.oauth import CHALLENGE_METHOD, CLIENT_ID, METADATA_PATH, REVOKE_PATH, TOKEN_PATH


class _Exchanged(BaseModel):
    """What OAuth answers: a token, or an error."""

    model_config = ConfigDict(frozen=True)

    access_token: str | None = None
    error: str | None = None
    error_description: str | None = None

    @property
    def reason(self) -> str:
        """What is wrong, in the service's words."""
        return (self.error_description or self.error or "it did not say why").strip().rstrip(".")


class _Metadata(BaseModel):
    """As much of RFC 8414 as tells whether there is a login for us."""

    model_config = ConfigDict(frozen=True)

    authorization_endpoint: str
    token_endpoint: str
    code_challenge_methods_supported: tuple[str, ...]


class AccessCalls(Transport):
    """A client's methods about rights."""

    # Logins

    def takes_logins(self) -> bool:
        """Tell whether the service lets programs log in by a browser; one that is older does not."""
        with self._translated():
            response = self._http.get(self._url.join(f"../../{METADATA_PATH}"))
        if response.status_code == HTTPStatus.NOT_FOUND:
            return False
        self._check(response)
        return CHALLENGE_METHOD in self._read(response, _Metadata).code_challenge_methods_supported

    def exchange(self, form: Mapping[str, str]) -> str:
        """Return the token that a code stands for."""
        answer = self._post_form(TOKEN_PATH, form)
        if answer.access_token is None:
            raise NotAuthenticatedError(
                f"The service gave no token: {answer.reason}. The code may be too old, or may have been used."
            )
        return answer.access_token

    def give_back(self, token: str) -> None:
        """End a token; one that has ended already is no error."""
        answer = self._post_form(REVOKE_PATH, {"token": token, "client_id": CLIENT_ID})
        if answer.error is not None:
            raise UnavailableError(f"The service did not end the token: {answer.reason}.")

    def _post_form(self, path: str, form: Mapping[str, str]) -> _Exchanged:
        with self._translated():
            response = self._http.post(self._url.join(f"../../{path}"), data=dict(form))
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise self._strange(response)
        answer = self._read(response, _Exchanged)
        if not response.is_success and answer.error is None:
            raise self._strange(response)
        return answer

    # Oneself, tokens and roles

    def version(self) -> schemas.Version:
        """Return the version of the service."""
        return self._get("", schemas.Answer[schemas.Version]).data

    def permission(self) -> schemas.PermissionSummary:
        """Return who the service takes us for, and what we may do."""
        return self._get("permission/", schemas.Answer[schemas.PermissionSummary]).data

    def list_tokens(self) -> Iterator[schemas.TokenView]:
        """Yield our tokens that were not revoked."""
        return self._pages("token/", schemas.Page[schemas.TokenView], {}, after=lambda last: {"after": last.id})

    def make_token(self, request: schemas.MakeToken) -> schemas.NewToken:
        """Make a token; its text is in the answer and nowhere else."""
        return self._read(self._ask("POST", "token/", body=request), schemas.Answer[schemas.NewToken]).data

    def revoke_token(self, token_id: int) -> None:
        """Revoke a token."""
        self._tell("DELETE", f"token/{token_id}/")

    def list_members(self, namespace: str, name: str | None = None) -> Iterator[schemas.Member]:
        """Yield who has a role on a namespace, or on one environment alone."""
        place = f"{_place(namespace, name)}member/"
        return self._pages(place, schemas.Page[schemas.Member], {}, after=lambda last: {"after": last.id})

    def grant(self, namespace: str, name: str | None, request: schemas.GrantRole) -> schemas.Member:
        """Give a role, or change it; its end stays as it is where the request was made without one, not with None."""
        response = self._ask("PUT", f"{_place(namespace, name)}member/", body=request, says_null=True)
        return self._read(response, schemas.Answer[schemas.Member]).data

    def remove_member(self, namespace: str, name: str | None, member_id: int) -> None:
        """Take a role back."""
        self._tell("DELETE", f"{_place(namespace, name)}member/{member_id}/")


def _place(namespace: str, name: str | None) -> str:
    if name is None:
        return f"namespace/{check_namespace_name(namespace)}/"
    return environment_path(namespace, name)
