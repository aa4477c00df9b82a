"""What builds may be and how long they stay: the keys, what each takes, and how what people set is read."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    ValidationError,
    WithJsonSchema,
    create_model,
)

from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.matchspec import check_address, check_channel
from conda_store_hub.core.names import shorten
from conda_store_hub.core.packages import check_listed_package, check_package
from conda_store_hub.core.states import MADE_OF_PREFIXES, ArtifactType, PrefixArtifact

MOST_ENTRIES = 1_000
PYPI = "https://pypi.org/simple"
_MOST_SECONDS = 30 * 86_400
_MOST_BYTES = 1 << 60
_MOST = 10**9


class Scope(StrEnum):
    """Where a value comes from, from the outermost to the innermost."""

    CONFIGURATION = "configuration"
    SERVICE = "service"
    NAMESPACE = "namespace"
    ENVIRONMENT = "environment"


class Merge(StrEnum):
    """How a value that is set further in bears on the one that counts further out."""

    NEAREST = "nearest"
    """A preference: the innermost counts."""
    CAPPED = "capped"
    """A preference up to what the service has: the innermost counts, and no more than that."""
    LEAST = "least"
    """A limit: the smallest counts."""
    ALL = "all"
    """A list that only grows: what stands anywhere counts."""
    COMMON = "common"
    """A list of what is allowed: what every one of them allows."""
    BOTH = "both"
    """A permission: everybody has to give it."""


@dataclass(frozen=True, slots=True)
class Key:
    """What there is to know of a key beside its type: how it is merged, what it takes, where it can be set."""

    merge: Merge
    takes: str
    scopes: frozenset[Scope] = frozenset({Scope.SERVICE, Scope.NAMESPACE, Scope.ENVIRONMENT})


_PACKAGES = f"a list of at most {MOST_ENTRIES} packages, each a name with or without versions"
_CHANNELS = f"a list of at most {MOST_ENTRIES} channels, each a name or an http(s) address"
_SECONDS = f"a whole number of seconds from 1 to {_MOST_SECONDS}"
_BYTES = f"a whole number of bytes from 1 to {_MOST_BYTES}"

_Entries = Field(max_length=MOST_ENTRIES)
Channel = Annotated[str, AfterValidator(check_channel)]
Address = Annotated[str, AfterValidator(check_address)]
Channels = Annotated[tuple[Channel, ...], _Entries]
Packages = Annotated[tuple[Annotated[str, AfterValidator(check_package)], ...], _Entries]
Dependencies = Annotated[tuple[Annotated[str, AfterValidator(check_listed_package)], ...], _Entries]
Seconds = Annotated[StrictInt, Field(ge=1, le=_MOST_SECONDS)]
Bytes = Annotated[StrictInt, Field(ge=1, le=_MOST_BYTES)]


def _pairs(value: object) -> object:
    return tuple(sorted(cast("dict[Any, Any]", value).items(), key=str)) if isinstance(value, dict) else value


Aliases = Annotated[
    tuple[tuple[Channel, Address], ...],
    BeforeValidator(_pairs),
    _Entries,
    PlainSerializer(dict, return_type=dict[str, str]),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
]


class PolicyValues(BaseModel):
    """Every key, with what counts where nobody has set it. `model_fields_set` is what was set in one place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default_channels: Annotated[Channels, Field(min_length=1), Key(Merge.NEAREST, _CHANNELS)] = Field(
        ("conda-forge",), description="Channels of a specification that names none."
    )
    allowed_channels: Annotated[
        Annotated[Channels, Field(min_length=1)] | None, Key(Merge.COMMON, f"{_CHANNELS}, and not an empty one")
    ] = Field(None, description="Channels that may be used, and all below them. Without it, all of the usual host.")
    channel_aliases: Annotated[
        Aliases,
        Key(Merge.NEAREST, "an object: the address of each name of a channel", frozenset({Scope.SERVICE})),
    ] = Field((), description="Addresses of channels that have a name of their own here.")
    required_packages: Annotated[Packages, Key(Merge.ALL, _PACKAGES)] = Field(
        (), description="Packages that every specification has to name."
    )
    included_packages: Annotated[Dependencies, Key(Merge.ALL, _PACKAGES)] = Field(
        (), description="Packages that are added to every environment."
    )
    default_packages: Annotated[Dependencies, Key(Merge.NEAREST, _PACKAGES)] = Field(
        (), description="Packages of a specification that names none."
    )
    forbidden_packages: Annotated[Packages, Key(Merge.ALL, _PACKAGES)] = Field(
        (), description="Packages, or versions of them, that no environment may have."
    )
    pip_allowed: Annotated[StrictBool, Key(Merge.BOTH, "`true` or `false`")] = Field(
        default=True, description="Whether a specification may have a pip part."
    )
    pip_indexes: Annotated[
        tuple[Address, ...],
        _Entries,
        Field(min_length=1),
        Key(Merge.COMMON, "a list of http(s) addresses, and not an empty one"),
    ] = Field((PYPI,), description="Indexes that the pip part may be installed from; the first is the usual one.")
    solve_seconds: Annotated[Seconds, Key(Merge.LEAST, _SECONDS)] = Field(
        300, description="Seconds that one solve may take."
    )
    build_seconds: Annotated[Seconds, Key(Merge.LEAST, _SECONDS)] = Field(
        7200, description="Seconds after which a build is ended and fails."
    )
    memory_bytes: Annotated[Bytes | None, Key(Merge.LEAST, _BYTES)] = Field(
        None, description="Bytes of memory that a build may use."
    )
    disk_bytes: Annotated[Bytes | None, Key(Merge.LEAST, _BYTES)] = Field(
        None, description="Bytes that an environment may have on disk."
    )
    file_count: Annotated[
        Annotated[StrictInt, Field(ge=1, le=_MOST)] | None, Key(Merge.LEAST, f"a whole number from 1 to {_MOST}")
    ] = Field(None, description="Files that an environment may have.")
    quota_builds: Annotated[
        Annotated[StrictInt, Field(ge=0, le=_MOST)] | None, Key(Merge.LEAST, f"a whole number from 0 to {_MOST}")
    ] = Field(None, description="Builds that a namespace may have; of an environment, those that it may have.")
    quota_bytes: Annotated[
        Annotated[StrictInt, Field(ge=0, le=_MOST_BYTES)] | None,
        Key(Merge.LEAST, f"a whole number of bytes from 0 to {_MOST_BYTES}"),
    ] = Field(None, description="Bytes that the builds of a namespace may have on disk; likewise of an environment.")
    keep_builds: Annotated[
        Annotated[StrictInt, Field(ge=1, le=_MOST)] | None, Key(Merge.CAPPED, f"a whole number from 1 to {_MOST}")
    ] = Field(None, description="How many of an environment's newest builds are kept.")
    keep_days: Annotated[
        Annotated[StrictInt, Field(ge=1, le=36_500)] | None, Key(Merge.CAPPED, "a whole number of days from 1 to 36500")
    ] = Field(None, description="For how many days builds are kept.")
    artifacts: Annotated[tuple[PrefixArtifact, ...], Key(Merge.NEAREST, f"a list of {', '.join(MADE_OF_PREFIXES)}")] = (
        Field(
            (ArtifactType.LOCKFILE, ArtifactType.YAML, ArtifactType.CONDA_PACK),
            description="What a build yields beside its prefix and its log.",
        )
    )


