"""Previews that are left and come back to, as the script of the form asks for them."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from conda_store_hub.queue.solver import ProcessSolver
from tests.support import make
from tests.support.process import until
from tests.support.service import RunningService
from tests.web.test_pages import Page
from tests.web.test_pages_create import begin, channel, count_builds, fill, send, service

__all__ = ["channel", "service"]

SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def waiting(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> ProcessSolver:
    """The service's solver, which solves one after the other, and whose builders never answer: that is told at once."""
    monkeypatch.setattr("conda_store_hub.web.submission._MOMENT", 0.01)
    monkeypatch.setattr("conda_store_hub.web.pages.preview._PATIENCE", 0.01)
    service.solve_by("import time; time.sleep(60)")
    service.solver._slots = asyncio.Semaphore(1)
    return service.solver


def preview(client: httpx.Client, text: str, action: str = "follow", namespace: str = "alice") -> httpx.Response:
    return send(client, fill(begin(client), namespace=namespace, specification=text, action=action))


def follow(client: httpx.Client, key: str) -> httpx.Response:
    return client.get(f"create/preview/{key}/", headers={**SCRIPT, "X-XSRFToken": client.cookies["_xsrf"]})


def cancel(client: httpx.Client, key: str) -> httpx.Response:
    return client.delete(f"create/preview/{key}/", headers={**SCRIPT, "X-XSRFToken": client.cookies["_xsrf"]})


def preview_to_the_end(
    client: httpx.Client, text: str, namespace: str = "alice", *, action: str = "follow"
) -> httpx.Response:
    """Return the answer with the preview, or with what is wrong, however long it takes."""
    answer = preview(client, text, action, namespace)
    if answer.status_code != 202:
        return answer
    until(lambda: follow(client, answer.json()["key"]).json()["has_ended"])
    return preview(client, text, "resume", namespace)


def test_a_preview_that_takes_long_says_what_is_happening(service: RunningService, waiting: ProcessSolver) -> None:
    texts = [make.text("new", name) for name in ("app", "base-lib", "old-app")]
    with service.browser("alice") as alice:
        answers = [preview(alice, text) for text in texts]
        assert [answer.status_code for answer in answers] == [202] * 3
        states = [follow(alice, answer.json()["key"]).json() for answer in answers]
    assert [state["has_ended"] for state in states] == [False] * 3
    assert [state["says"] for state in states] == [
        "Reading the channel and choosing packages.",
        "Waiting for its turn: it is next.",
        "Waiting for its turn: 1 other is before it.",
    ]
    assert states[0]["seconds"] >= answers[0].json()["seconds"]


def test_without_a_script_a_page_says_how_a_preview_stands_and_keeps_what_was_typed(
    service: RunningService, waiting: ProcessSolver
) -> None:
    text = f"# of mine\n{make.text('new', 'app')}"
    with service.browser("alice") as alice:
        for action in ("preview", "look"):
            answer = preview(alice, text, action)
            assert answer.status_code == 200
            page = Page(answer)
            assert "Reading the channel and choosing packages. It was begun" in page.text
            assert text in page.text
        assert len(waiting._running) == 1
        form = fill(page, namespace="alice", specification=text)
        left = send(alice, form | {"give_up": page.find("button", name="give_up")["value"] or ""})
        until(lambda: not waiting._running)
        assert text in Page(left).text
        assert not Page(left).has("section", id="awaited")
        assert count_builds(alice) == 0


