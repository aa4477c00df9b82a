"""The one error of the demonstration."""

from __future__ import annotations

from typing import ClassVar

from conda_store_hub.core.errors import CondaStoreHubError


class DemoError(CondaStoreHubError):
    """The demonstration cannot go on."""

    code: ClassVar[str] = "demo"
