"""Kernel specs as Jupyter takes them: of an environment, of one build that a notebook is pinned to, on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from traitlets import Bool, Integer, List, Unicode

from conda_store_hub.client.kernelspecs import (
    DEFAULT_PATTERN,
    PROVISIONER_NAME,
    KernelJson,
    find_python,
    list_kernel_jsons,
    make_kernel_json,
    relocate,
    relocate_values,
)
from conda_store_hub.core.names import KernelName
from conda_store_hub.core.schemas import KernelView


class EnvironmentKernelSpec(KernelSpec):
    """A kernel of an environment. Every open tab lists all of them, so the listing is made once."""

    build_id = Integer()
    aliases = List(Unicode(), help="Names that start it too: of the environment before it was renamed.")
    unseen = Bool(help="Whether nothing is known of it but its name: the provisioner asks the service for it.")

    def __init__(self, view: KernelView | None = None, **values: Any) -> None:
        super().__init__(**values)
        self.view = view
        self._listing = super().to_dict()

    def to_dict(self) -> dict[str, Any]:
        """Return what the kernel picker shows; the same each time."""
        return dict(self._listing)


def make_specs(
    views: Iterable[KernelView], *, pattern: str = DEFAULT_PATTERN
) -> tuple[list[EnvironmentKernelSpec], list[str]]:
    """Return the specs, and the names of kernels whose `kernel.json` cannot be used. Looks at each prefix."""
    made, unusable = list_kernel_jsons(views, pattern=pattern)
    return [_make(view, kernel, _find_resources(view, kernel.language)) for view, kernel in made], unusable


def make_spec(view: KernelView, *, python_version: str | None = None) -> EnvironmentKernelSpec:
    """Return one spec. Raises ValidationError for a bad kernel.json."""
    return _make(view, make_kernel_json(view, python=python_version), _resources(view))


def make_pinned_spec(view: KernelView) -> EnvironmentKernelSpec:
    """Return the spec of one build, which is shown as such. Raises ValidationError for a bad kernel.json."""
    name = f"{view.name}.b{view.build_id}"
    pinned = view.model_copy(update={"name": name, "aliases": tuple(f"{old}.b{view.build_id}" for old in view.aliases)})
    kernel = make_kernel_json(pinned, python=find_python(view), pattern=f"{DEFAULT_PATTERN} (build {{build}})")
    spec = _make(pinned, kernel, _find_resources(view, kernel.language))
    spec.view = view
    return spec


def make_unseen_spec(kernel_name: str) -> EnvironmentKernelSpec:
    """Return what can be said of one build of which only the name is known; raises ValueError for another name."""
    name = KernelName.find(kernel_name)
    if name is None or name.build_id is None:
        raise ValueError(kernel_name)
    environment = f"{name.namespace}/{name.environment}"
    config = {"prefix": "", "build_id": name.build_id, "environment": environment}
    return EnvironmentKernelSpec(
        name=kernel_name,
        build_id=name.build_id,
        unseen=True,
        argv=["python"],
        display_name=f"{environment} · {name.raw} (build {name.build_id})",
        metadata={"kernel_provisioner": {"provisioner_name": PROVISIONER_NAME, "config": config}},
    )


def relocate_spec(spec: KernelSpec, old: str, new: str) -> KernelSpec:
    """Return a spec that names another prefix."""
    values = {name: getattr(spec, name) for name in spec.trait_names() if name not in ("parent", "log", "config")}
    values["argv"] = relocate(spec.argv, old, new)
    values["env"] = relocate_values(spec.env, old, new)
    values["resource_dir"] = spec.resource_dir.replace(old, new)
    return type(spec)(**values)


def _make(view: KernelView, kernel: KernelJson, resources: str) -> EnvironmentKernelSpec:
    return EnvironmentKernelSpec(
        view=view,
        name=view.name,
        build_id=view.build_id,
        aliases=list(view.aliases),
        resource_dir=resources,
        **kernel.model_dump(),
    )


def _resources(view: KernelView) -> str:
    return f"{view.prefix}/share/jupyter/kernels/{view.raw}"


def _find_resources(view: KernelView, language: str) -> str:
    """Return where the logo is: in the prefix, or where that cannot be seen, that of the server's own Python kernel."""
    own = _resources(view)
    if language != "python" or Path(own).is_dir():
        return own
    ipykernel = find_spec("ipykernel")
    return str(Path(ipykernel.origin).parent / "resources") if ipykernel and ipykernel.origin else own
