"""What runs inside a user's Jupyter server: environments as kernels, started in their activated environment."""

from __future__ import annotations

from typing import Any

__all__ = ["_jupyter_server_extension_points"]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell Jupyter Server where the extension is; imported here, because the base install has no server."""
    from conda_store_hub.lab.extension import CondaStoreHubExtension

    return [{"module": "conda_store_hub.lab", "app": CondaStoreHubExtension}]
