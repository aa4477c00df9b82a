"""Conda environments for JupyterHub: specified, built, kept, shared, and computed in."""

from conda_store_hub.hubconfig import configure

__all__ = ["__version__", "configure"]

__version__ = "0.1.0"
