"""Turn what the service says of a kernel into a kernel spec of Jupyter's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from jupyter_client.kernelspec import KernelSpec
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from traitlets import Integer, List, Unicode

from conda_store_hub.core.schemas import KernelView

PROVISIONER_NAME = "conda-store-hub-provisioner"
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


class EnvironmentKernelSpec(KernelSpec):
    """A kernel of an environment. Every open tab lists all of them, so the listing is made once."""

    build_id = Integer()
    aliases = List(Unicode(), help="Names that start it too: of the environment before it was renamed.")

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self._listing = super().to_dict()

    def to_dict(self) -> dict[str, Any]:
        """Return what the kernel picker shows; the same each time."""
        return dict(self._listing)


def make_specs(views: Iterable[KernelView]) -> tuple[list[EnvironmentKernelSpec], list[str]]:
    """Return the specs, and the names of kernels whose `kernel.json` cannot be used. Reads one link a prefix."""
    specs: list[EnvironmentKernelSpec] = []
    unusable: list[str] = []
    shown: set[str] = set()
    for view in views:
        try:
            spec = make_spec(view, python_version=find_python_version(view.prefix), taken=shown)
        except ValidationError:
            unusable.append(view.name)
            continue
        shown.add(spec.display_name)
        specs.append(spec)
    return specs, unusable


def make_spec(
    view: KernelView, *, python_version: str | None = None, taken: Iterable[str] = ()
) -> EnvironmentKernelSpec:
    """Return the spec; `taken` are display names it must not have. Raises ValidationError for a bad kernel.json."""
    told = KernelJson.model_validate(view.spec)
    title = f"{view.namespace}/{view.environment} · {_label(told, python_version)}"
    return EnvironmentKernelSpec(
        name=view.name,
        build_id=view.build_id,
        aliases=list(view.aliases),
        argv=_absolute(told.argv, view.prefix),
        display_name=f"{title} ({view.raw})" if title in taken else title,
        language=told.language,
        interrupt_mode=told.interrupt_mode,
        env=told.env,
        kernel_protocol_version=told.kernel_protocol_version,
        resource_dir=f"{view.prefix}/share/jupyter/kernels/{view.raw}",
        metadata=_metadata(view, told),
    )


def find_python_version(prefix: str) -> str | None:
    """Return "3.11" for a prefix with that Python, or None when there is none to be seen."""
    name = (Path(prefix) / "bin" / "python").resolve().name
    match = re.fullmatch(r"python(\d+\.\d+t?)", name)
    return match[1] if match else None


def _label(told: KernelJson, python_version: str | None) -> str:
    # ipykernel says "Python 3 (ipykernel)" in every environment.
    if told.language == "python" and "ipykernel_launcher" in told.argv and python_version:
        return f"Python {python_version}"
    return told.display_name or told.language or "kernel"


def _absolute(argv: list[str], prefix: str) -> list[str]:
    # Jupyter replaces a bare `python` by the server's own, and `{prefix}` by the server's own.
    argv = [argument.replace("{prefix}", prefix) for argument in argv]
    return [f"{prefix}/bin/python", *argv[1:]] if _PYTHON.fullmatch(argv[0]) else argv


def _metadata(view: KernelView, told: KernelJson) -> dict[str, Any]:
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
        "Namespace": view.namespace,
        "conda_store_hub": {"build_id": view.build_id},
    }
