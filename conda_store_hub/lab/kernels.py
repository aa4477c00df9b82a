"""The kernels of one's environments, laid over whatever kernel spec manager the server has; no I/O when listing."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import new_class
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

from conda_store_hub.core.names import KernelName
from conda_store_hub.lab.specs import EnvironmentKernelSpec, make_unseen_spec

V = TypeVar("V")
MAX_KNOWN = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelChange:
    """Names of kernels that a new list added, removed, or moved to another build."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


class KernelCatalog:
    """The kernels to list, replaced as a whole; one that was known stays known, for those who run it."""

    def __init__(self) -> None:
        self.listed: Mapping[str, EnvironmentKernelSpec] = {}
        """Those of the active builds."""
        self.shown: Mapping[str, EnvironmentKernelSpec] = {}
        """These, and the builds that notebooks of this server are pinned to."""
        self._pinned: Mapping[str, EnvironmentKernelSpec] = {}
        self._aliases: Mapping[str, EnvironmentKernelSpec] = {}
        self._known: OrderedDict[str, EnvironmentKernelSpec] = OrderedDict()

    def replace(self, specs: Iterable[EnvironmentKernelSpec]) -> KernelChange:
        """List these and no others; return what that changes."""
        old, new = self.listed, {spec.name: spec for spec in specs}
        self._remember(new.values())
        self.listed, self.shown = new, {**self._pinned, **new}
        self._aliases = {alias: spec for spec in new.values() for alias in spec.aliases}
        return KernelChange(
            added=tuple(sorted(new.keys() - old.keys())),
            removed=tuple(sorted(old.keys() - new.keys())),
            changed=tuple(sorted(name for name in new.keys() & old.keys() if _differ(new[name], old[name]))),
        )

    def pin(self, specs: Iterable[EnvironmentKernelSpec]) -> KernelChange:
        """Show these builds beside what is listed, and no others; return what that changes."""
        old, new = self._pinned, {spec.name: spec for spec in specs}
        self._pinned, self.shown = new, {**new, **self.listed}
        return KernelChange(
            added=tuple(sorted(new.keys() - old.keys())), removed=tuple(sorted(old.keys() - new.keys()))
        )

    def find(self, name: str) -> EnvironmentKernelSpec | None:
        """Return a kernel by its name, by one that it had, or one build of it by `….bN`; also one no longer listed."""
        return self.shown.get(name) or self._aliases.get(name) or self._known.get(name)

    def find_active(self, name: str) -> EnvironmentKernelSpec | None:
        """Return the kernel in the active build of its environment, by any name of it or of a build of it."""
        parts = KernelName.find(name)
        name = name if parts is None else str(replace(parts, build_id=None))
        return self.listed.get(name) or self._aliases.get(name)

    def _remember(self, specs: Iterable[EnvironmentKernelSpec]) -> None:
        for spec in specs:
            for name in (spec.name, *spec.aliases):
                self._know(name, spec)
                self._know(f"{name}.b{spec.build_id}", spec)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _know(self, name: str, spec: EnvironmentKernelSpec) -> None:
        self._known[name] = spec
        self._known.move_to_end(name)


def _differ(one: EnvironmentKernelSpec, other: EnvironmentKernelSpec) -> bool:
    return one.to_dict() != other.to_dict()


_Base = KernelSpecManager if TYPE_CHECKING else object


class CondaStoreHubKernelSpecMixin(_Base):
    """Adds the catalog's kernels to those of the manager it is composed with; all else is that manager's."""

    catalog: ClassVar[KernelCatalog]

    def find_kernel_specs(self) -> dict[str, str]:
        """Return resource directories by kernel name."""
        ours = {name: spec.resource_dir for name, spec in self._allowed().items()}
        return _join(super().find_kernel_specs(), ours)

    def get_all_specs(self) -> dict[str, Any]:
        """Return what the kernel picker shows, by kernel name."""
        ours = {
            name: {"resource_dir": spec.resource_dir, "spec": spec.to_dict()} for name, spec in self._allowed().items()
        }
        return _join(super().get_all_specs(), ours)

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return one kernel spec; raises NoSuchKernel.

        Of a build that this server has not seen, only its name is known until it is started.
        """
        known = self.catalog.find(kernel_name)
        if known is None and KernelName.is_of_build(kernel_name):
            return make_unseen_spec(kernel_name)
        return known or super().get_kernel_spec(kernel_name)

    def remove_kernel_spec(self, name: str) -> str:
        """Refuse to delete what lies in the prefix of an environment."""
        if self.catalog.find(name) is not None:
            raise PermissionError(f"{name} belongs to an environment: delete it on the environments page.")
        return super().remove_kernel_spec(name)

    def _allowed(self) -> Mapping[str, EnvironmentKernelSpec]:
        listed = self.catalog.shown
        allowed = cast("set[str]", getattr(self, "allowed_kernelspecs", set()))
        return {name: listed[name] for name in listed if name in allowed} if allowed else listed


def _join(theirs: dict[str, V], ours: dict[str, V]) -> dict[str, V]:
    """Merge, also when the other manager answers with an awaitable, as Jupyter Server allows."""
    if inspect.isawaitable(theirs):

        async def join_later(later: Awaitable[dict[str, V]]) -> dict[str, V]:
            return {**await later, **ours}

        return cast("dict[str, V]", join_later(theirs))
    return {**theirs, **ours}


def compose_manager(base: type[KernelSpecManager], catalog: KernelCatalog) -> type[KernelSpecManager]:
    """Return the class `base` with the catalog's kernels laid over it; its own traits and sections stay."""
    return new_class(
        f"CondaStoreHub{base.__name__}",
        (CondaStoreHubKernelSpecMixin, base),
        exec_body=lambda body: body.update(catalog=catalog, __module__=__name__),
    )
