"""A window of a browser in which alice is logged in at a service behind the fake Hub."""

from __future__ import annotations

from collections.abc import Generator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.service import RunningService

#: What a browser says of an answer that the test asked for.
EXPECTED = "the server responded with a status of 4"


@pytest.fixture
def page(chromium: Browser, service: RunningService) -> Generator[Page]:
    """A window in which alice is logged in; what the browser complains of fails the test."""
    with chromium.new_context(locale="en-GB", timezone_id="Asia/Tokyo") as context:
        window = open_window(context)
        complaints: list[str] = []
        window.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        window.on("pageerror", lambda error: complaints.append(str(error)))
        yield window
        assert [text for text in complaints if EXPECTED not in text] == []


def open_window(context: BrowserContext, user: str = "alice") -> Page:
    """Open a window of somebody who is logged in at the fake Hub; of nobody, where there is no name."""
    if user:
        context.add_cookies([{"name": "fake-user", "value": quote(user), "domain": "127.0.0.1", "path": "/"}])
    return context.new_page()
