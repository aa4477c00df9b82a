"""Specifications as they are submitted: read, held against the rules of their place, and what is asked of the builder.

Nothing here needs a database. What is refused is refused with the line that is at fault, and with who forbids it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from conda_store_hub.core import matchspec, packages, schemas, spec
from conda_store_hub.core.errors import (
    InvalidRequestError,
    InvalidSpecificationError,
    PolicyRefusedError,
)
from conda_store_hub.core.names import check_description, check_environment_name, shorten
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.policy import PYPI
from conda_store_hub.core.spec import Entry, Specification
from conda_store_hub.services.rules import BuildRules, Proposal

_LONGEST_SENTENCE = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A specification that was read, for an environment of that name."""

    name: str
    text: str
    description: str
    specification: Specification


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedSpecification(Submission):
    """A specification that was held against the rules: nothing in it can surprise the builder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What the builder is asked for: what was typed, and what the rules make of it."""

    channels: tuple[str, ...]
    dependencies: tuple[Entry, ...]
    pip: tuple[Entry, ...]
    pip_index: str | None
    constraints: tuple[str, ...]
    excluded: tuple[str, ...]


def read(request: schemas.SubmitSpecification) -> Submission:
    """Read what was submitted; raise with the place of the first fault."""
    if request.is_lockfile:
        raise InvalidRequestError("A lockfile cannot be submitted yet; submit an environment.yaml.")
    specification = spec.parse(request.specification, may_be_empty=True)
    return Submission(
        name=_name(specification, request.environment_name),
        text=request.specification,
        description=check_description(request.environment_description or specification.description or ""),
        specification=specification,
    )


def _name(specification: Specification, asked: str | None) -> str:
    if asked is None and specification.name is None:
        raise InvalidSpecificationError("The specification has no `name:`; add one on its first line.")
    if asked is not None and specification.name not in (None, asked):
        raise InvalidSpecificationError(
            f"The specification is named “{specification.name}”, but the environment asked for is “{shorten(asked)}”."
        )
    return check_environment_name(asked or specification.name or "")


def check(submission: Submission, rules: BuildRules) -> PreparedSpecification:
    """Hold a specification against the rules; raise with the place of the first fault."""
    if rules.refusal:
        raise PolicyRefusedError(rules.refusal)
    if _is_empty(submission.specification) and not rules.values.default_packages:
        spec.parse(submission.text)  # says where something is missing
    make_plan(submission.specification, rules)
    return PreparedSpecification(
        name=submission.name,
        text=submission.text,
        description=submission.description,
        specification=submission.specification,
    )


def ask_hook(
    submission: Submission, rules: BuildRules, *, namespace: str, identity: Identity, log: logging.Logger
) -> None:
    """Ask the administrator's own check; raise PolicyRefusedError with its sentence, or when it fails itself."""
    if rules.hook is None:
        return
    proposal = Proposal(
        namespace=namespace,
        environment=submission.name,
        text=submission.text,
        specification=submission.specification,
        who=identity.name,
    )
    try:
        sentence = _sentence(rules.hook(proposal))
    except PolicyRefusedError:
        raise
    except (Exception, SystemExit) as exc:
        log.exception("validate_specification failed on “%s/%s”", namespace, submission.name)
        raise PolicyRefusedError(
            "This service's own check of specifications failed, so nothing is built;"
            " its administrators find the reason in the log."
        ) from exc
    if sentence is not None:
        raise PolicyRefusedError(sentence[:_LONGEST_SENTENCE] or None)


def _sentence(answer: object) -> str | None:
    if answer is None or isinstance(answer, str):
        return answer
    raise TypeError(f"validate_specification returned {type(answer).__name__}, not None or a sentence")


def make_plan(specification: Specification, rules: BuildRules) -> Plan:
    """Return what to ask the builder for; raise with the place of the first thing that the rules do not allow."""
    written = specification.dependencies
    if _is_empty(specification):
        written = _added(rules.values.default_packages)
    if not written and not specification.pip:
        raise InvalidSpecificationError("A specification needs at least one dependency.")
    versions = _read_versions(written)
    _refuse_forbidden(written, versions, rules)
    _require_required(versions, rules)
    dependencies = (*written, *_included(versions, rules))
    pip, index = _plan_pip(specification.pip, rules)
    _check_pip_has_python(pip, dependencies)
    _check_platforms(specification, rules)
    return Plan(
        channels=resolve_channels(specification, rules),
        dependencies=dependencies,
        pip=pip,
        pip_index=None if index == PYPI else index,
        constraints=_constraints(rules),
        excluded=tuple(dict.fromkeys(rules.values.forbidden_packages)),
    )


def resolve_channels(specification: Specification, rules: BuildRules) -> tuple[str, ...]:
    """Return the addresses of the channels in order: those written, or the default ones."""
    # conda's own word for "and no others"; there are no others here.
    written = [entry for entry in specification.channels if entry.text != "nodefaults"]
    policy = rules.policy
    addresses = [
        matchspec.resolve_channel(
            entry,
            alias=policy.channel_alias,
            aliases=dict(rules.values.channel_aliases),
            allowed=rules.values.allowed_channels or (),
        )
        for entry in written or _added(rules.values.default_channels)
    ]
    return tuple(dict.fromkeys(addresses))


