"""The main job, as a person does it: log in, submit an environment, watch it build, compute with it in a notebook."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import log_in_page, shoot
from tests.support.lab import compute

pytestmark = pytest.mark.browser

SPECIFICATION = """\
# for the first lecture
name: lecture
channels:
  - {channel}
dependencies:
  - python
  - ipykernel
  - numpy
variables:
  LECTURE: first
"""


def test_log_in_submit_watch_and_compute(page: Page, hub: DemoHub, channel: str) -> None:
    hub.start_server("alice")  # it runs before there is anything to list, and is never restarted
    log_in_page(page, hub, "alice")
    page.goto(hub.service_url)
    shoot(page, "home-empty")

    page.get_by_role("link", name=re.compile("new environment|create", re.IGNORECASE)).first.click()
    broken = SPECIFICATION.format(channel=channel).replace("- numpy", "- num py")
    page.get_by_label("environment.yaml").fill(broken)
    page.get_by_role("button", name="Build it").click()
    expect(page.get_by_role("alert")).to_contain_text("line 8")
    expect(page.get_by_label("environment.yaml")).to_have_value(broken)
    shoot(page, "create-error")

    page.get_by_label("environment.yaml").fill(SPECIFICATION.format(channel=channel))
    page.get_by_role("button", name="Build it").click()
    expect(page.get_by_role("heading", name=re.compile("Build [0-9]+"))).to_be_visible()
    expect(page.locator("#log")).to_contain_text("Channels:")
    shoot(page, "build-running")
    expect(page.locator("#state")).to_contain_text("completed", ignore_case=True)
    expect(page.locator("#log")).to_contain_text("Usable after")
    expect(page.locator("#log")).to_contain_text("Done after")
    shoot(page, "build-completed")

    page.goto(f"{hub.service_url}environment/alice/lecture/")
    expect(page.get_by_text("# for the first lecture")).to_be_visible()
    shoot(page, "environment")
    page.goto(hub.service_url)
    expect(page.get_by_role("link", name="alice/lecture", exact=True)).to_be_visible()
    shoot(page, "home")

    page.goto(f"{hub.user_url('alice')}lab")
    page.locator(".jp-LauncherCard[data-category=Notebook]", has_text="lecture").click()
    code = "import numpy, os, sys; print(numpy.arange(10).sum(), os.environ['LECTURE'], sys.prefix)"
    output = compute(page, page.locator(".jp-NotebookPanel"), 0, code)
    expect(output).to_contain_text("45 first")
    prefix = output.inner_text().split()[-1]
    assert Path(prefix).parent == hub.state / "data" / "b"
    assert (hub.state / "data" / "envs" / "alice" / "lecture").readlink() == Path(prefix)
    shoot(page, "notebook")


def test_a_person_who_is_not_logged_in_is_sent_to_the_hub(page: Page, hub: DemoHub) -> None:
    page.goto(hub.service_url)
    expect(page.get_by_label("Username")).to_be_visible()


def test_another_persons_environment_is_not_there(page: Page, hub: DemoHub) -> None:
    log_in_page(page, hub, "carol")
    answer = page.goto(f"{hub.service_url}environment/alice/lecture/")
    assert answer is not None
    assert answer.status == 404
    shoot(page, "not-found")
