"""The kernels laid over a kernel spec manager: what is listed, what is answered, what stays the manager's."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from traitlets.config import Config

from conda_store_hub.core.schemas import KernelView
from conda_store_hub.lab.kernels import MAX_KNOWN, KernelCatalog, KernelChange, compose_manager
from conda_store_hub.lab.specs import EnvironmentKernelSpec, make_spec
from tests.support.service_twin import make_kernel

ML = "csh.alice.ml.python3"
GEO = "csh.alice.geo.python3"
STATS = "csh.alice.stats.python3"
# What asks the operating system for something.
SYSTEM = {"posix", "_io", "io", "_socket", "_ssl", "select", "_posixsubprocess"}


def spec(**more: Any) -> EnvironmentKernelSpec:
    return make_spec(KernelView.model_validate(make_kernel(more.pop("prefix", "/nowhere/p"), **more)))


class EmptyManager(KernelSpecManager):
    """A manager with no kernels of its own."""

    def find_kernel_specs(self) -> dict[str, str]:
        return {}


class OtherManager(KernelSpecManager):
    """Somebody's manager: own names, own listing, as nb_conda_kernels has them."""

    def find_kernel_specs(self) -> dict[str, str]:
        return {**super().find_kernel_specs(), "conda-env-base-py": "/opt/conda"}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        if kernel_name == "conda-env-base-py":
            return KernelSpec(argv=["/opt/conda/bin/python"], display_name="base", language="python")
        return super().get_kernel_spec(kernel_name)

    def get_all_specs(self) -> dict[str, Any]:
        return {
            name: {"resource_dir": folder, "spec": self.get_kernel_spec(name).to_dict()}
            for name, folder in self.find_kernel_specs().items()
        }


class AsyncManager(KernelSpecManager):
    """A manager that answers with awaitables, as Jupyter Server allows."""

    async def find_kernel_specs(self) -> dict[str, str]:  # type: ignore[override]
        return {"remote": "/remote"}

    async def get_all_specs(self) -> dict[str, Any]:  # type: ignore[override]
        return {"remote": {"resource_dir": "/remote", "spec": {"display_name": "far away"}}}

    async def get_kernel_spec(self, kernel_name: str) -> KernelSpec:  # type: ignore[override]
        return KernelSpec(display_name="far away")


@pytest.fixture
def catalog() -> KernelCatalog:
    catalog = KernelCatalog()
    catalog.replace([spec(), spec(environment="geo", build_id=2)])
    return catalog


def manager(catalog: KernelCatalog, base: type[KernelSpecManager] = KernelSpecManager, **traits: Any) -> Any:
    return compose_manager(base, catalog)(kernel_dirs=[], **traits)


def test_the_servers_own_kernel_stays(catalog: KernelCatalog) -> None:
    for listed in (manager(catalog).find_kernel_specs(), manager(catalog).get_all_specs()):
        assert listed.keys() == {"python3", ML, GEO}
    assert manager(catalog).get_kernel_spec("python3").language == "python"


def test_another_manager_keeps_its_kernels_and_its_ways(catalog: KernelCatalog) -> None:
    composed = manager(catalog, OtherManager)
    assert composed.get_all_specs().keys() == {"python3", "conda-env-base-py", ML, GEO}
    assert composed.get_kernel_spec("conda-env-base-py").display_name == "base"
    assert composed.get_kernel_spec(ML).display_name == "alice/ml · Python 3 (ipykernel)"


def test_an_asynchronous_manager_is_awaited(catalog: KernelCatalog) -> None:
    composed = manager(catalog, AsyncManager)
    assert asyncio.run(composed.get_all_specs()).keys() == {"remote", ML, GEO}
    assert asyncio.run(composed.find_kernel_specs()).keys() == {"remote", ML, GEO}
    assert asyncio.run(composed.get_kernel_spec("remote")).display_name == "far away"
    assert not inspect.isawaitable(composed.get_kernel_spec(ML))


def test_a_composed_manager_is_configured_as_the_one_below(catalog: KernelCatalog) -> None:
    for section in ("KernelSpecManager", "OtherManager"):
        config = Config({section: {"ensure_native_kernel": False}})
        assert manager(catalog, OtherManager, config=config).find_kernel_specs().keys() == {
            *("conda-env-base-py", ML, GEO)
        }


def test_only_allowed_kernels_are_listed(catalog: KernelCatalog) -> None:
    composed = manager(catalog, allowed_kernelspecs={"python3", GEO})
    assert composed.find_kernel_specs().keys() == {"python3", GEO}
    assert composed.get_all_specs().keys() == {"python3", GEO}


def test_what_is_listed_can_be_sent_as_json(catalog: KernelCatalog) -> None:
    listed = json.loads(json.dumps(manager(catalog).get_all_specs()[ML]))
    assert listed["resource_dir"] == "/nowhere/p/share/jupyter/kernels/python3"
    assert listed["spec"]["argv"][0] == "/nowhere/p/bin/python"