def _is_empty(specification: Specification) -> bool:
    return not specification.dependencies and not specification.pip


def _added(texts: Iterable[str]) -> tuple[Entry, ...]:
    """Return lines that nobody typed."""
    return tuple(Entry(text=text, line=1, column=1) for text in texts)


Versions = dict[str, list[tuple[Entry, str | None]]]


def _read_versions(entries: Iterable[Entry]) -> Versions:
    """Return the lines about each package, with the versions they ask for."""
    found: Versions = defaultdict(list)
    for entry in entries:
        parsed = matchspec.parse_dependency(entry)
        version = parsed.version
        found[packages.name_of(parsed)].append((entry, None if version is None else str(version)))
    return found


def _refuse_forbidden(written: Iterable[Entry], versions: Versions, rules: BuildRules) -> None:
    order = {entry: place for place, entry in enumerate(written)}
    faults = [
        (order[entry], entry, text)
        for text in rules.values.forbidden_packages
        for name, forbidden in [packages.read_package(text)]
        for entry, wanted in versions.get(name, ())
        if packages.is_all_forbidden(wanted, forbidden)
    ]
    if faults:
        _, entry, text = min(faults, key=lambda fault: fault[0])
        raise _forbidden(entry, text, rules)


def _forbidden(entry: Entry, text: str, rules: BuildRules) -> PolicyRefusedError:
    who = _who_says("forbidden_packages", text, rules)
    return _refused(entry, f"“{shorten(entry.text)}” cannot be used here: the policy of the {who} forbids “{text}”.")


def _who_says(key: str, text: str, rules: BuildRules) -> str:
    """Return the outermost place in which an entry of a list was set."""
    return next((one.source for one in rules.policy.given(key) if text in one.value), rules.policy.source(key))


def _require_required(versions: Versions, rules: BuildRules) -> None:
    missing = [text for text in rules.values.required_packages if packages.read_package(text)[0] not in versions]
    if missing:
        who = _who_says("required_packages", missing[0], rules)
        names = ", ".join(f"“{text}”" for text in missing[:20])
        raise PolicyRefusedError(f"The policy of the {who} requires {names}: add what is missing to the dependencies.")


def _included(versions: Versions, rules: BuildRules) -> tuple[Entry, ...]:
    """Return what the policy adds; a bare name that was typed with a version adds nothing."""
    added = ((text, *packages.read_package(text)) for text in rules.values.included_packages)
    return _added(text for text, name, version in added if version is not None or name not in versions)


def _plan_pip(lines: tuple[Entry, ...], rules: BuildRules) -> tuple[tuple[Entry, ...], str | None]:
    """Return the requirements of the pip part and the index for them."""
    allowed = rules.values.pip_indexes
    if not lines:
        return (), next(iter(allowed), None)
    if not rules.values.pip_allowed:
        who = rules.policy.source("pip_allowed")
        raise _refused(lines[0], f"The policy of the {who} allows no pip part here.")
    if not allowed:
        raise _refused(lines[0], "The policies here leave no index that the pip part could come from.")
    kept: list[Entry] = []
    chosen: str | None = None
    for entry in lines:
        index = matchspec.read_index_option(entry)
        if index is None:
            _check_requirement(entry, rules)
            kept.append(entry)
        elif index not in allowed:
            raise _refused(entry, f"“{shorten(index)}” is no index that is allowed here: {', '.join(allowed[:5])}.")
        elif chosen not in (None, index):
            raise _refused(entry, "The pip part comes from one index; a second one is named here.")
        else:
            chosen = index
    return tuple(kept), chosen or allowed[0]


def _check_requirement(entry: Entry, rules: BuildRules) -> None:
    requirement = matchspec.parse_pip_line(entry)
    for text in rules.values.forbidden_packages:
        if packages.is_forbidden_for_pip(requirement, *packages.read_package(text)):
            raise _forbidden(entry, text, rules)


def _check_pip_has_python(pip: tuple[Entry, ...], dependencies: tuple[Entry, ...]) -> None:
    names = {entry.text.split(maxsplit=1)[0].lower() for entry in dependencies}
    if pip and not any(name.startswith(("python", "pip")) for name in names):
        raise InvalidSpecificationError(
            "The pip part needs Python: add `python` to the dependencies.", line=pip[0].line, column=pip[0].column
        )


def _check_platforms(specification: Specification, rules: BuildRules) -> None:
    if specification.platforms and rules.platform not in specification.platforms:
        raise PolicyRefusedError(f"This service builds for {rules.platform}; `platforms:` does not name it.")


def _constraints(rules: BuildRules) -> tuple[str, ...]:
    """Return what holds for all that a solve picks: of what is required the right versions."""
    required = (text for text in rules.values.required_packages if packages.read_package(text)[1] is not None)
    return tuple(dict.fromkeys(required))


def _refused(entry: Entry, message: str) -> PolicyRefusedError:
    return PolicyRefusedError(message, line=entry.line, column=entry.column)
