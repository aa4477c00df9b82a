"""A Jupyter server with the real service: what a rename, a new build and a deletion do to its kernels."""

from __future__ import annotations

import json
from pathlib import Path

from conda_store_hub.core.protocol import Kernel
from conda_store_hub.db.tables import Build, Lease
from conda_store_hub.services import work
from tests.support import make
from tests.support.jupyter import JupyterServer, run_jupyter, wait_until
from tests.support.service import RunningService, service
from tests.support.service_twin import IPYKERNEL

__all__ = ["service"]

ML = "csh.alice.ml.python3"
STATS = "csh.alice.stats.python3"


def complete(service: RunningService, name: str, prefix: Path) -> int:
    """Return a build that is active, with `prefix` as its own."""
    build_id = service.submit(name)
    service.claim(build_id)
    usable = make.usable().model_copy(update={"kernels": (Kernel(raw="python3", spec=json.dumps(IPYKERNEL)),)})
    prefix_of(service, build_id).symlink_to(prefix)
    service.db.write_sync(work.mark_usable, service.tickets[build_id], usable)
    return build_id


def prefix_of(service: RunningService, build_id: int) -> Path:
    name = service.db.read_sync(lambda session: session.get_one(Build, build_id).prefix_name)
    return service.services.data.prefix(name or "")


def test_a_kernel_starts_by_the_name_that_its_environment_had_and_keeps_its_build_from_deletion(
    service: RunningService, prefix: Path, tmp_path: Path
) -> None:
    first = complete(service, "ml", prefix)
    variables = {"CONDA_STORE_HUB_URL": service.url, "JUPYTERHUB_API_TOKEN": "alice-token"}
    with run_jupyter(tmp_path, **variables) as server, service.client("alice") as client:
        wait_until(lambda: ML in server.kernelspecs(), "the kernel in the picker")
        client.put("api/v1/environment/alice/ml/rename/", json={"name": "stats"}).raise_for_status()
        wait_until(lambda: server.standing()["kernels"] == [STATS], "the new name in the picker")
        kernel = server.start_kernel(ML)
        assert kernel.value("__import__('os').environ['CONDA_DEFAULT_ENV']") == "alice/stats"

        second = complete(service, "stats", prefix)
        refused = client.delete(f"api/v1/build/{first}/")
        assert (refused.status_code, refused.json()["code"]) == (409, "in-use")
        wait_until(lambda: listed_build(server) == second, "the new build in the picker")
        kernel.restart()
        assert kernel.value("__import__('os').environ['CONDA_PREFIX']") == str(prefix_of(service, second))
        wait_until(lambda: leased(service) == {second}, "the lease on the new build")
        client.delete(f"api/v1/build/{first}/").raise_for_status()
        kernel.shutdown()
        wait_until(lambda: leased(service) == set(), "the end of the lease")

        assert server.start_kernel(STATS).execute("1 + 1") == "2"
        assert leased(service) == {second}
    assert leased(service) == set()
    assert "Traceback" not in server.log


def listed_build(server: JupyterServer) -> int:
    return server.kernelspecs()[STATS]["spec"]["metadata"]["conda_store_hub"]["build_id"]


def leased(service: RunningService) -> set[int]:
    return service.db.read_sync(lambda session: {row.build_id for row in session.query(Lease)})
