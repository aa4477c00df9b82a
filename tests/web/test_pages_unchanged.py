"""Home, as pages that are open ask for it again and again: nothing is read while nothing of it can have changed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import event, update

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import Phase, ProgressEvent
from conda_store_hub.core.schemas.notes import Banner, BannerLevel
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Grant
from tests.support.service import RunningService, service

__all__ = ["service"]

MEMBERS = "api/v1/environment/alice/ml/member/"
BOB = {"subject": "user", "name": "bob", "role": "viewer"}


def look(client: httpx.Client, etag: str = "", path: str = "") -> httpx.Response:
    """Ask as the script of a page does."""
    token = client.cookies["_xsrf"]
    headers = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin", "X-XSRFToken": token, "If-None-Match": etag}
    return client.get(path, headers=headers)


@contextmanager
def watched(service: RunningService) -> Generator[list[str]]:
    """Give the statements that the service makes meanwhile."""
    made: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        made.append(statement)

    event.listen(service.db._engine, "before_cursor_execute", note)
    try:
        yield made
    finally:
        event.remove(service.db._engine, "before_cursor_execute", note)


def test_nothing_is_read_for_a_page_that_cannot_have_changed(service: RunningService) -> None:
    running = service.submit()
    service.claim(running)
    with service.browser("alice") as alice, service.client("alice") as program:
        etag = look(alice).headers["ETag"]
        progress = ProgressEvent(phase=Phase.INSTALL, done=1, total=4, unit="packages")
        service.log(running, "a line of its log\n", progress=progress)
        program.get("api/v1/permission/").raise_for_status()
        with watched(service) as made:
            answers = [look(alice, etag) for _ in range(3)]
            assert [(answer.status_code, answer.headers["ETag"]) for answer in answers] == [(304, etag)] * 3
            assert made == []
            look(alice, etag, "?search=ml")
            assert made, "what was not asked for before is read"


def give_bob(service: RunningService) -> None:
    with service.client("alice") as alice:
        alice.put(MEMBERS, json=BOB).raise_for_status()


def take_from_bob(service: RunningService) -> None:
    with service.client("alice") as alice:
        (member,) = alice.get(MEMBERS).json()["data"]
        alice.delete(f"{MEMBERS}{member['id']}/").raise_for_status()


def rename(service: RunningService) -> None:
    with service.client("alice") as alice:
        alice.put("api/v1/environment/alice/ml/rename/", json={"name": "ml2"}).raise_for_status()


def describe(service: RunningService) -> None:
    with service.client("alice") as alice:
        alice.put("api/v1/environment/alice/ml/", json={"description": "What it is for"}).raise_for_status()


def delete(service: RunningService) -> None:
    with service.client("alice") as alice:
        alice.delete("api/v1/environment/alice/ml/").raise_for_status()


def make_namespace(service: RunningService) -> None:
    with service.client("root") as root:
        root.post("api/v1/namespace/course/").raise_for_status()


def note_banner(service: RunningService) -> None:
    service.services.pages.note_banner(Banner(message="Down on Friday", level=BannerLevel.INFO))


def build(service: RunningService) -> None:
    service.submit()


@pytest.mark.parametrize(
    ("act", "who"),
    [
        *[(act, "alice") for act in (build, rename, describe, delete, make_namespace, note_banner)],
        *[(act, "bob") for act in (give_bob, make_namespace, note_banner)],
    ],
)
def test_what_changes_is_on_the_page_at_once(
    service: RunningService, act: Callable[[RunningService], None], who: str
) -> None:
    service.completed()
    with service.browser(who) as browser:
        first = look(browser)
        assert look(browser, first.headers["ETag"]).status_code == 304
        act(service)
        changed = look(browser, first.headers["ETag"])
        assert (changed.status_code, changed.headers["ETag"] == first.headers["ETag"]) == (200, False)


def test_every_state_of_a_build_is_on_the_page_at_once(service: RunningService) -> None:
    with service.browser("alice") as alice:
        etags = [look(alice).headers["ETag"]]
        number = service.submit()
        for step in (lambda: None, lambda: service.claim(number), lambda: service.use(number)):
            step()
            answer = look(alice, etags[-1])
            assert answer.status_code == 200
            etags.append(answer.headers["ETag"])
    assert len(set(etags)) == 4


def test_a_role_that_is_taken_back_is_gone_from_the_page_at_once(service: RunningService) -> None:
    service.completed()
    with service.browser("bob") as bob:
        give_bob(service)
        first = look(bob)
        assert "alice/ml" in first.text
        take_from_bob(service)
        assert "alice/ml" not in look(bob, first.headers["ETag"]).text


def test_a_role_that_ends_by_itself_is_gone_from_the_page_soon(
    service: RunningService, data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.completed()
    give_bob(service)
    over = datetime.now(UTC) - timedelta(hours=1)
    other = Database(f"sqlite:///{data.database}")  # as time passes, without a write of the service's
    with service.browser("bob") as bob:
        first = look(bob)
        other.write_sync(lambda session: session.execute(update(Grant).values(expires_at=over)))
        other.close()
        monkeypatch.setattr("conda_store_hub.web.shown._LONGEST_SECONDS", 0.0)
        assert "alice/ml" not in look(bob, first.headers["ETag"]).text


def test_nobody_is_told_that_the_page_of_somebody_else_is_theirs(service: RunningService) -> None:
    service.completed()
    with service.browser("alice") as alice, service.browser("bob") as bob:
        first = look(alice)
        for path in ("", "?search=ml"):
            look(bob, path=path)
            assert look(bob, first.headers["ETag"], path).status_code == 200