def _read_keys() -> dict[str, Key]:
    return {
        name: next(item for item in field.metadata if isinstance(item, Key))
        for name, field in PolicyValues.model_fields.items()
    }


#: What is known of each key of PolicyValues.
KEYS: Mapping[str, Key] = _read_keys()

_optional: dict[str, Any] = {
    name: (Annotated[field.annotation, *field.metadata] | None, Field(None, description=field.description))  # type: ignore[valid-type]
    for name, field in PolicyValues.model_fields.items()
}
#: Some keys with their values; null takes back what was set.
ChangePolicy: type[BaseModel] = create_model(
    "ChangePolicy",
    __config__=ConfigDict(frozen=True),
    __doc__="Some keys with new values; `null` takes back what was set.",
    **_optional,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What is to be set in one place, and of which keys what was set is taken back."""

    values: PolicyValues
    unset: frozenset[str]

    @property
    def keys(self) -> list[str]:
        """Every key that it names, in order."""
        return sorted(self.values.model_fields_set | self.unset)

    def only(self, key: str) -> Change:
        """Return the part of it that is about one key."""
        fields = self.values.model_fields_set & {key}
        values = PolicyValues.model_construct(fields, **{name: getattr(self.values, name) for name in fields})
        return Change(values=values, unset=self.unset & {key})


def read_change(given: Mapping[str, object]) -> Change:
    """Return what somebody wants to set; raise InvalidRequestError with the key and what it takes."""
    for name in given:
        if name not in KEYS:
            raise InvalidRequestError(_unknown(name))
    unset = frozenset(name for name, value in given.items() if value is None)
    wanted = {name: value for name, value in given.items() if value is not None}
    return Change(values=read_values(wanted), unset=unset)


def read_values(given: Mapping[str, object]) -> PolicyValues:
    """Return values by key; raise InvalidRequestError with the first key that is not as it has to be."""
    try:
        return PolicyValues.model_validate(dict(given))
    except ValidationError as exc:
        raise InvalidRequestError(_say(exc)) from exc


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name[:100], KEYS, n=1)
    return f"There is no setting “{shorten(name)}”." + (
        f" Did you mean {near[0]}?" if near else f" There are: {', '.join(KEYS)}."
    )


def _say(exc: ValidationError) -> str:
    fault = exc.errors(include_url=False)[0]
    key, *where = fault["loc"]
    if key not in KEYS:
        return _unknown(str(key))
    place = next((f", entry {part + 1}" for part in where if isinstance(part, int)), "")
    own = fault.get("ctx", {}).get("error")  # what others say of types is no language for people
    reason = str(own) if own is not None else f"this is “{shorten(json.dumps(fault['input'], default=str))}”"
    return f"`{key}` takes {KEYS[str(key)].takes}{place}: {reason}."
