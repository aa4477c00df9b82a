"""Kernels whose environment is not on this machine: made of a real build's lock, told of, started at once later."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from conda_store_hub.client.atomic import replace_text
from conda_store_hub.client.cached import Hold, Made, Origin
from conda_store_hub.client.envcache import EnvironmentCache
from conda_store_hub.core import disk
from conda_store_hub.core.errors import ActivationError
from conda_store_hub.core.protocol import ArtifactEvent, ArtifactType, Kernel
from conda_store_hub.lab.local import KernelProgress, LocalBuilds, find_local_builds
from conda_store_hub.lab.provisioner import CondaStoreHubProvisioner
from conda_store_hub.services import work
from tests.builder.conftest import Built, built, sample, tiny, wheels, workshop
from tests.lab.test_lab_provisioner import SERVER, provisioner
from tests.lab.test_lab_server import receive
from tests.lab.test_lab_service import ML, complete
from tests.support import make
from tests.support.jupyter import JupyterServer, run_jupyter, wait_until
from tests.support.service import RunningService, service
from tests.support.service_twin import IPYKERNEL, TOKEN, ServiceTwin, make_build, run_twin

__all__ = ["built", "sample", "service", "tiny", "wheels", "workshop"]

PROGRESS = "https://conda-store-hub/events/environment-progress/v1"
RUNNING = "https://conda-store-hub/events/running-kernels/v1"


def complete_elsewhere(service: RunningService, built: Built | None, name: str = "ml") -> int:
    """Return a build that is active, whose prefix this machine does not see; with its lock, if one is given."""
    build_id = service.submit(name)
    service.claim(build_id)
    usable = make.usable().model_copy(update={"kernels": (Kernel(raw="python3", spec=json.dumps(IPYKERNEL)),)})
    service.db.write_sync(work.mark_usable, service.tickets[build_id], usable)
    if built is not None:
        path = built.outcome.artifacts[ArtifactType.LOCKFILE].path or ""
        service.store(build_id, ArtifactType.LOCKFILE, Path(path).read_bytes())
    return build_id


def variables(service: RunningService) -> dict[str, str]:
    return {"CONDA_STORE_HUB_URL": service.url, "JUPYTERHUB_API_TOKEN": "alice-token"}


def cache_of(server: JupyterServer) -> EnvironmentCache:
    return EnvironmentCache(server.root / "home" / ".cache" / "conda-store")


def running(server: JupyterServer) -> list[dict[str, Any]]:
    return server.ask("GET", "conda-store-hub/api/running").raise_for_status().json()["kernels"]


def test_an_environment_that_is_not_here_is_made_before_its_kernel_starts_and_told_of(
    service: RunningService, built: Built, tmp_path: Path
) -> None:
    build_id = complete_elsewhere(service, built)
    with run_jupyter(tmp_path, **variables(service)) as server:
        wait_until(lambda: ML in server.kernelspecs(), "the kernel in the picker")
        assert server.kernelspecs()[ML]["spec"]["display_name"] == "alice/ml · Python 3.11"
        assert "logo-64x64" in server.kernelspecs()[ML]["resources"]
        events = server.connect("api/events/subscribe")
        kernel = server.start_kernel(ML)
        told = [receive(events, PROGRESS)]
        while told[-1]["state"] == "making":
            told.append(receive(events, PROGRESS))
        events.close()
        assert {"ask", "fetch", "link", "pip"} <= {each["phase"] for each in told}
        assert told[-1]["state"] == "ready"
        assert {(each["kernel_id"], each["environment"], each["build_id"]) for each in told} == {
            (kernel.id, "alice/ml", build_id)
        }

        (local,) = cache_of(server).list_environments()
        code = "[__import__('sys').prefix, __import__('os').environ['CONDA_PREFIX'], __import__('tiny_pip').ANSWER]"
        assert kernel.value(code) == [str(local.prefix), str(local.prefix), 42]
        (listed,) = running(server)
        assert listed == {
            "kernel_id": kernel.id,
            "kernel_name": ML,
            "namespace": "alice",
            "environment": "ml",
            "build_id": build_id,
            "active_build_id": build_id,
            "pinned": False,
            "local": True,
            "outdated": False,
        }
        kernel.restart()
        assert kernel.value("__import__('sys').prefix") == str(local.prefix)
        assert server.start_kernel(ML).execute("1 + 1") == "2"
        assert server.log.count("Making build") == 1

        process = psutil.Process(kernel.value("__import__('os').getpid()"))
        assert not cache_of(server).remove(local)
        server.ask("DELETE", f"api/kernels/{kernel.id}").raise_for_status()
        process.wait(20)
        assert not cache_of(server).remove(local), "the other kernel has it"
    assert cache_of(server).remove(local)
    assert "Traceback" not in server.log


def test_a_kernel_whose_environment_cannot_be_made_says_why_and_the_server_goes_on(
    service: RunningService, tmp_path: Path
) -> None:
    build_id = complete_elsewhere(service, None)
    with run_jupyter(tmp_path, **variables(service)) as server:
        wait_until(lambda: ML in server.kernelspecs(), "the kernel in the picker")
        events = server.connect("api/events/subscribe")
        answers: list[httpx.Response] = []
        starting = threading.Thread(target=lambda: answers.append(server.start_session(ML)))
        starting.start()
        assert receive(events, PROGRESS)["phase"] == "ask"  # the lock is awaited, and was not written
        for kind, why in ((ArtifactType.CONDA_PACK, "There was no box."), (ArtifactType.LOCKFILE, "There was no ink.")):
            event = ArtifactEvent(artifact=kind, error=why)
            service.db.write_sync(work.record_artifact, service.tickets[build_id], event, "")
        starting.join(60)
        told = receive(events, PROGRESS)
        while told["state"] == "making":
            told = receive(events, PROGRESS)
        events.close()
        assert told["state"] == "failed"
        assert told["message"] in answers[0].json()["message"]
        assert "Choose the kernel again" in answers[0].json()["message"]
        assert "There was no ink." in told["message"]
        assert server.start_kernel("python3").execute("1 + 1") == "2"


def test_cancelling_ends_a_making_for_all_who_wait_and_another_start_makes_it_anew(
    service: RunningService, built: Built, tmp_path: Path
) -> None:
    build_id = complete_elsewhere(service, None)
    with run_jupyter(tmp_path, **variables(service)) as server:
        wait_until(lambda: ML in server.kernelspecs(), "the kernel in the picker")
        assert server.ask("DELETE", "conda-store-hub/api/making/none").json()["code"] == "not-found"
        events = server.connect("api/events/subscribe")
        answers: list[httpx.Response] = []
        starts = [threading.Thread(target=lambda: answers.append(server.start_session(ML))) for _ in range(2)]
        for start in starts:
            start.start()
        waiting: set[str] = set()
        while len(waiting) < 2:  # both wait for the lock, which was not written
            waiting.add(receive(events, PROGRESS)["kernel_id"])
        making = f"conda-store-hub/api/making/{min(waiting)}"
        assert httpx.delete(f"{server.url}{making}", trust_env=False).status_code == 403
        assert server.ask("DELETE", making).json() == {"kernels": sorted(waiting)}
        for start in starts:
            start.join(60)
        ended: set[str] = set()
        while ended < waiting:
            told = receive(events, PROGRESS)
            ended |= {told["kernel_id"]} if told["state"] == "cancelled" else set()
        for answer in answers:
            said = f"Making build {build_id} of alice/ml was cancelled, so its kernel has not started"
            assert said in answer.json()["message"]
        assert [each for each in cache_of(server).root.glob("envs/*/*") if each.suffix != ".lock"] == []
        assert server.ask("DELETE", making).status_code == 404

        lock = Path(built.outcome.artifacts[ArtifactType.LOCKFILE].path or "").read_bytes()
        service.store(build_id, ArtifactType.LOCKFILE, lock)
        assert server.start_kernel(ML).execute("1 + 1") == "2"
        told = receive(events, PROGRESS)
        while told["state"] == "making":
            told = receive(events, PROGRESS)
        events.close()
        assert told["state"] == "ready"
        assert told["kernel_id"] not in waiting
        assert server.ask("DELETE", f"conda-store-hub/api/making/{told['kernel_id']}").status_code == 404


def test_a_build_that_this_server_has_never_seen_can_be_asked_for_and_stays_in_the_picker(
    service: RunningService, prefix: Path, tmp_path: Path
) -> None:
    first = complete(service, "ml", prefix)
    second = complete(service, "ml", prefix)
    pinned = f"{ML}.b{first}"
    with run_jupyter(tmp_path, **variables(service)) as server:
        wait_until(lambda: ML in server.kernelspecs(), "the kernel in the picker")
        assert pinned not in server.kernelspecs()
        kernel = server.start_kernel(pinned)
        assert kernel.value("__import__('os').environ['CONDA_PREFIX']").startswith(str(service.services.data.prefixes))
        (listed,) = running(server)
        assert (listed["build_id"], listed["active_build_id"], listed["pinned"], listed["outdated"]) == (
            *(first, second, True, False),
        )
        shown = server.kernelspecs()[pinned]["spec"]
        assert shown["display_name"] == f"alice/ml · Python 3.11 (build {first})"
        kernel.restart()
        assert [each["build_id"] for each in running(server)] == [first]

        answer = server.start_session(f"{ML}.b999")
        assert "There is no kernel" in answer.json()["message"]
        assert f"{ML}.b999" not in server.kernelspecs()
        answer = server.start_session(f"csh.alice.other.python3.b{first}")
        assert "There is no kernel" in answer.json()["message"]
        server.stop()
        server.start()
        wait_until(lambda: ML in server.kernelspecs(), "the kernel in the picker")
        assert pinned in server.kernelspecs()
        assert server.start_kernel(pinned).execute("1 + 1") == "2"


def test_a_new_build_is_offered_to_the_kernels_that_run_in_another(
    service: RunningService, prefix: Path, tmp_path: Path
) -> None:
    first = complete(service, "ml", prefix)
    with run_jupyter(tmp_path, **variables(service)) as server:
        wait_until(lambda: ML in server.kernelspecs(), "the kernel in the picker")
        kernel, other = server.start_kernel(ML), server.start_kernel("python3")
        pinned = server.start_kernel(f"{ML}.b{first}")
        events = server.connect("api/events/subscribe")
        second = complete(service, "ml", prefix)
        (offered,) = receive(events, RUNNING)["outdated"]
        events.close()
        assert (offered["kernel_id"], offered["build_id"], offered["active_build_id"]) == (kernel.id, first, second)
        assert {each["kernel_id"]: each["outdated"] for each in running(server)} == {kernel.id: True, pinned.id: False}
        one = server.ask("GET", f"conda-store-hub/api/running/{kernel.id}").json()
        assert (one["build_id"], one["active_build_id"]) == (first, second)
        assert server.ask("GET", f"conda-store-hub/api/running/{other.id}").status_code == 404
        kernel.restart()
        wait_until(lambda: not any(each["outdated"] for each in running(server)), "the restarted kernel")
        assert httpx.get(f"{server.url}conda-store-hub/api/running", trust_env=False).status_code == 403


# The provisioner alone


@pytest.fixture
def builds(twin: ServiceTwin, tmp_path: Path) -> Generator[LocalBuilds]:
    told: list[KernelProgress] = []
    twin.state.builds = {1: make_build(1, prefix="/nowhere/b/x")}
    made = LocalBuilds(
        url=twin.url, token=TOKEN, log=logging.getLogger("t"), cache=EnvironmentCache(tmp_path), on_progress=told.append
    )
    CondaStoreHubProvisioner.builds = made
    yield made
    CondaStoreHubProvisioner.builds = None


def test_a_start_that_is_cancelled_ends_the_making(builds: LocalBuilds, twin: ServiceTwin, tmp_path: Path) -> None:
    twin.state.builds[1] = make_build(1, prefix="/nowhere/b/x")
    twin.state.artifacts = {"lockfile": b"version: 1\n"}
    asked = threading.Event()
    original = builds.on_progress

    def on_progress(progress: KernelProgress) -> None:
        original(progress)
        asked.set()
        if progress.state == "making":
            wait_until(lambda: not builds._under_way, "the start to be given up")

    builds.on_progress = on_progress

    async def start() -> None:
        task = asyncio.create_task(provisioner(Path("/nowhere/b/x")).pre_launch(env=SERVER))
        await asyncio.to_thread(asked.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(start())
    told: list[KernelProgress] = original.__self__  # type: ignore[attr-defined]
    wait_until(lambda: told[-1].state == "cancelled", "the end of the making")
    assert [path for path in tmp_path.glob("envs/*/*") if path.suffix != ".lock"] == []


def test_what_is_cancelled_ends_its_process_and_leaves_other_builds_alone(
    builds: LocalBuilds, twin: ServiceTwin, built: Built, tmp_path: Path
) -> None:
    twin.state.builds = {number: make_build(number, prefix=f"/nowhere/b/{number}") for number in (1, 2)}
    twin.state.artifacts = {"lockfile": Path(built.outcome.artifacts[ArtifactType.LOCKFILE].path or "").read_bytes()}
    held = threading.Event()
    original = builds.on_progress

    def on_progress(progress: KernelProgress) -> None:
        original(progress)
        if progress.state == "making" and progress.phase == "fetch":
            held.wait(60)

    builds.on_progress = on_progress
    told: list[KernelProgress] = original.__self__  # type: ignore[attr-defined]

    def phases(kernel_id: str) -> set[str]:
        return {each.phase for each in told if each.kernel_id == kernel_id}

    async def start() -> list[object]:
        starts = [
            asyncio.create_task(builds.ensure(kernel, "alice/ml", number, f"/nowhere/b/{number}"))
            for kernel, number in (("a", 1), ("b", 2))
        ]
        await asyncio.to_thread(wait_until, lambda: "fetch" in phases("a") and "fetch" in phases("b"), "both")
        assert len(makers()) == 2
        assert builds.cancel("c") == []
        assert builds.cancel("a") == ["a"]
        held.set()
        return await asyncio.gather(*starts, return_exceptions=True)

    cancelled, made = asyncio.run(start())
    assert isinstance(cancelled, ActivationError)
    assert "was cancelled" in cancelled.message
    assert isinstance(made, Hold)
    made.close()
    assert [each.made.build_id for each in builds.cache.list_environments()] == [2]
    assert makers() == []
    assert {path.name.partition("-")[0] for path in tmp_path.glob("envs/*/*") if path.suffix != ".lock"} == {"2"}
    ended = {each.kernel_id: each.state for each in told if each.state != "making"}
    assert ended == {"a": "cancelled", "b": "ready"}


def test_what_is_cancelled_at_its_very_end_starts_no_kernel_and_is_there_for_the_next(
    builds: LocalBuilds, twin: ServiceTwin, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin.state.builds = {1: make_build(1, prefix="/nowhere/b/1")}
    twin.state.artifacts = {"lockfile": Path(built.outcome.artifacts[ArtifactType.LOCKFILE].path or "").read_bytes()}
    # After the last look at whether somebody gave it up.
    monkeypatch.setattr(disk, "force", lambda _: builds.cancel("a"))
    with pytest.raises(ActivationError, match="was cancelled"):
        asyncio.run(builds.ensure("a", "alice/ml", 1, "/nowhere/b/1"))
    told: list[KernelProgress] = builds.on_progress.__self__  # type: ignore[attr-defined]
    assert [each.state for each in told if each.state != "making"] == ["cancelled"]
    asyncio.run(builds.ensure("a", "alice/ml", 1, "/nowhere/b/1")).close()
    (local,) = builds.cache.list_environments()
    assert builds.cache.remove(local), "nobody holds it"


def makers() -> list[psutil.Process]:
    """Return the processes that make environments for this one."""
    return [each for each in psutil.Process().children() if "conda_store_hub.client.maker" in each.cmdline()]


def test_a_prefix_that_comes_into_sight_is_used_from_then_on(
    builds: LocalBuilds, twin: ServiceTwin, tmp_path: Path
) -> None:
    shared = tmp_path / "shared" / "prefix"
    place = builds.cache.make_place(twin.url, 1, str(shared))
    for prefix in (place.prefix, tmp_path / "hidden"):
        (prefix / "bin").mkdir(parents=True)
        (prefix / "conda-meta").mkdir()
        (prefix / "bin" / "python").symlink_to(sys.executable)
    made = Made(server=twin.url, build_id=1, namespace="alice", environment="ml", origin=Origin.LOCK, size=1)
    replace_text(place.record, made.dump())
    kernel = provisioner(shared)
    (local,) = builds.cache.list_environments()

    first = asyncio.run(kernel.pre_launch(env=SERVER))
    assert (first["executable"], first["env"]["CONDA_PREFIX"]) == (f"{place.prefix}/bin/python", str(place.prefix))
    assert kernel.is_local
    assert not builds.cache.remove(local)

    shared.parent.mkdir()
    (tmp_path / "hidden").rename(shared)
    second = asyncio.run(kernel.pre_launch(env=SERVER))
    assert (second["executable"], second["env"]["CONDA_PREFIX"]) == (f"{shared}/bin/python", str(shared))
    assert not kernel.is_local
    assert builds.cache.remove(local)
    assert twin.asked("build/1/") == []


def test_where_nothing_may_be_made_it_is_said_that_the_disk_is_not_shared(builds: LocalBuilds) -> None:
    with pytest.raises(ActivationError, match="does not see the disk of the service"):
        asyncio.run(provisioner(Path("/nowhere/b/x"), make_local=False).pre_launch(env=SERVER))


def test_a_service_that_is_away_is_named_as_the_reason(builds: LocalBuilds, twin: ServiceTwin) -> None:
    twin.stop()
    with pytest.raises(ActivationError, match=r"could not be made on this machine.*cannot be reached"):
        asyncio.run(provisioner(Path("/nowhere/b/x")).pre_launch(env=SERVER))


def test_a_kernel_of_another_service_is_made_of_that_one(
    builds: LocalBuilds, twin: ServiceTwin, tmp_path: Path
) -> None:
    with run_twin() as other:
        assert other.url != twin.url
        with pytest.raises(ActivationError, match="does not offer it|could not be made"):
            asyncio.run(provisioner(Path("/nowhere/b/x"), service=other.url).pre_launch(env=SERVER))
        assert len(other.asked("build/1/")) == 1
    assert twin.requests == []
    own = provisioner(Path("/nowhere/b/x"), service=twin.url.rstrip("/"))
    assert own._find_builds() is builds


HUB, OWN, EVIL = "http://hub/services/c/", "https://own.example.org/c", "https://evil.example.org/"


@pytest.mark.parametrize(
    ("service", "variables", "token"),
    [
        ("", {"CONDA_STORE_URL": OWN, "CONDA_STORE_TOKEN": "own"}, "own"),
        (OWN + "/", {"CONDA_STORE_URL": OWN, "CONDA_STORE_TOKEN": "own"}, "own"),
        (EVIL, {"CONDA_STORE_URL": OWN, "CONDA_STORE_TOKEN": "own"}, None),
        (EVIL, {"CONDA_STORE_TOKEN": "own"}, None),
        (EVIL, {"CONDA_STORE_HUB_URL": HUB, "CONDA_STORE_TOKEN": "own", "JUPYTERHUB_API_TOKEN": "hub"}, None),
        (HUB, {"CONDA_STORE_HUB_URL": HUB, "JUPYTERHUB_API_TOKEN": "hub"}, "hub"),
        (HUB, {"CONDA_STORE_HUB_URL": HUB, "CONDA_STORE_TOKEN": "own", "JUPYTERHUB_API_TOKEN": "hub"}, "own"),
        (HUB, {"CONDA_STORE_HUB_URL": HUB, "CONDA_STORE_URL": OWN, "CONDA_STORE_TOKEN": "own"}, None),
    ],
)
def test_a_token_goes_to_no_service_but_its_own(
    monkeypatch: pytest.MonkeyPatch, service: str, variables: dict[str, str], token: str | None
) -> None:
    for name in ("CONDA_STORE_URL", "CONDA_STORE_TOKEN", "CONDA_STORE_HUB_URL", "CONDA_STORE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = find_local_builds(service, logging.getLogger("t"))
    assert found is not None
    assert found.token == token
