"""`c.AuthenticationBackend`: tokens that stand in the configuration, for programs that are nobody on the Hub."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from traitlets import Dict
from traitlets.config import LoggingConfigurable

from conda_store_hub.core.errors import ConfigurationError, InvalidNameError
from conda_store_hub.core.names import check_environment_name, check_namespace_name
from conda_store_hub.core.permissions import Claim, Identity, IdentityKind, Reach, Role, administers, strongest
from conda_store_hub.core.schemas import Moment, RoleName

_HASH = re.compile(r"sha256:([0-9a-f]{64})")
_SHORTEST = 16
_SHOWN = 8
_EVERYTHING = "*/*"


class PredefinedToken(BaseModel):
    """What one of them may; the keys are the seed's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    primary_namespace: str = "default"
    role_bindings: dict[str, list[RoleName]] = {}
    metrics: bool = False
    """Whether it reads the service's metrics; with no role beside, that is all that it does."""
    expiration: Moment | None = None

    @model_validator(mode="after")
    def _check_it_does_something(self) -> Self:
        if not self.role_bindings and not self.metrics:
            raise ValueError("it needs `role_bindings`, or `metrics`, or it may do nothing")
        return self


class AuthenticationBackend(LoggingConfigurable):
    """Recognises the tokens of the configuration; all of it is checked at start."""

    predefined_tokens = Dict(
        help="""Tokens by their text, or by `sha256:` and its SHA-256 in hex, so that no secret stands in the file:
        {"token": {"primary_namespace": "NS", "role_bindings": {"NS/*": ["viewer"]}, "expiration": "2027-01-01"}}.
        A key of role_bindings is NAMESPACE/*, NAMESPACE/ENVIRONMENT, or */* for everything. "metrics": True lets a
        token read the metrics; with no role_bindings it reads nothing else.""",
    ).tag(config=True)

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self._known = dict(_read(text, value) for text, value in self.predefined_tokens.items())

    def find(self, token: str) -> Identity | None:
        """Return what a token may, or None if it is none of them or has expired."""
        found = self._known.get(_digest(token))
        if found is None or (found.expires is not None and found.expires <= datetime.now(UTC)):
            return None
        return replace(found)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def _read(text: Any, value: Any) -> tuple[str, Identity]:
    """Return the digest of a token and who it stands for; a fault is said without the token's text."""
    if not isinstance(text, str) or (not _HASH.fullmatch(text) and len(text) < _SHORTEST):
        raise ConfigurationError(
            f"A token in AuthenticationBackend.predefined_tokens is no text of at least {_SHORTEST} characters."
        )
    match = _HASH.fullmatch(text)
    digest = match[1] if match else _digest(text)
    where = f"the token with SHA-256 {digest[:_SHOWN]}… in AuthenticationBackend.predefined_tokens"
    try:
        token = PredefinedToken.model_validate(value)
        bindings = tuple(_claim(key, roles) for key, roles in token.role_bindings.items())
        check_namespace_name(token.primary_namespace)
    except ValidationError as exc:
        fault = exc.errors(include_url=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise ConfigurationError(f"In {where}, {place or 'the value'}: {fault['msg']}.") from exc
    except InvalidNameError as exc:
        raise ConfigurationError(f"In {where}: {exc.message}") from exc
    return digest, Identity(
        name=f"token {digest[:_SHOWN]}",
        kind=IdentityKind.TOKEN,
        admin=administers(bindings),
        bindings=bindings,
        primary=token.primary_namespace,
        metrics=token.metrics,
        expires=token.expiration,
        via="a token of the configuration",
    )


def _claim(key: str, roles: list[Role]) -> Claim:
    role = strongest(roles)
    namespace, slash, environment = key.partition("/")
    if role is None or not slash:
        raise InvalidNameError(f"“{key}” must be NAMESPACE/*, NAMESPACE/ENVIRONMENT or */*, with at least one role.")
    if key == _EVERYTHING:
        return Claim(role=role)
    if environment == "*":
        return Claim(role=role, reach=Reach(namespace=check_namespace_name(namespace)))
    names = check_namespace_name(namespace), check_environment_name(environment).lower()
    return Claim(role=role, reach=Reach(namespace=names[0], environment=names[1]))