def test_a_new_list_replaces_the_old_one_as_a_whole(catalog: KernelCatalog) -> None:
    change = catalog.replace([spec(build_id=5), spec(environment="new")])
    assert change == KernelChange(added=("csh.alice.new.python3",), removed=(GEO,), changed=(ML,))
    assert manager(catalog, EmptyManager).find_kernel_specs().keys() == {ML, "csh.alice.new.python3"}
    assert not catalog.replace([spec(build_id=5), spec(environment="new")])


def test_a_kernel_that_is_gone_is_answered_for_those_who_run_it(catalog: KernelCatalog) -> None:
    catalog.replace([])
    composed = manager(catalog)
    assert composed.find_kernel_specs().keys() == {"python3"}
    assert composed.get_kernel_spec(ML).build_id == 1


def test_one_build_of_a_kernel_is_answered_by_its_number(catalog: KernelCatalog) -> None:
    catalog.replace([spec(build_id=5)])
    composed = manager(catalog)
    assert [composed.get_kernel_spec(name).build_id for name in (ML, f"{ML}.b5", f"{ML}.b1")] == [5, 5, 1]
    assert f"{ML}.b5" not in composed.find_kernel_specs()


def test_a_name_of_the_past_starts_what_it_became_and_is_not_listed(catalog: KernelCatalog) -> None:
    composed = manager(catalog)
    catalog.replace([spec(environment="stats", build_id=5, aliases=(ML,))])
    assert composed.find_kernel_specs().keys() == composed.get_all_specs().keys() == {"python3", STATS}
    started = [composed.get_kernel_spec(name) for name in (ML, f"{ML}.b5", f"{ML}.b1")]
    assert [(spec.name, spec.build_id) for spec in started] == [(STATS, 5), (STATS, 5), (ML, 1)]
    assert started[0].metadata["kernel_provisioner"]["config"]["environment"] == "alice/stats"


def test_a_name_of_the_past_gives_way_to_an_environment_that_has_it_now(catalog: KernelCatalog) -> None:
    catalog.replace([spec(environment="stats", build_id=5, aliases=(ML,)), spec(build_id=6)])
    assert manager(catalog).get_kernel_spec(ML).build_id == 6
    catalog.replace([spec(environment="stats", build_id=5)])
    assert manager(catalog).get_kernel_spec(ML).build_id == 6


def test_of_a_build_that_was_never_seen_the_name_is_known_until_it_is_started(catalog: KernelCatalog) -> None:
    found = compose_manager(EmptyManager, catalog)().get_kernel_spec(f"{ML}.b99")
    assert isinstance(found, EnvironmentKernelSpec)
    assert (found.unseen, found.build_id, found.name) == (True, 99, f"{ML}.b99")
    assert f"{ML}.b99" not in compose_manager(EmptyManager, catalog)().find_kernel_specs()


@pytest.mark.parametrize("name", ["csh.alice.none.python3", f"{ML}.bx", "csh.", "no-such-kernel"])
def test_an_unknown_name_is_no_such_kernel(catalog: KernelCatalog, name: str) -> None:
    with pytest.raises(NoSuchKernel):
        manager(catalog).get_kernel_spec(name)


def test_what_is_remembered_has_an_end_and_what_is_listed_stays(catalog: KernelCatalog) -> None:
    for build_id in range(10, 10 + MAX_KNOWN):
        catalog.replace([spec(build_id=build_id), spec(environment="geo", build_id=2)])
    assert catalog.find(f"{ML}.b1") is None
    found = catalog.find(GEO)
    assert found is not None
    assert found.build_id == 2


def test_the_files_of_an_environment_are_not_deleted_through_its_kernel(catalog: KernelCatalog, tmp_path: Path) -> None:
    folder = tmp_path / "share" / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    catalog.replace([spec(prefix=tmp_path)])
    with pytest.raises(PermissionError, match="environments page"):
        manager(catalog).remove_kernel_spec(ML)
    assert folder.is_dir()


def test_listing_asks_nothing_of_the_operating_system() -> None:
    catalog = KernelCatalog()
    catalog.replace([spec(environment=f"e{number}", prefix=f"/nowhere/{number}") for number in range(200)])
    composed = manager(catalog, EmptyManager)
    asked: list[str] = []

    def watch(_frame: object, event: str, called: Any) -> None:
        if event == "c_call" and getattr(called, "__module__", None) in SYSTEM:
            asked.append(called.__qualname__)

    sys.setprofile(watch)
    try:
        listed = composed.get_all_specs()
        composed.get_kernel_spec("csh.alice.e7.python3")
        os.getpid()  # the watch sees what it is there to see
    finally:
        sys.setprofile(None)
    assert len(listed) == 200
    assert asked == ["getpid"]