def test_without_a_script_a_preview_is_there_for_who_looks_again(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conda_store_hub.web.submission._MOMENT", 0.01)
    text = make.text("new", "app")
    with service.browser("alice") as alice:
        assert Page(preview(alice, text, "preview")).has("button", value="look")
        until(lambda: "What would be installed" in Page(preview(alice, text, "look")).text)
        service.solve_by("raise SystemExit")
        assert "What would be installed" in Page(preview(alice, text, "look")).text


def test_a_preview_goes_on_when_its_page_is_left_and_is_found_again(
    service: RunningService, waiting: ProcessSolver
) -> None:
    text = make.text("new", "app")
    with service.browser("alice") as alice:
        key = preview(alice, text).json()["key"]
    assert len(waiting._running) == 1
    with service.browser("alice") as alice:
        assert preview(alice, text, "resume").json()["key"] == key
        assert preview(alice, text).json()["key"] == key
        assert preview(alice, make.text("new", "base-lib"), "resume").json()["key"] != key
    assert len(waiting._running) == 2


def test_a_preview_that_has_ended_is_there_at_once_for_who_comes_back(service: RunningService) -> None:
    text = make.text("new", "app")
    with service.browser("alice") as alice:
        first = Page(preview_to_the_end(alice, text))
        assert "What would be installed" in first.text
        service.solve_by("raise SystemExit")
        service.solver._remembered.clear()
        again = Page(preview(alice, text, "resume"))
        assert "What would be installed" in again.text
        assert "The builder" in Page(preview_to_the_end(alice, text)).text  # who asks for another choice gets one


def test_why_nothing_fits_is_there_again_for_who_comes_back(service: RunningService) -> None:
    text = make.text("new", "app >=2", "old-app")
    with service.browser("alice") as alice:
        failed = preview_to_the_end(alice, text)
        service.solve_by("raise SystemExit")
        again = preview(alice, text, "resume")
        assert failed.status_code == again.status_code == 422
        assert "The solver says:" in failed.text
        assert Page(again).find("div", id="error")["data-line"] == Page(failed).find("div", id="error")["data-line"]
        assert "The solver says:" in again.text


def test_what_is_held_of_a_preview_is_shown_by_the_rules_of_now(service: RunningService) -> None:
    text = make.text("ml", "app")
    with service.browser("alice") as alice, service.client("alice") as client:
        assert "What would be installed" in Page(preview_to_the_end(alice, text)).text
        client.put("api/v1/setting/alice/", json={"forbidden_packages": ["app"]}).raise_for_status()
        refused = preview(alice, text, "resume")
    assert refused.status_code == 400
    assert "What would be installed" not in Page(refused).text


def test_a_preview_is_cancelled_and_is_nobody_elses(service: RunningService, waiting: ProcessSolver) -> None:
    text = make.text("new", "app")
    with service.browser("alice") as alice, service.browser("bob") as bob:
        key = preview(alice, text).json()["key"]
        assert follow(bob, key).status_code == 404
        assert cancel(bob, key).status_code == 204  # as of what there is not
        assert len(waiting._running) == 1
        assert alice.delete(f"create/preview/{key}/", headers=SCRIPT).status_code == 401
        assert cancel(alice, key).status_code == 204
        until(lambda: not waiting._running)
        assert follow(alice, key).status_code == 404


def test_a_preview_that_nobody_asks_for_any_more_is_ended(
    service: RunningService, waiting: ProcessSolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service.browser("alice") as alice:
        key = preview(alice, make.text("new", "app")).json()["key"]
        monkeypatch.setattr("conda_store_hub.web.held._KEPT_SECONDS", 0.01)
        assert follow(alice, key).status_code == 200
        until(lambda: not waiting._running)
        assert follow(alice, key).status_code == 404


def test_one_person_holds_no_more_than_a_few_previews(
    service: RunningService, waiting: ProcessSolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conda_store_hub.web.held._MOST_OF_ONE", 1)
    with service.browser("alice") as alice:
        first, second = (preview(alice, make.text("new", name)).json()["key"] for name in ("app", "base-lib"))
        assert follow(alice, first).status_code == 404
        assert follow(alice, second).json()["has_ended"] is False
    assert len(waiting._running) == 1


def test_why_nothing_fits_is_told_at_the_line_of_the_text_that_is_there(service: RunningService) -> None:
    text = make.text("new", "app >=2", "old-app")
    with service.browser("alice") as alice:
        first = Page(preview_to_the_end(alice, text)).find("div", id="error")["data-line"]
        preview_to_the_end(alice, f"# of the same packages\n{text}")
        again = Page(preview(alice, text, "resume")).find("div", id="error")["data-line"]
    assert again == first


def test_who_asks_at_the_same_time_is_told_the_line_of_their_own_text(
    service: RunningService, waiting: ProcessSolver
) -> None:
    text = make.text("new", "app")
    with service.browser("alice") as alice, service.browser("bob") as bob:
        keys = {preview(alice, each).json()["key"] for each in (text, f"# of the same packages\n{text}")}
        assert preview(bob, text, namespace="bob").json()["key"] in keys
    assert len(keys) == 2
    assert len(waiting._running) == 2


def test_a_preview_that_may_take_less_time_is_another_one(service: RunningService, waiting: ProcessSolver) -> None:
    text = make.text("new", "app")
    with service.browser("alice") as alice, service.client("alice") as client:
        client.put("api/v1/setting/alice/", json={"build_seconds": 30}).raise_for_status()
        keys = {preview(alice, text, namespace=name).json()["key"] for name in ("alice", "group.physics")}
    assert len(keys) == 2


def test_another_preview_than_one_may_hold_takes_the_place_of_the_oldest(
    service: RunningService, waiting: ProcessSolver
) -> None:
    texts = [make.text("new", f"app >={number}") for number in range(9)]
    with service.browser("alice") as alice:
        answers = [preview(alice, text) for text in texts]
        assert [answer.status_code for answer in answers] == [202] * 9
        assert follow(alice, answers[0].json()["key"]).status_code == 404
    assert len(waiting._running) == 8


def test_who_was_sent_away_is_not_told_so_for_long(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    text = make.text("new", "app")
    with service.browser("alice") as alice:
        with monkeypatch.context() as full:
            full.setattr("conda_store_hub.queue.solver._MOST_AT_ONCE", 0)
            assert preview(alice, text).status_code == 503
        assert "What would be installed" in Page(preview_to_the_end(alice, text, action="resume")).text
