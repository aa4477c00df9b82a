"""Conda environments for JupyterHub: specified, built, kept, shared, and computed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conda_store_hub.hubconfig import configure
    from conda_store_hub.hubimages import image_profiles

__all__ = ["__version__", "_jupyter_labextension_paths", "configure", "image_profiles"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load these for the Hub that calls them: every builder and kernel would pay 50 ms for it."""
    if name == "configure":
        from conda_store_hub.hubconfig import configure

        return configure
    if name == "image_profiles":
        from conda_store_hub.hubimages import image_profiles

        return image_profiles
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Tell JupyterLab's tools where the built extension is, and what it is called where it is installed."""
    return [{"src": "labextension", "dest": "conda-store-hub"}]
