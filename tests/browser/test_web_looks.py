"""Every page is accessible and fits its window, light and wide, dark and narrow; with one service for all of them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from playwright.sync_api import Browser

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.storage import prefixes
from tests.support.browser import check_with_axe
from tests.support.gallery import PAGES, Windows, gallery
from tests.support.service import RunningService

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningService]:
    data = DataDirectory(tmp_path_factory.mktemp("d"))
    prefixes.ensure_data_directory(data, publish_links=False)
    with gallery(data) as running:
        yield running


@pytest.fixture(scope="module")
def windows(chromium: Browser, service: RunningService, request: pytest.FixtureRequest) -> Generator[Windows]:
    opened = Windows(chromium, service, *request.param)
    yield opened
    opened.close()


def list_cases() -> list[Any]:
    """Return each page in as many looks as it is to be looked at; pages of the guide are one template, and text."""
    return [
        pytest.param(look, name, id=f"{name}-{look[0]}")
        for needed, look in ((2, ("light", 1280)), (1, ("dark", 360)))
        for name, shown in PAGES.items()
        if shown.looks >= needed
    ]


@pytest.mark.parametrize(("windows", "name"), list_cases(), indirect=["windows"])
def test_a_page_has_no_fault_for_axe_and_is_no_wider_than_its_window(windows: Windows, name: str) -> None:
    with windows.show(PAGES[name]) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= windows.width
        check_with_axe(page, PAGES[name].part)
