"""Specifications as they are submitted: read, held against the rules of their place, and what is asked of the builder.

Nothing here needs a database. What is refused is refused with the line that is at fault, and with who forbids it.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from conda_store_hub.core import matchspec, packages, schemas, source, spec
from conda_store_hub.core.errors import InvalidSpecificationError, PolicyRefusedError
from conda_store_hub.core.indexes import is_in_places, list_wheel_places
from conda_store_hub.core.lockfiles import LockedPackage
from conda_store_hub.core.names import check_description, check_environment_name, shorten
from conda_store_hub.core.policy import PYPI
from conda_store_hub.core.reasons import Key, Wanted, make_key
from conda_store_hub.core.source import Source
from conda_store_hub.core.spec import Entry, Specification
from conda_store_hub.services.rules import BuildRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A specification or a lock file that was read, for an environment of that name."""

    name: str
    text: str
    description: str
    source: Source


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedSpecification(Submission):
    """A specification that was held against the rules: nothing in it can surprise the builder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What the builder is asked for: what was typed, and what the rules make of it.

    With `locked`, exactly these packages, of which each tells for which platform it is, and nothing is solved for.
    """

    channels: tuple[str, ...]
    allowed_channels: tuple[str, ...]
    dependencies: tuple[Entry, ...]
    pip: tuple[Entry, ...]
    pip_index: str | None
    constraints: tuple[str, ...]
    excluded: tuple[str, ...]
    demanded: tuple[str, ...]
    wheel_places: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]
    virtual_packages: tuple[Entry, ...]
    locked: tuple[LockedPackage, ...]
    platform: str
    wanted: Wanted
    platforms: tuple[str, ...]
    """Further ones, for lock files."""

    def lock_key(self) -> str:
        """Return a digest of all that a solve depends on, but for what is in the channels."""
        asked = {
            "channels": self.channels,
            "dependencies": sorted({" ".join(entry.text.split()) for entry in self.dependencies}),
            "pip": [entry.text for entry in self.pip],
            "pip_index": self.pip_index,
            "constraints": sorted(self.constraints),
            "excluded": sorted(self.excluded),
            "virtual_packages": sorted(entry.text for entry in self.virtual_packages),
            "locked": [(each.url, each.sha256, each.md5) for each in self.locked],
            "platform": self.platform,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def answer_key(self, rules: BuildRules) -> str:
        """Return a digest of all that an answer depends on: of what it may take, and where the entries stand, too.

        A fault is told with its line.
        """
        values = rules.values
        limits = values.solve_seconds, values.build_seconds, values.memory_bytes
        places = [(entry.line, entry.column) for entry in (*self.dependencies, *self.pip, *self.virtual_packages)]
        return hashlib.sha256(json.dumps([self.lock_key(), limits, places]).encode()).hexdigest()


def read(request: schemas.ReadSpecification, platform: str) -> Submission:
    """Read what was submitted, of a lock file what it has for `platform`; raise with the place of the first fault."""
    found = source.read(request.specification, platform, must_be_lock=request.is_lockfile)
    return Submission(
        name=_name(found, request.environment_name),
        text=request.specification,
        description=check_description(_description(request) or found.specification.description or ""),
        source=found,
    )


def _description(request: schemas.ReadSpecification) -> str | None:
    return request.environment_description if isinstance(request, schemas.SubmitSpecification) else None


def _name(found: Source, asked: str | None) -> str:
    specification = found.specification
    if asked is None and found.locked:
        raise InvalidSpecificationError("A lock file has no name of its own: give it one (`environment_name`).")
    if asked is None and specification.name is None:
        raise InvalidSpecificationError("The specification has no `name:`; add one on its first line.")
    if asked is not None and specification.name not in (None, asked):
        raise InvalidSpecificationError(
            f"The specification is named “{specification.name}”, but the environment asked for is “{shorten(asked)}”."
        )
    return check_environment_name(asked or specification.name or "")


def check(submission: Submission, rules: BuildRules) -> PreparedSpecification:
    """Hold a specification against the rules; raise with the place of the first fault."""
    rules.require_builds()
    if _is_empty(submission.source.specification) and not rules.values.default_packages:
        spec.parse(submission.text)  # says where something is missing
    make_plan(submission.source, rules)
    return PreparedSpecification(
        name=submission.name,
        text=submission.text,
        description=submission.description,
        source=submission.source,
    )


def make_plan(found: Source, rules: BuildRules) -> Plan:
    """Return what to ask the builder for; raise with the place of the first thing that the rules do not allow."""
    specification = found.specification
    written = specification.dependencies
    if _is_empty(specification):
        written = _added(rules.values.default_packages)
    if not written and not specification.pip:
        raise InvalidSpecificationError("A specification needs at least one dependency.")
    versions = _read_versions(written)
    _refuse_forbidden(written, versions, rules)
    _require_required(versions, rules)
    included = _included(versions, rules)
    pip, index = _plan_pip(specification.pip, rules)
    _check_pip_has_python(pip, (*written, *included))
    _check_platforms(specification, rules)
    matchspec.check_virtual_packages(specification.virtual_packages)
    if found.locked:
        _check_lock(found.locked, included, versions, rules)
    return Plan(
        channels=resolve_channels(specification, rules),
        allowed_channels=rules.values.allowed_channels or (),
        dependencies=() if found.locked else (*written, *included),
        pip=() if found.locked else pip,
        pip_index=None if index == PYPI else index,
        constraints=_constraints(rules, found),
        excluded=tuple(dict.fromkeys(rules.values.forbidden_packages)),
        demanded=tuple(dict.fromkeys((*rules.values.required_packages, *(entry.text for entry in included)))),
        wheel_places=list_wheel_places(rules.values.pip_indexes),
        variables=specification.variables,
        virtual_packages=specification.virtual_packages,
        locked=(*found.locked, *found.elsewhere),
        platform=rules.platform,
        wanted=_read_wanted(found, versions, included, pip),
        platforms=tuple(dict.fromkeys(_list_platforms(found, rules.platform))),
    )


def _list_platforms(found: Source, platform: str) -> list[str]:
    """Return the further platforms of a specification, or of a lock file."""
    named = [each.platform for each in found.elsewhere] if found.locked else found.specification.platforms
    return [each for each in named if each != platform]


def _read_wanted(found: Source, versions: Versions, included: tuple[Entry, ...], pip: tuple[Entry, ...]) -> Wanted:
    """Tell what was typed from what a policy adds; a lock file does not tell what it was made of."""
    added = {("conda", packages.read_package(entry.text)[0]) for entry in included}
    if found.locked:
        return Wanted(added=frozenset(added), locked=True)
    named: set[Key] = {("conda", name) for name in versions}
    if _is_empty(found.specification):
        return Wanted(added=frozenset(named | added))
    named |= {make_key("pip", matchspec.parse_pip_line(entry).name) for entry in pip}
    return Wanted(asked=frozenset(named), added=frozenset(added))


def _check_lock(
    locked: tuple[LockedPackage, ...], included: tuple[Entry, ...], versions: Versions, rules: BuildRules
) -> None:
    """Raise for what a policy adds and a lock file lacks, and for a wheel that comes from elsewhere."""
    for entry in included:
        if packages.read_package(entry.text)[0] not in versions:
            who = _who_says("included_packages", entry.text, rules)
            raise PolicyRefusedError(
                f"The policy of the {who} adds “{entry.text}” to every environment, and the lock file lacks it:"
                " add it to what the lock is made of, and lock again."
            )
    places = list_wheel_places(rules.values.pip_indexes)
    for each in locked:
        if each.manager == "pip" and not is_in_places(each.url, places):
            entry = Entry(text=each.url, line=each.line, column=1)
            raise _refused(
                entry, f"“{shorten(each.url)}” is not below an index that is allowed here: {', '.join(places[:5])}."
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
        raise PolicyRefusedError(f"This would be for {rules.platform}; `platforms:` does not name it.")


def _constraints(rules: BuildRules, found: Source) -> tuple[str, ...]:
    """Return what holds for all packages: the versions of what is required, and in a lock of what would be added."""
    added = rules.values.included_packages if found.locked else ()
    texts = (text for text in (*rules.values.required_packages, *added) if packages.read_package(text)[1] is not None)
    return tuple(dict.fromkeys(texts))


def _refused(entry: Entry, message: str) -> PolicyRefusedError:
    return PolicyRefusedError(message, line=entry.line, column=entry.column)
