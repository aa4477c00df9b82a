"""A page that is old: its form takes nothing back that somebody else has set since it was made."""

from __future__ import annotations

import httpx

from conda_store_hub.core.schemas.notes import Banner, BannerLevel
from conda_store_hub.services import notes
from tests.support.service import PREFIX, RunningService, service
from tests.web.test_pages import EVIL, NAVIGATE, Page

__all__ = ["service"]

POLICY = "namespace/alice/policy/"
DESCRIPTION = "environment/alice/ml/description/"


def fill(page: Page) -> dict[str, str]:
    """Return what the fields of a page's first form hold, as a browser would send it."""
    return {attrs["name"]: attrs.get("value") or "" for tag, attrs in page.tags if tag == "input" and attrs.get("name")}  # type: ignore[misc]


def load(browser: httpx.Client, path: str) -> dict[str, str]:
    return fill(Page(browser.get(path, headers=NAVIGATE)))


def send(browser: httpx.Client, path: str, form: dict[str, str], **typed: str) -> httpx.Response:
    return browser.post(path, data={**form, "_xsrf": browser.cookies["_xsrf"], **typed}, headers=NAVIGATE)


def settings(browser: httpx.Client) -> dict[str, object]:
    rows = browser.get("api/v1/setting/alice/", headers=NAVIGATE).json()["data"]
    return {key: row["value"] for key, row in rows.items()}


# A policy


def test_what_another_set_meanwhile_stays_where_one_changed_something_else(service: RunningService) -> None:
    with service.browser("alice") as alice, service.browser("root") as root:
        old = load(alice, POLICY)
        send(root, POLICY, load(root, POLICY), keep_builds="5")
        assert send(alice, POLICY, old, keep_days="30", forbidden_packages="").url.path == f"{PREFIX}namespace/alice/"
        found = settings(alice)
    assert (found["keep_builds"], found["keep_days"]) == (5, 30)


def test_a_setting_that_another_changed_meanwhile_is_a_conflict_with_both_values(service: RunningService) -> None:
    with service.browser("alice") as alice, service.browser("root") as root:
        old = load(alice, POLICY)
        send(root, POLICY, load(root, POLICY), quota_bytes="20 GB", keep_builds="5")
        refused = send(alice, POLICY, old, quota_bytes="7 GB", keep_days="30")
        page = Page(refused)
        assert refused.status_code == 412
        assert "set here is now 20.0 GB. You wrote 7.0 GB" in page.text
        assert page.find("input", name="quota_bytes")["value"] == "7 GB"
        assert settings(alice)["keep_days"] is None, "all of it, or nothing"
        send(alice, POLICY, fill(page))
        found = settings(alice)
    assert (found["quota_bytes"], found["keep_builds"], found["keep_days"]) == (7 * 10**9, 5, 30)


def test_a_fault_does_not_make_an_old_page_a_new_one(service: RunningService) -> None:
    with service.browser("alice") as alice, service.browser("root") as root:
        old = load(alice, POLICY)
        send(root, POLICY, load(root, POLICY), quota_bytes="20 GB")
        wrong = send(alice, POLICY, old, quota_bytes="7 GB", keep_days="none")
        assert wrong.status_code == 400
        assert send(alice, POLICY, fill(Page(wrong)), keep_days="30").status_code == 412


def test_two_who_set_the_same_agree(service: RunningService) -> None:
    with service.browser("alice") as alice, service.browser("root") as root:
        old = load(alice, POLICY)
        send(root, POLICY, load(root, POLICY), quota_bytes="20 GB")
        assert send(alice, POLICY, old, quota_bytes="20000 MB").status_code == 200


def test_an_empty_list_that_was_set_is_not_taken_back_by_saving_something_else(service: RunningService) -> None:
    with service.browser("alice") as alice, service.client("alice") as api:
        assert api.put("api/v1/setting/alice/", json={"default_packages": []}).status_code == 200
        send(alice, POLICY, load(alice, POLICY), default_packages="", keep_days="30")
        given = alice.get("api/v1/setting/alice/", headers=NAVIGATE).json()["data"]["default_packages"]["given"]
    assert given[-1] == {"source": "namespace", "value": []}


def test_what_no_page_of_ours_sends_is_refused_in_words(service: RunningService) -> None:
    service.completed("ml")
    with service.browser("alice") as alice:
        alice.get("", headers=NAVIGATE)
        for path, name in ((POLICY, "keep_days"), (DESCRIPTION, "description")):
            answer = send(alice, path, {name: "3", f"seen-{name}": EVIL})
            assert answer.status_code == 400
            assert "load its page again" in Page(answer).text


# A description


def test_a_description_that_another_wrote_meanwhile_is_a_conflict_with_both(service: RunningService) -> None:
    service.completed("ml")
    with service.browser("alice") as alice, service.browser("root") as root:
        old = load(alice, DESCRIPTION)
        send(root, DESCRIPTION, load(root, DESCRIPTION), description=f"Theirs\r\n{EVIL}")
        refused = send(alice, DESCRIPTION, old, description="Mine")
        page = Page(refused)
        assert refused.status_code == 412
        assert f"It is now: Theirs\n{EVIL}" in page.text
        assert "<img src=x" not in refused.text
        assert "Mine" in page.text
        saved = send(alice, DESCRIPTION, fill(page), description="Mine")
        assert saved.url.path == f"{PREFIX}environment/alice/ml/"
        assert "Mine" in Page(saved).text


def test_a_description_with_other_ends_of_lines_can_be_changed(service: RunningService) -> None:
    service.completed("ml")
    with service.browser("alice") as alice, service.client("alice") as api:
        api.put("api/v1/environment/alice/ml/", json={"description": "one\r\ntwo"})
        assert send(alice, DESCRIPTION, load(alice, DESCRIPTION), description="three").status_code == 200


# The banner


def test_a_banner_that_another_set_meanwhile_is_a_conflict_with_both(service: RunningService) -> None:
    with service.browser("root") as root:
        old = load(root, "admin/banner/")
        send(root, "admin/banner/", old, message="Theirs", level="warning")
        refused = send(root, "admin/banner/", old, message="Mine", level="info")
        page = Page(refused)
        assert refused.status_code == 412
        assert "It says now, as warning: Theirs" in " ".join(page.text.split())
        assert "Mine" in page.text
        assert page.has("button", value="configuration")
        assert service.db.read_sync(notes.find_banner) == Banner(message="Theirs", level=BannerLevel.WARNING)
        assert send(root, "admin/banner/", fill(page), message="Mine", level="info").status_code == 200
        assert send(root, "admin/banner/", old, action="configuration").status_code == 412
    assert service.db.read_sync(notes.find_banner) == Banner(message="Mine")
