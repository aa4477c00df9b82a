"""The base alone, as on a laptop or in a user's image: built, installed into an empty environment, imported."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.wheel import ROOT, UV, build_wheel, install, run

SERVER_ONLY = {"alembic", "celery", "conda-lock", "conda-pack", "jupyterhub", "obstore", "sqlalchemy", "tornado", "uv"}
# There wherever `lab` is loaded, and not in the base.
OF_A_JUPYTER_SERVER = {"jupyter_client", "jupyter_core", "jupyter_events", "jupyter_server", "tornado", "traitlets"}

IMPORT_ALL = """
import importlib, json, pkgutil, sys
missing = {}
for part in ("core", "client", "lab"):
    package = importlib.import_module(f"conda_store_hub.{part}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            missing[module.name] = error.name
print(json.dumps(missing))
sys.stdout.flush()
import os
os._exit(0)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("base"), wheel)


def test_the_extension_of_jupyterlab_is_installed_where_it_is_looked_for(environment: Path) -> None:
    installed = environment / "share" / "jupyter" / "labextensions" / "conda-store-hub"
    assert json.loads((installed / "install.json").read_text())["packageName"] == "conda-store-hub"
    assert json.loads((installed / "package.json").read_text())["jupyterlab"]["_build"]["load"].startswith("static/")
    assert (installed / "schemas" / "conda-store-hub" / "plugin.json").is_file()
    assert (environment / "etc" / "jupyter" / "jupyter_server_config.d" / "conda_store_hub.json").is_file()


def test_nothing_of_the_server_is_installed(environment: Path) -> None:
    python = environment / "bin" / "python"
    listed = json.loads(run([*UV, "pip", "list", "--format", "json", "--python", python], environment))
    assert {package["name"] for package in listed} & SERVER_ONLY == set()


def test_core_client_and_lab_can_be_imported(environment: Path) -> None:
    missing = json.loads(run([environment / "bin" / "python", "-c", IMPORT_ALL], environment))
    assert {name: what for name, what in missing.items() if not name.startswith("conda_store_hub.lab.")} == {}
    assert set(missing.values()) <= OF_A_JUPYTER_SERVER


def test_the_client_runs(environment: Path) -> None:
    assert "Usage" in run([environment / "bin" / "conda-store", "--help"], environment)


def test_the_services_command_says_what_to_install(environment: Path) -> None:
    command = [environment / "bin" / "python", "-m", "conda_store_hub", "serve"]
    done = subprocess.run(command, cwd=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'conda-store-hub[server]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_jupyter_server_finds_the_extension_without_a_command(environment: Path) -> None:
    settings = environment / "etc" / "jupyter" / "jupyter_server_config.d" / "conda_store_hub.json"
    extensions = json.loads(settings.read_text())["ServerApp"]["jpserver_extensions"]
    assert extensions == {"conda_store_hub.lab": True}
    run([environment / "bin" / "python", "-c", f"import {next(iter(extensions))}"], environment)


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    built = ROOT / "conda_store_hub" / "labextension"
    here = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "conda_store_hub").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.is_relative_to(built)
    }
    assert here - packed == set()
    # What is built for JupyterLab is where JupyterLab looks for it. Its scripts are named by what was built, and where.
    (metadata,) = {name.partition("/")[0] for name in packed if ".dist-info/" in name}
    installed = f"{metadata.removesuffix('.dist-info')}.data/data/share/jupyter/labextensions/conda-store-hub"
    extension = {name.removeprefix(f"{installed}/") for name in packed if name.startswith(f"{installed}/")}
    assert {"package.json", "install.json", "schemas/conda-store-hub/plugin.json", "static/style.js"} <= extension
    assert any(name.startswith("static/remoteEntry.") for name in extension)
    assert not any(name.startswith("conda_store_hub/labextension/") for name in packed)
    assert "conda_store_hub/web/static/built/create.js" in packed
