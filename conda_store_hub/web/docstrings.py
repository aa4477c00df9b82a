"""What stands below a field of a model, as its description; read when it is asked for, since that takes its time."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema


class DescribedSchema(GenerateJsonSchema):
    """pydantic's JSON schema, with the docstrings of fields."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Return the schema of a model; what a field itself declares as its description stays."""
        described = super().model_schema(schema)
        properties: dict[str, Any] = described.get("properties", {})
        for name, text in list_docstrings(schema["cls"]).items():
            if name in properties:
                properties[name].setdefault("description", text)
        return described


def list_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of a model's fields, inherited ones too."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        found.update(_read_module(kind.__module__).get(kind.__name__, {}))
    return found


@functools.cache
def _read_module(name: str) -> dict[str, dict[str, str]]:
    """Return the docstrings of fields by class, of a module of ours; none where its source is not installed."""
    module = sys.modules.get(name)
    if module is None or name.partition(".")[0] != __name__.partition(".")[0]:
        return {}
    try:
        tree = ast.parse(inspect.getsource(module))
    except OSError:
        return {}
    return {node.name: _list_own(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _list_own(tree: ast.ClassDef) -> dict[str, str]:
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(tree.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
