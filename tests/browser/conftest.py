"""The browser for these tests, and a Hub for each file of them, which builds from the sample channel."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import chromium, page
from tests.support.channel import sample_channel_dir
from tests.support.hub import configure_channels, make_settings

__all__ = ["chromium", "page"]


@pytest.fixture(scope="module")
def channel() -> Generator[str]:
    """The address of the sample channel."""
    with serve_channel(sample_channel_dir()) as url:
        yield url


@pytest.fixture(scope="module")
def hub(channel: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[DemoHub]:
    """A Hub in which nothing was built yet."""
    config = configure_channels(sample=channel)
    with DemoHub(tmp_path_factory.mktemp("h"), make_settings(service_config=config)) as running:
        yield running
