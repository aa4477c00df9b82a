"""Write `src/schema.ts`: the types of the service's API, made from its OpenAPI description.

`python labextension/scripts/schema.py` after a change of `core/schemas`; a test fails until then.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from conda_store_hub.web.openapi import make_schemas
from conda_store_hub.web.routes import ROUTES

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "src" / "schema.ts"
#: What `src/api/` asks for and is told; what they are made of comes with them.
WANTED = (
    *("ErrorAnswer", "PermissionSummary", "NamespaceSummary", "NamespaceDetails"),
    *("Environment", "ActivateBuild", "NewName", "CloneEnvironment", "Member", "GrantRole"),
    *("Build", "BuildSummary", "BuildId", "Rebuild", "PinBuild", "Package", "PackageDiff", "DepartedPackages"),
    *("SubmitSpecification", "SolveSpecification", "SolvedSpecification", "Setting"),
    *("FoundPackage", "ChannelPackage", "ChannelProblem", "Version"),
)
_REFERENCE = re.compile(r'"#/components/schemas/([^"]+)"')
_OPTIONS = ("--immutable", "--root-types", "--root-types-no-schema-prefix", "--default-non-nullable=false")
_HEADER = """\
// Made by labextension/scripts/schema.py from the API's description: change conda_store_hub/core/schemas instead.

"""


def make_types() -> str:
    """Return what `src/schema.ts` should hold; needs Node and the extension's `node_modules`."""
    _, schemas = make_schemas(ROUTES)
    title = {"title": "conda-store-hub", "version": "1"}
    document = {"openapi": "3.1.0", "info": title, "paths": {}, "components": {"schemas": _choose(schemas)}}
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "openapi.json", Path(folder) / "made.ts"
        source.write_text(json.dumps(document))
        program = ROOT / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
        command = ["node", str(program), str(source), *_OPTIONS, "--output", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        text = made.read_text()
    return _HEADER + text[text.index("export") :]


def _choose(schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the wanted schemas and those that they refer to."""
    chosen: dict[str, Any] = {}
    names = list(WANTED)
    while names:
        name = names.pop()
        if name not in chosen:
            chosen[name] = _strip(schemas[name])
            names += _REFERENCE.findall(json.dumps(chosen[name]))
    return dict(sorted(chosen.items()))


def _strip(value: Any) -> Any:
    """Leave out titles, which say again what a field is called."""
    if isinstance(value, dict):
        return {key: _strip(one) for key, one in value.items() if not (key == "title" and isinstance(one, str))}
    return [_strip(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    TARGET.write_text(make_types())
    sys.stdout.write(f"{TARGET}\n")
