"""Which way imports point, and the one place of each verb (docs/architecture.md, "Which way imports point")."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = "conda_store_hub"
ROOT = Path(__file__).parents[2] / PACKAGE

# A part may import itself and what stands behind it; a new part or top module needs a line here.
BELOW: dict[str, set[str]] = {
    "core": set(),
    "db": {"core"},
    "storage": {"core"},
    "services": {"db", "storage", "core"},
    "queue": {"services", "db", "storage", "core", "__init__"},
    "web": {"services", "db", "storage", "core", "__init__"},
    "builder": {"core", "__init__"},
    "client": {"core", "__init__"},
    "lab": {"client", "core", "__init__"},
    "demo": {"client", "settings", "builder", "core", "__init__"},
    "settings": {"services", "core"},
    "configfile": {"core"},
    "app": {"settings", "configfile", "web", "queue", "services", "db", "storage", "demo", "core", "__init__"},
    "hubsettings": set(),
    "hubregistry": {"hubsettings", "core"},
    "hubconfig": {"hubregistry", "hubsettings"},
    "hubimages": {"hubconfig", "hubsettings", "core"},
    "__init__": {"hubconfig", "hubimages"},
    "__main__": {"app"},
}

# Libraries that only some may import; `lazily` means inside a function.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "sqlalchemy": ("db/*", "services/*", "queue/*", "web/*", "app.py"),
    "alembic": ("db/*",),
    "tornado": ("app.py", "web/*", "queue/*", "lab/*", "demo/*", "hubimages.py lazily"),
    "jupyterhub": ("app.py", "web/*", "lab/*", "demo/*", "hubimages.py lazily"),
    "jupyter_server": ("lab/*",),
    "jupyter_client": ("lab/*",),
    "obstore": ("storage/*",),
    "conda_lock": ("builder/*",),
    "conda_pack": ("builder/*",),
    "rattler": (
        *("builder/*", "client/*", "lab/*", "demo/*"),
        *("core/matchspec.py lazily", "core/packages.py lazily", "core/engine.py lazily"),
    ),
    "traitlets": ("app.py", "settings.py", "configfile.py", "web/*", "queue/*", "lab/*"),
    "prometheus_client": ("services/metrics.py",),
    "oauthlib": ("web/authorization.py",),
    "httpx": ("client/*", "lab/*", "demo/*", "builder/registry.py"),
    "watchfiles": ("queue/notices.py lazily",),
}
CORE_LIBRARIES = {"pydantic", "yaml", "packaging", "rattler"}

COMMITS = {"commit", "rollback"}
STATEMENTS = {"select", "insert", "update", "delete", "text", "exists", "func", "and_", "or_", "literal"}
EXECUTIONS = {"execute", "scalars", "scalar", "scalar_one", "scalar_one_or_none", "exec_driver_sql"}
PROCESS_MODULES = {"subprocess", "multiprocessing", "tornado.process", "pty"}
PROCESS_CALLS = {
    *("asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"),
    *("os.fork", "os.forkpty", "os.system", "os.popen", "os.posix_spawn", "os.posix_spawnp"),
    *(f"os.{call}{end}" for call in ("exec", "spawn") for end in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
}
NAMES = {
    **dict.fromkeys(("os.environ", "os.getenv", "os.environb"), "environment"),
    **dict.fromkeys(("web.HTTPError", "tornado.web.HTTPError"), "HTTPError"),
    **{f"{start}.{name}": "SQL" for start in ("sqlalchemy", "sa") for name in STATEMENTS},
}
DATA_NAMES = {"db.sqlite", "secrets", "pkgs", "bases", "b", "envs", "objects", ".bytecode", ".repodata", ".uv", ".work"}
SERVICE_SIDE = ("app.py", "settings.py", "core/*", "db/*", "storage/*", "services/*", "queue/*", "web/*", "builder/*")

OWNERS: dict[str, tuple[str, ...]] = {
    "commit": ("db/session.py",),
    "SQL": (
        *("db/queries.py", "db/lists.py", "db/claims.py", "db/records.py", "db/people.py", "db/visibility.py"),
        *("db/usage.py", "db/lifecycle.py", "db/retention.py", "db/policies.py", "db/tables/*", "db/session.py"),
        *("db/aliases.py", "db/contents.py", "db/images.py", "db/totals.py", "db/watched.py", "db/overview.py"),
        *("db/notes.py", "db/tags.py", "db/ondemand.py", "db/migrations/*"),
    ),
    "process": (
        *("queue/process.py", "builder/child.py", "builder/compiler.py"),
        *("client/makers.py", "client/keeper.py", "client/starting.py", "client/commands/login.py"),
        *("lab/provisioner.py", "demo/*"),
    ),
    "HTTPError": ("web/*",),
    "environment": (
        *("app.py", "web/auth.py", "hubconfig.py", "client/*", "lab/*", "demo/*"),
        *("queue/process.py", "builder/uvtool.py"),  # each lists what little a child gets of it
        "builder/program.py",  # its home is known only once it is asked for a build
    ),
    "data path": ("core/names.py", "storage/base.py"),
}


@dataclass(frozen=True)
class Import:
    """One import: the module it names, where it stands, and whether it is not run when the file is."""

    module: str
    line: int
    lazy: bool


def part_of(place: str) -> str:
    """Return the part that a file or module belongs to: `db/session.py` and `db.session` are of `db`."""
    return place.replace("/", ".").removesuffix(".py").split(".")[0]


def check(place: str, source: str) -> list[str]:
    """Return what a file at `place` (below the package) does against the rules, one line each."""
    tree = ast.parse(source)
    imports = list(find_imports(place, tree))
    found = [*check_arrows(place, imports), *check_libraries(place, imports), *check_owners(place, tree, imports)]
    return [f"{place}:{line}: {text}" for line, text in sorted(found)]


def find_imports(place: str, tree: ast.Module) -> Iterator[Import]:
    """Yield the full name of every imported module, also `import_module("…")`."""
    lazy_nodes = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        or (isinstance(outer, ast.If) and dotted(outer.test).endswith("TYPE_CHECKING"))
        for inner in ast.walk(outer)
    }
    package = [PACKAGE, *Path(place).parent.parts]
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{start}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and dotted(node.func).endswith("import_module") and node.args:
            first = node.args[0]
            names = [first.value] if isinstance(first, ast.Constant) and isinstance(first.value, str) else []
        for name in names:
            yield Import(name, node.lineno, id(node) in lazy_nodes)  # type: ignore[attr-defined]


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` for such an expression, with `` for what is no name."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def check_arrows(place: str, imports: list[Import]) -> Iterator[tuple[int, str]]:
    part = part_of(place)
    if part not in BELOW:
        yield 1, f"{part} is new: say in this test what it may import"
        return
    for one in imports:
        first, _, rest = one.module.partition(".")
        if first != PACKAGE:
            continue
        target = part_of(rest) if part_of(rest) in BELOW else "__init__"
        if target != part and target not in BELOW[part]:
            yield one.line, f"{part} imports {target}"


def check_libraries(place: str, imports: list[Import]) -> Iterator[tuple[int, str]]:
    for one in imports:
        top = one.module.split(".")[0]
        allowed = LIBRARIES.get(top)
        if allowed is not None and not _is_owner(place, allowed, lazy=one.lazy):
            yield one.line, f"{top} is for {', '.join(allowed)}"
        if part_of(place) == "core" and top not in {*sys.stdlib_module_names, *CORE_LIBRARIES, PACKAGE}:
            yield one.line, f"core imports {top}"


def check_owners(place: str, tree: ast.Module, imports: list[Import]) -> Iterator[tuple[int, str]]:
    found = [*_verbs_in_imports(imports), *_verbs_in_code(tree, _is_owner(place, SERVICE_SIDE))]
    for verb, line, what in found:
        if not _is_owner(place, OWNERS[verb]):
            yield line, f"{what}: {verb} is for {', '.join(OWNERS[verb])}"


def _verbs_in_imports(imports: list[Import]) -> Iterator[tuple[str, int, str]]:
    for one in imports:
        top, _, last = one.module.rpartition(".")
        if one.module.startswith("sqlalchemy.") and last in STATEMENTS:
            yield "SQL", one.line, one.module
        if one.module in PROCESS_MODULES | PROCESS_CALLS or top in PROCESS_MODULES or last == "ProcessPoolExecutor":
            yield "process", one.line, one.module
        if one.module == "tornado.web.HTTPError":
            yield "HTTPError", one.line, one.module
        if one.module in {"os.environ", "os.getenv", "os.environb"}:
            yield "environment", one.line, one.module


def _verbs_in_code(tree: ast.Module, of_service: bool) -> Iterator[tuple[str, int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from _verbs_of_call(node, node.func, of_service)
        if isinstance(node, ast.Attribute) and dotted(node) in NAMES:
            yield NAMES[dotted(node)], node.lineno, dotted(node)
        if of_service:
            yield from (("data path", line, repr(name)) for line, name in _joined_names(node) if name in DATA_NAMES)


def _verbs_of_call(call: ast.Call, called: ast.Attribute, of_service: bool) -> Iterator[tuple[str, int, str]]:
    if called.attr in COMMITS:
        yield "commit", call.lineno, f".{called.attr}()"
    if called.attr in EXECUTIONS and of_service:
        yield "SQL", call.lineno, f".{called.attr}()"
    if dotted(called) in PROCESS_CALLS:
        yield "process", call.lineno, dotted(called)


def _joined_names(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the constants that are joined to a path."""
    parts: list[ast.expr] = []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        parts = [node.right]
    elif isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in {"joinpath", "join"}:
        parts = node.args
    for part in parts:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from ((part.lineno, name) for name in part.value.split("/"))


