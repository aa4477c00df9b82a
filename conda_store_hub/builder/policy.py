"""What the policy of a service lets a build have: constraints for the solver, and a check of what is in a lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rattler import MatchSpec, RepoDataRecord

from conda_store_hub.core.errors import InvalidRequestError, SolveError
from conda_store_hub.core.exclusions import make_constraint
from conda_store_hub.core.matchspec import is_under, parse_dependency
from conda_store_hub.core.packages import name_of
from conda_store_hub.core.protocol import BuildRequest
from conda_store_hub.core.spec import Entry


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One line of a policy: how it is told to people, and what it demands of a package of its name."""

    words: str
    spec: MatchSpec


class Policy:
    """The channels, constraints and exclusions of one request."""

    def __init__(self, request: BuildRequest) -> None:
        """Raise InvalidRequestError for a line that cannot be used."""
        self._allowed = request.allowed_channels
        limits = [_make_rule(text, text, f"allows only “{text}”") for text in request.constraints]
        bans = [_make_rule(text, _turn_around(text), f"excludes “{text}”") for text in request.excluded]
        self.rules = (*limits, *bans)
        self._demands = [_make_rule(text, text, f"demands “{text}”") for text in request.demanded]

    @property
    def specs(self) -> list[MatchSpec]:
        """What the solver is given."""
        return [rule.spec for rule in self.rules]

    def find_breach(self, records: Sequence[RepoDataRecord]) -> SolveError | None:
        """Return the error for the first package that the policy does not let in."""
        for record in records:
            if self._allowed is not None and not any(is_under(record.channel or "", place) for place in self._allowed):
                return SolveError(
                    f"The lock has {record.name.normalized} from {record.channel}, a channel that is not allowed here:"
                    " build the specification anew."
                )
        by_name = {record.name.normalized: record for record in records}
        for rule in self.rules:
            record = by_name.get(rule.spec.name.normalized)
            if record is not None and not rule.spec.matches(record):
                package = f"{record.name.normalized} {record.version}"
                return SolveError(f"The policy of this service {rule.words}, and the lock has {package}.")
        return self._find_lack(by_name)

    def _find_lack(self, by_name: Mapping[str, RepoDataRecord]) -> SolveError | None:
        for rule in self._demands:
            name = name_of(rule.spec)
            record = by_name.get(name)
            if name.startswith("__") or (record is not None and rule.spec.matches(record)):
                continue
            there = "lacks it" if record is None else f"has {name} {record.version}"
            return SolveError(
                f"The policy of this service {rule.words}, and the lock {there}: build the specification anew."
            )
        return None

    def explain(self, tree: str) -> str:
        """Return the sentence for a solve that the policy made impossible; `tree` is the solver's."""
        named = [rule.words for rule in self.rules if f"the constraint {rule.spec} cannot be fulfilled" in tree]
        words = " and ".join(named or [rule.words for rule in self.rules])
        return f"The policy of this service {words}; without that, the specification could be met."


def _turn_around(text: str) -> str:
    try:
        return make_constraint(text)
    except InvalidRequestError as exc:
        raise _unusable(text, exc) from exc


def _make_rule(text: str, constraint: str, words: str) -> Rule:
    try:
        return Rule(words=words, spec=parse_dependency(Entry(text=constraint, line=1, column=1)))
    except InvalidRequestError as exc:
        raise _unusable(text, exc) from exc


def _unusable(text: str, exc: InvalidRequestError) -> InvalidRequestError:
    return InvalidRequestError(f"The policy of this service cannot be used: “{text}”. {exc.message}")
