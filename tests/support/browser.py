"""A real Chromium: Debian's, driven by Playwright. Pages ask nothing from outside, and a script error is a failure."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from conda_store_hub.demo.hub import DemoHub
from tests.support.hub import password_of

SHOTS = Path(__file__).parents[1] / "browser" / "shots"
AXE = Path(__file__).parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
SECONDS = 60_000
#: Waits for what changes by itself and ends, in whatever way: one that was cancelled rejects.
SETTLED = """
() => Promise.allSettled(document.getAnimations().filter(one => one instanceof CSSTransition).map(one => one.finished))
"""
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def chromium() -> Generator[Browser]:
    """One Chromium a module: while it runs, no other test of this thread could have an event loop."""
    if shutil.which("chromium") is None:
        pytest.skip("there is no chromium on this machine; as root on Debian, make test installs it")
    with run_chromium() as browser:
        yield browser


@contextmanager
def run_chromium() -> Generator[Browser]:
    """Run Debian's Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(_QUIET))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Generator[Page]:
    """A page of somebody who has not logged in."""
    with new_page(chromium) as made:
        yield made


@contextmanager
def new_page(chromium: Browser) -> Generator[Page]:
    """A page of somebody else, who has not logged in."""
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(SECONDS)
        expect.set_options(timeout=SECONDS)
        outside: list[str] = []
        context.on("request", lambda request: _note_outside(request, outside))
        yield context.new_page()
        assert outside == [], "a page asked another host"


def log_in_page(page: Page, hub: DemoHub, user: str) -> None:
    """Log in through the Hub's form."""
    fill_login(page, hub.url, user, password_of(hub, user))


def fill_login(page: Page, url: str, user: str, password: str) -> None:
    """Log in at the Hub of an address."""
    page.goto(f"{url}hub/login")
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "login" not in url)


def come_back(page: Page) -> None:
    """Look at a page again that was in the background: it asks what happened at once, else within a minute."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def check_with_axe(page: Page, selector: str) -> None:
    """Fail on whatever axe-core finds in a part of the page."""
    page.evaluate(AXE.read_text())  # no script tag: our pages let none in
    page.evaluate(SETTLED)  # of a button whose colours are still changing axe would say that they cannot be told apart
    found: dict[str, Any] = page.evaluate("selector => axe.run(selector)", selector)
    said = [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]]
    assert not said, "\n".join(said)
    assert found["passes"]


def shoot(page: Page, name: str) -> None:
    """Keep a picture of the page, to be looked at."""
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def _note_outside(request: Request, outside: list[str]) -> None:
    here = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")
    if not request.url.startswith(here):
        outside.append(request.url)
