"""Kernels written for what knows no manager of ours; run for real by nbconvert, and nothing else is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from conda_store_hub.client import kernel_export
from conda_store_hub.client.filelocks import FileLock
from conda_store_hub.client.kernel_export import Exported
from conda_store_hub.core.errors import LocalEnvironmentError
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.core.schemas import KernelView
from tests.builder.conftest import Built
from tests.client.test_client_envs import PLACE, offer, read
from tests.support.builder import REPOSITORY
from tests.support.service_twin import TOKEN, ServiceTwin, make_kernel

SERVER = "https://hub.example.org/services/conda-store-hub/"
ML = "csh.alice.ml.python3"
GEO = "csh.alice.geo.python3"


def view(prefix: object = "/nowhere/p", **more: Any) -> KernelView:
    return KernelView.model_validate(make_kernel(prefix, **more))


def export_kernels(views: list[KernelView], *, server: str, folder: Path, user: str = "alice") -> Exported:
    return kernel_export.export_kernels(views, server=server, user=user, folder=folder)


def kernels_in(folder: Path) -> set[str]:
    """Return what Jupyter finds there."""
    manager = KernelSpecManager(kernel_dirs=[str(folder)], ensure_native_kernel=False)
    return set(manager.find_kernel_specs())


def test_each_kernel_is_written_with_its_logo_and_is_found_by_jupyter(tmp_path: Path) -> None:
    logos = tmp_path / "p" / "share" / "jupyter" / "kernels" / "python3"
    logos.mkdir(parents=True)
    (logos / "logo-64x64.png").write_bytes(b"png")
    (logos / "logo-svg.svg").symlink_to("/etc/passwd")
    folder = tmp_path / "kernels"
    done = export_kernels([view(tmp_path / "p"), view(environment="geo")], server=SERVER, folder=folder)
    assert done.shown == {ML: "alice/ml · Python 3 (ipykernel)", GEO: "alice/geo · Python 3 (ipykernel)"}
    assert kernels_in(folder) == {ML, GEO}
    assert {path.name for path in (folder / ML).iterdir()} == {"kernel.json", "logo-64x64.png"}
    told = json.loads((folder / ML / "kernel.json").read_text())
    assert told["metadata"]["kernel_provisioner"]["config"]["service"] == SERVER
    assert told["argv"][0] == f"{tmp_path}/p/bin/python"


def test_what_is_no_more_goes_and_what_others_made_stays(tmp_path: Path) -> None:
    export_kernels([view(), view(environment="geo"), view(environment="old")], server=SERVER, folder=tmp_path)
    export_kernels([view(environment="far")], server="https://other.example.org/", folder=tmp_path)
    for name, text in (("mine", '{"argv": ["x"], "display_name": "mine", "language": "x"}'), (f"{GEO}.b2", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kernel.json").write_text(text)
    (tmp_path / "csh.alice.old.python3" / "notes.txt").write_text("mine")
    (tmp_path / "csh.alice.linked.python3").symlink_to(tmp_path / ML)
    (tmp_path / "csh.alice.torn.python3").mkdir()
    (tmp_path / "csh.alice.torn.python3" / ".kernel.json-0123").write_text("{")

    done = export_kernels([view()], server=SERVER, folder=tmp_path)
    assert sorted(done.removed) == [GEO, "csh.alice.old.python3", "csh.alice.torn.python3"]
    assert kernels_in(tmp_path) == {ML, "mine", f"{GEO}.b2", "csh.alice.far.python3", "csh.alice.linked.python3"}
    assert (tmp_path / "csh.alice.old.python3" / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "csh.alice.torn.python3").exists()


def test_a_name_that_something_else_has_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / ML).mkdir()
    (tmp_path / ML / "kernel.json").write_text('{"argv": ["mine"]}')
    done = export_kernels([view()], server=SERVER, folder=tmp_path)
    assert (done.kept, done.shown) == ([ML], {})
    assert (tmp_path / ML / "kernel.json").read_text() == '{"argv": ["mine"]}'


def test_of_two_people_who_export_into_one_folder_each_keeps_their_own(tmp_path: Path) -> None:
    team, own = view(environment="team"), view(environment="own")
    export_kernels([team, own], server=SERVER, folder=tmp_path)
    for _ in range(2):
        done = export_kernels([team], server=SERVER, folder=tmp_path, user="bob")
        assert done.removed == []
    assert kernels_in(tmp_path) == {team.name, own.name}

    done = export_kernels([], server=SERVER, folder=tmp_path)
    assert (done.removed, kernels_in(tmp_path)) == ([own.name], {team.name})
    done = export_kernels([], server=SERVER, folder=tmp_path, user="bob")
    assert (done.removed, kernels_in(tmp_path)) == ([team.name], set())


def test_a_link_that_leads_nowhere_stays_and_the_others_are_written(tmp_path: Path) -> None:
    (tmp_path / ML).symlink_to(tmp_path / "nowhere")
    done = export_kernels([view(), view(environment="geo")], server=SERVER, folder=tmp_path)
    assert (done.kept, [*done.shown]) == ([ML], [GEO])
    assert (tmp_path / ML).is_symlink()


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "csh.a.b", "python3", "", "csh.a/b.c.d"])
def test_a_name_that_is_none_of_ours_becomes_no_path(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "a" / "b"
    bad = view().model_copy(update={"name": name})
    done = export_kernels([bad, view(environment="geo")], server=SERVER, folder=folder)
    assert (done.unusable, [*done.shown]) == ([name], [GEO])
    assert {path.name for path in folder.iterdir()} <= {GEO, ".conda-store-export.lock"}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_another_export_that_hangs_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_export, "EXPORT_SECONDS", 0.2)
    with FileLock(tmp_path / ".conda-store-export.lock") as other:
        assert other.try_lock()
        with pytest.raises(LocalEnvironmentError, match=f"Another process has been at {tmp_path}"):
            export_kernels([view()], server=SERVER, folder=tmp_path)
    export_kernels([view()], server=SERVER, folder=tmp_path)
    assert kernels_in(tmp_path) == {ML}


def test_two_at_once_leave_whole_kernels(tmp_path: Path) -> None:
    lists = [[view(environment=f"e{number}") for number in range(start, start + 30)] for start in (0, 15)]
    threads = [
        threading.Thread(target=export_kernels, args=(views,), kwargs={"server": SERVER, "folder": tmp_path})
        for views in lists * 3
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kernels_in(tmp_path) in [{each.name for each in views} for views in lists]
    assert [*tmp_path.glob("*/.kernel.json-*")] == []
    for path in tmp_path.glob("*/kernel.json"):
        json.loads(path.read_bytes())


def test_one_that_is_killed_midway_leaves_whole_kernels_and_the_next_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_kernels([view(build_id=1), view(environment="geo", build_id=1)], server=SERVER, folder=tmp_path)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    views = [view(build_id=2), view(environment="geo", build_id=2), view(environment="new")]
    with monkeypatch.context() as patch:
        patch.setattr(kernel_export.Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            export_kernels(views, server=SERVER, folder=tmp_path)
    assert kernels_in(tmp_path) == {ML, GEO}
    assert json.loads((tmp_path / ML / "kernel.json").read_text())["metadata"]["conda_store_hub"]["build_id"] == 1
    export_kernels(views, server=SERVER, folder=tmp_path)
    assert kernels_in(tmp_path) == {ML, GEO, "csh.alice.new.python3"}
    assert [*tmp_path.glob("*/.kernel.json-*")] == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalEnvironmentError, match="file"):
        export_kernels([view()], server=SERVER, folder=tmp_path / "file" / "kernels")


def test_the_folder_is_jupyters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_core.paths import jupyter_data_dir

    monkeypatch.delenv("JUPYTER_DATA_DIR", raising=False)
    for data in ("", str(tmp_path / "data")):
        monkeypatch.setenv("XDG_DATA_HOME", data)
        assert kernel_export.find_user_folder() == Path(jupyter_data_dir()) / "kernels"
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "own"))
    assert kernel_export.find_user_folder() == Path(jupyter_data_dir()) / "kernels"


# For real


def run(command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    passed = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    program, *arguments = command
    return subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        capture_output=True,
        text=True,
        env=passed | variables,
        cwd=REPOSITORY,
    )


def test_nbconvert_executes_a_notebook_in_an_environment_that_is_made_and_held_for_it_and_follows_new_builds(
    twin: ServiceTwin, built: Built, tmp_path: Path
) -> None:
    offer(twin, read(built, ArtifactType.LOCKFILE))
    twin.state.kernels = [make_kernel(PLACE)]
    variables = {
        "HOME": str(tmp_path),
        "CONDA_STORE_URL": twin.url,
        "CONDA_STORE_TOKEN": TOKEN,
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    exported = run(["conda-store", "kernels", "export"], variables)
    assert exported.returncode == 0, exported.stderr
    assert exported.stdout == f"{ML}\talice/ml · Python 3 (ipykernel)\n"
    assert ML in run(["jupyter", "kernelspec", "list"], variables).stdout

    cell = {
        "cell_type": "code",
        "source": "import os, sys, tiny_pip\nprint(sys.prefix, tiny_pip.ANSWER, os.environ['CONDA_PREFIX'])",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "id": "one",
    }
    kernel = {"kernelspec": {"name": ML, "display_name": "x", "language": "python"}}
    notebook = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "in.ipynb").write_text(json.dumps(notebook))

    def execute() -> str:
        command = [
            "jupyter",
            "nbconvert",
            "--to",
            "notebook",
            "--execute",
            str(tmp_path / "in.ipynb"),
            "--output",
            "out.ipynb",
        ]
        done = run(command, variables)
        assert done.returncode == 0, done.stderr[-3000:]
        (made,) = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
        return made["outputs"][0]["text"][0]

    (root,) = {tmp_path / ".cache" / "conda-store"}
    first = execute().split()
    assert first == [str(next(root.glob("envs/*/1-*/bin")).parent), "42", first[0]]

    held = twin.asked("build/1/lease/")
    methods = [request.method for request in held]  # it is renewed, if the notebook takes long
    assert (set(methods[:-1]), methods[-1]) == ({"PUT"}, "DELETE")
    assert json.loads(held[0].body)["holder"] == json.loads(held[-1].body)["holder"]

    # Another build is active now; what was exported need not be exported again for that.
    twin.state.builds[2] = {**twin.state.builds[1], "id": 2, "prefix": f"{PLACE}2"}
    twin.state.kernels = [make_kernel(f"{PLACE}2", build_id=2)]
    assert execute().split()[0] == str(next(root.glob("envs/*/2-*/bin")).parent)

    # The service is away: what is known still runs.
    twin.stop()
    assert execute().split()[0] == first[0]