def _is_owner(place: str, owners: tuple[str, ...], *, lazy: bool = True) -> bool:
    return any(
        fnmatch(place, owner.removesuffix(" lazily")) and (lazy or not owner.endswith(" lazily")) for owner in owners
    )


MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


@pytest.mark.parametrize("place", MODULES)
def test_the_module_keeps_the_rules(place: str) -> None:
    assert check(place, (ROOT / place).read_text()) == []


def test_no_module_is_overlooked() -> None:
    assert {part_of(place) for place in MODULES} <= set(BELOW)
    assert "hubconfig.py" in MODULES


def test_no_arrow_points_back() -> None:
    for part, below in BELOW.items():
        for other in below:
            assert part not in BELOW[other], f"{part} and {other} may import each other"


@pytest.mark.parametrize(
    ("place", "source", "broken"),
    [
        # arrows
        ("core/spec.py", "from conda_store_hub.db.tables import Build", "core imports db"),
        ("core/spec.py", "from ..db import tables", "core imports db"),
        ("core/spec.py", "from .. import db", "core imports db"),
        ("core/spec.py", "import conda_store_hub", "core imports __init__"),
        ("db/queries.py", "from conda_store_hub import services", "db imports services"),
        ("storage/base.py", "import conda_store_hub.db.tables as t", "storage imports db"),
        ("services/builds.py", "from conda_store_hub.web.base import Handler", "services imports web"),
        ("services/builds.py", "def f():\n    from conda_store_hub.queue import runner", "services imports queue"),
        ("web/pages/home.py", "from conda_store_hub.queue.executor import Executor", "web imports queue"),
        ("queue/runner.py", "from conda_store_hub.builder import pipeline", "queue imports builder"),
        ("queue/runner.py", "import importlib\nimportlib.import_module('conda_store_hub.builder')", "imports builder"),
        ("builder/solve.py", "from conda_store_hub.storage.base import Store", "builder imports storage"),
        ("client/api.py", "from conda_store_hub.lab import kernels", "client imports lab"),
        ("lab/kernels.py", "from conda_store_hub.web import base", "lab imports web"),
        ("demo/run.py", "from conda_store_hub.db import session", "demo imports db"),
        ("web/base.py", "from conda_store_hub.app import main", "web imports app"),
        ("hubconfig.py", "from conda_store_hub.core import names", "hubconfig imports core"),
        ("somewhere/new.py", "", "somewhere is new"),
        # libraries
        ("core/spec.py", "import httpx", "httpx is for"),
        ("core/spec.py", "import click", "core imports click"),
        ("core/matchspec.py", "from rattler import MatchSpec", "rattler is for"),
        ("db/tables/builds.py", "if TYPE_CHECKING:\n    from conda_store_hub.web import base", "db imports web"),
        ("core/names.py", "def f():\n    import rattler", "rattler is for"),
        ("services/builds.py", "import tornado.web", "tornado is for"),
        ("web/base.py", "import conda_lock", "conda_lock is for"),
        ("app.py", "def f():\n    import conda_pack", "conda_pack is for"),
        ("services/artifacts.py", "from obstore import get", "obstore is for"),
        ("client/api.py", "import jupyterhub", "jupyterhub is for"),
        # one owner each
        ("services/builds.py", "def f(s):\n    s.commit()", ".commit(): commit is for"),
        ("web/base.py", "def f(s):\n    s.rollback()", ".rollback(): commit is for"),
        ("services/builds.py", "from sqlalchemy import select", "sqlalchemy.select: SQL is for"),
        ("services/builds.py", "import sqlalchemy as sa\nq = sa.update(1)", "sa.update: SQL is for"),
        ("queue/janitor.py", "def f(s):\n    s.execute('x')", ".execute(): SQL is for"),
        ("services/builds.py", "import subprocess", "subprocess: process is for"),
        ("web/base.py", "from subprocess import run", "subprocess.run: process is for"),
        ("queue/executor.py", "import asyncio\nasyncio.create_subprocess_exec('a')", "process is for"),
        ("builder/solve.py", "import os\nos.execv('a', [])", "os.execv: process is for"),
        ("queue/executor.py", "from concurrent.futures import ProcessPoolExecutor", "process is for"),
        ("services/builds.py", "from tornado.web import HTTPError", "HTTPError is for"),
        ("lab/extension.py", "from tornado import web\nraise web.HTTPError(404)", "web.HTTPError: HTTPError is for"),
        ("services/builds.py", "import os\nx = os.environ['A']", "os.environ: environment is for"),
        ("builder/main.py", "from os import environ", "os.environ: environment is for"),
        ("core/spec.py", "import os\nx = os.getenv('A')", "os.getenv: environment is for"),
        ("queue/runner.py", "def f(data):\n    return data / 'pkgs'", "'pkgs': data path is for"),
        ("app.py", "def f(data):\n    return data.joinpath('objects', 'x')", "'objects': data path is for"),
        ("services/builds.py", "import os\np = os.path.join('/d', 'b/xyz')", "'b': data path is for"),
    ],
)
def test_what_is_not_allowed_is_found(place: str, source: str, broken: str) -> None:
    assert any(broken in line for line in check(place, source)), check(place, source)


@pytest.mark.parametrize(
    ("place", "source"),
    [
        (
            "services/builds.py",
            "from conda_store_hub.db import queries\nfrom conda_store_hub.core.errors import GoneError",
        ),
        ("services/builds.py", "from sqlalchemy.orm import Session"),
        ("core/matchspec.py", "def f():\n    from rattler import MatchSpec"),
        ("core/matchspec.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from rattler import MatchSpec"),
        ("db/session.py", "def f(s):\n    s.commit()"),
        ("db/queries.py", "from sqlalchemy import select"),
        ("queue/process.py", "import subprocess"),
        ("client/api.py", "import httpx\ntry:\n    pass\nexcept httpx.HTTPError:\n    pass"),
        ("client/envs.py", "import os\np = os.path.join('~', 'envs')"),
        ("lab/provisioner.py", "import os\nx = os.environ"),
        ("web/pages/home.py", "x = 'objects'.join(['a', 'c'])\ny = 6 / 2"),
    ],
)
def test_what_is_allowed_passes(place: str, source: str) -> None:
    assert check(place, source) == []
