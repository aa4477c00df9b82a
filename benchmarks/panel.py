"""How soon the panel of JupyterLab can be used among 500 environments of one's own, and what a browser loads for it.

A real Hub, a real server and a real browser; what is measured is from the click on the panel's tab to the first
environment that is shown and answers to the keyboard, in the page's own clock. Beside it: a request to the same server
that asks nothing of the service.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from sqlalchemy import text

from benchmarks.figures import Figure, median, percentile
from benchmarks.world import fill
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.session import Database
from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import log_in_page
from tests.support.hub import make_settings

ENVIRONMENTS = 500
ROUNDS = 15
GOAL = 300.0
BUILT = Path(__file__).parents[1] / "conda_store_hub" / "labextension" / "static"
_MINE = "UPDATE environment SET namespace_id = (SELECT id FROM namespace WHERE name = :name) WHERE name LIKE 'env%'"
_CLICK = """
async () => {
  const tab = [...document.querySelectorAll('.lm-TabBar-tab')].find(one => one.title.startsWith('Environments'));
  const first = () => document.querySelector('.csh-Environment');
  const rect = tab.getBoundingClientRect();
  const began = performance.now();
  const place = { bubbles: true, button: 0, clientX: rect.x + 5, clientY: rect.y + 5 };
  for (const kind of ['pointerdown', 'pointerup']) {
    tab.dispatchEvent(new PointerEvent(kind, place));
  }
  tab.dispatchEvent(new MouseEvent('mousedown', place));
  tab.dispatchEvent(new MouseEvent('mouseup', place));
  while (!first()) {
    await new Promise(resolve => requestAnimationFrame(resolve));
  }
  document.querySelector('.csh-Tree [role=treeitem]').focus();
  await new Promise(resolve => requestAnimationFrame(resolve));
  return performance.now() - began;
}
"""
_EMPTY = """
async url => {
  const began = performance.now();
  await (await fetch(url)).text();
  return performance.now() - began;
}
"""


def measure() -> Iterator[Figure]:
    """Measure with 500 environments, and count what is loaded."""
    with tempfile.TemporaryDirectory(prefix="b") as scratch, DemoHub(Path(scratch), make_settings()) as hub:
        hub.start_server("alice")
        database = Database(f"sqlite:///{DataDirectory(hub.state / 'data').database}")
        database.write_sync(lambda session: fill(session, environments=ENVIRONMENTS, builds=ENVIRONMENTS, packages=10))
        database.write_sync(lambda session: session.execute(text(_MINE), {"name": "alice"}))
        database.close()
        taken, empty = zip(*_open_often(hub), strict=True)
    what = f"the panel among {ENVIRONMENTS} environments, from a click to the keyboard"
    most = f"90 %: {percentile(taken, 0.9):.0f} ms; an empty request of the same page: {median(empty):.0f} ms"
    yield Figure(what=what, value=median(taken), goal=GOAL, unit="ms", reference=most)
    files = [path for path in BUILT.iterdir() if path.suffix in (".js", ".css", ".svg")]
    size = sum(len(gzip.compress(path.read_bytes())) for path in files) / 1000
    yield Figure(what="the extension as a browser loads it", value=size, goal=250.0, unit="kB")


def _open_often(hub: DemoHub) -> list[tuple[float, float]]:
    chromium = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        log_in_page(page, hub, "alice")
        taken = [_open(page, hub) for _ in range(ROUNDS)]
        browser.close()
    return taken


def _open(page: Page, hub: DemoHub) -> tuple[float, float]:
    """Open JupyterLab anew, and the panel in it for the first time."""
    page.goto(f"{hub.user_url('alice')}lab?reset")
    page.wait_for_selector(".jp-Launcher")
    page.get_by_role("tab", name="Environments").wait_for()
    return float(page.evaluate(_CLICK)), float(page.evaluate(_EMPTY, f"{hub.user_url('alice')}api"))
