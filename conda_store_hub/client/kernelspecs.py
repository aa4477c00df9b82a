"""What the service says of a kernel, as a `kernel.json` for this machine; needs nothing of Jupyter's."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Formatter
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.schemas import KernelView

PROVISIONER_NAME = "conda-store-hub-provisioner"
DEFAULT_PATTERN = "{namespace}/{environment} · {kernel}"
PATTERN_FIELDS = ("namespace", "environment", "kernel", "build")
_PYTHON = re.compile(r"python(\d+(\.\d+)?)?")


class KernelJson(BaseModel):
    """A `kernel.json` (jupyter_client, "Kernel specs"); what Jupyter does not know is left out."""

    model_config = ConfigDict(frozen=True)

    argv: list[str] = Field(min_length=1)
    display_name: str = ""
    language: str = ""
    interrupt_mode: Literal["signal", "message"] = "signal"
    env: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    kernel_protocol_version: str = ""


def check_pattern(pattern: str) -> str:
    """Return a pattern of names; raise InvalidRequestError in words for what is none."""
    try:
        for _, field, spec, conversion in Formatter().parse(pattern):
            if field is not None and (field not in PATTERN_FIELDS or spec or conversion):
                raise ValueError(f"there is no {{{field}}}")
    except ValueError as exc:
        fields = ", ".join(f"{{{field}}}" for field in PATTERN_FIELDS)
        raise InvalidRequestError(f"“{pattern}” is no pattern for names: {exc}. It may have {fields}.") from exc
    return pattern


def list_kernel_jsons(
    views: Iterable[KernelView], *, pattern: str = DEFAULT_PATTERN
) -> tuple[list[tuple[KernelView, KernelJson]], list[str]]:
    """Return what each kernel is, no two shown alike, and the names of those whose `kernel.json` cannot be used."""
    made: list[tuple[KernelView, KernelJson]] = []
    unusable: list[str] = []
    shown: set[str] = set()
    for view in views:
        try:
            kernel = make_kernel_json(view, python=find_python(view), pattern=pattern, taken=shown)
        except ValidationError:
            unusable.append(view.name)
            continue
        shown.add(kernel.display_name)
        made.append((view, kernel))
    return made, unusable


def make_kernel_json(
    view: KernelView,
    *,
    python: str | None = None,
    pattern: str = DEFAULT_PATTERN,
    taken: Iterable[str] = (),
) -> KernelJson:
    """Return a kernel of the prefix that the service tells of.

    python: "3.11". taken: names that it must not be shown under. Raises ValidationError for a bad `kernel.json`.
    """
    told = KernelJson.model_validate(view.spec)
    fields = {
        "namespace": view.namespace,
        "environment": view.environment,
        "kernel": _label(told, python),
        "build": str(view.build_id),
    }
    title = pattern.format_map(fields)
    ways = (title, f"{title} ({view.raw})", f"{title} ({view.namespace}/{view.environment}, {view.raw})")
    return told.model_copy(
        update={
            "argv": _absolute(told.argv, view.prefix),
            "display_name": next((way for way in ways if way not in taken), ways[-1]),
            "metadata": _make_metadata(view, told),
        }
    )


def relocate(texts: Iterable[str], old: str, new: str) -> list[str]:
    """Return texts that name one prefix with another in its place."""
    return [text.replace(old, new) for text in texts]


def relocate_values(values: Mapping[str, str], old: str, new: str) -> dict[str, str]:
    """Return variables that name one prefix with another in its place."""
    return dict(zip(values, relocate(values.values(), old, new), strict=True))


def find_python(view: KernelView) -> str | None:
    """Return "3.11", as the prefix says, where it can be seen, or else the service."""
    return find_python_version(view.prefix) or (".".join(view.python.split(".")[:2]) if view.python else None)


def find_python_version(prefix: str) -> str | None:
    """Return "3.11" for a prefix with that Python, or None when there is none to be seen."""
    name = (Path(prefix) / "bin" / "python").resolve().name
    match = re.fullmatch(r"python(\d+\.\d+t?)", name)
    return match[1] if match else None


def _label(told: KernelJson, python: str | None) -> str:
    # ipykernel says "Python 3 (ipykernel)" in every environment.
    if told.language == "python" and "ipykernel_launcher" in told.argv and python:
        return f"Python {python}"
    return told.display_name or told.language or "kernel"


def _absolute(argv: list[str], prefix: str) -> list[str]:
    # Jupyter replaces a bare `python` by the server's own, and `{prefix}` by the server's own.
    argv = relocate(argv, "{prefix}", prefix)
    return [f"{prefix}/bin/python", *argv[1:]] if _PYTHON.fullmatch(argv[0]) else argv


def _make_metadata(view: KernelView, told: KernelJson) -> dict[str, Any]:
    """Return the spec's own metadata with ours; the flat keys are those that launchers know from nb_conda_kernels."""
    language = "Python" if told.language == "python" else told.display_name or told.language
    return {
        **told.metadata,
        "kernel_provisioner": {
            "provisioner_name": PROVISIONER_NAME,
            "config": {
                "prefix": view.prefix,
                "build_id": view.build_id,
                "environment": f"{view.namespace}/{view.environment}",
            },
        },
        "conda_env_name": view.environment,
        "conda_env_path": view.prefix,
        "conda_language": language,
        "conda_raw_kernel_name": view.raw,
        "conda_is_base_environment": False,
        "conda_is_currently_running": view.prefix == sys.prefix,
        "Namespace": view.namespace,
        # The names that it had are for pages, whose notebooks may run in it under one of them.
        "conda_store_hub": {"build_id": view.build_id} | ({"aliases": list(view.aliases)} if view.aliases else {}),
    }
