"""Packages that may not be installed, turned around: `openssl <3` is the constraint `openssl >=3`.

The engine knows only what a package has to be. A constraint that nothing fulfils forbids the name as a whole.
"""

from __future__ import annotations

import re

from conda_store_hub.core.errors import InvalidSpecificationError
from conda_store_hub.core.matchspec import parse_dependency
from conda_store_hub.core.spec import Entry

NOTHING = "==0,!=0"
_OPPOSITES = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}
_TOKEN = re.compile(r"[(),|]|[^(),|\s]+")
_ATOM = re.compile(r"(<=|>=|<|>|==|!=|~=|)(.+)")


def make_constraint(excluded: str) -> str:
    """Return the constraint that leaves everything but `excluded`, a name with versions or without.

    Raises InvalidSpecificationError or PolicyRefusedError for what cannot be turned around, such as a build.
    """
    spec = parse_dependency(Entry(text=excluded, line=1, column=1))
    name = spec.name.normalized
    more = (spec.build, spec.build_number, spec.md5, spec.sha256, spec.subdir, spec.file_name)
    if any(value is not None for value in more):
        raise InvalidSpecificationError(
            f"“{excluded}” cannot be excluded: name a package, and its versions if need be."
        )
    version = str(spec.version) if spec.version is not None else "*"
    return f"{name} {NOTHING if version == '*' else _Complement(version).read()}"


class _Complement:
    """Reads a version specification as the engine writes it (`>=1,<2|3.*`), and turns around what it reads."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)

    def read(self) -> str:
        """Not (a or b) is: not a, and not b."""
        parts = [self._read_all()]
        while self._take("|"):
            parts.append(self._read_all())
        return ",".join(f"({part})" if "|" in part else part for part in parts)

    def _read_all(self) -> str:
        """Not (a and b) is: not a, or not b."""
        parts = [self._read_one()]
        while self._take(","):
            parts.append(self._read_one())
        return "|".join(f"({part})" if "," in part else part for part in parts)

    def _read_one(self) -> str:
        if self._take("("):
            inner = self.read()
            self._take(")")
            return inner
        return _turn_around(self._tokens.pop(0))

    def _take(self, token: str) -> bool:
        found = bool(self._tokens) and self._tokens[0] == token
        if found:
            self._tokens.pop(0)
        return found


def _turn_around(atom: str) -> str:
    match = _ATOM.fullmatch(atom)
    operator, version = (match[1], match[2]) if match else ("", atom)
    if operator == "~=":
        return f"<{version}|!={version.rpartition('.')[0]}.*"
    if version.endswith(".*"):
        return version if operator == "!=" else f"!={version}"
    return f"{_OPPOSITES[operator or '==']}{version}"
