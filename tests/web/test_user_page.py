"""The page of who is logged in: what they may do, and their tokens, made, shown once, listed and revoked."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.support.fake_hub import user
from tests.support.process import until
from tests.support.service import PREFIX, RunningService, service
from tests.web.test_pages import EVIL, NAVIGATE, Page, get

__all__ = ["service"]

TOKEN = re.compile(r"csh_[\w-]{43}")


def make(browser: httpx.Client, **typed: str | list[str]) -> httpx.Response:
    """Fill in the form and send it."""
    form: dict[str, str | list[str]] = {"label": "backup", "role": "viewer", "end": "90"}
    values = form | {"_xsrf": browser.cookies["_xsrf"]} | typed
    return browser.post("user/", data=values, headers=NAVIGATE)


def text_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    found = set(TOKEN.findall(answer.text))
    assert len(found) == 1
    return found.pop()


def asks(service: RunningService, token: str, path: str = "api/v1/environment/") -> httpx.Response:
    with service.client(headers={"Authorization": f"Bearer {token}"}) as program:
        return program.get(path)


def listed(service: RunningService, name: str = "alice") -> list[dict[str, object]]:
    with service.client(name) as client:
        return client.get("api/v1/token/").json()["data"]


def chosen(page: Page, tag: str, mark: str) -> list[str | None]:
    return [attrs["value"] for name, attrs in page.tags if name == tag and mark in attrs]


def test_the_form_begins_with_the_weakest_role_and_an_end(service: RunningService) -> None:
    with service.browser("alice") as alice:
        page = Page(alice.get("user/", headers=NAVIGATE))
    assert chosen(page, "option", "selected") == ["viewer", "90"]
    boxes = [attrs["value"] for tag, attrs in page.tags if tag == "input" and attrs.get("type") == "checkbox"]
    assert boxes == ["alice", "group.physics"]
    assert chosen(page, "input", "checked") == []
    assert "required" in page.find("input", name="label")
    assert "None chosen: for everything you have, now and later." in page.text
    assert "You have none." in page.text
    assert f"conda-store login {service.url}" in page.text
    assert f"{PREFIX}docs/sharing/" in page.links
    named = {attrs["for"] for tag, attrs in page.tags if tag == "label"}
    shown = [attrs for tag, attrs in page.tags if tag in ("input", "select") and attrs.get("type") != "hidden"]
    assert all(attrs["id"] in named for attrs in shown)


def test_a_token_is_made_and_shown_once(service: RunningService) -> None:
    service.completed()
    with service.browser("alice") as alice:
        answer = make(alice)
        token = text_of(answer)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.url.query == b""
        page = Page(answer)
        assert f"export CONDA_STORE_URL={service.url}" in page.text
        assert f"export CONDA_STORE_TOKEN={token}" in page.text
        for snippet in ("#! conda-store run NAMESPACE/NAME -- python", "${{ secrets.CONDA_STORE_TOKEN }}"):
            assert snippet in page.text
        assert "viewer on everything you have" in page.text
        assert page.find("input", name="label")["value"] == ""
        again = alice.get("user/", headers=NAVIGATE)
        assert token not in again.text
        assert f"…{token[-4:]}" in again.text
        assert "never used" in again.text
        assert len(listed(service)) == 1
    assert [row["name"] for row in asks(service, token).json()["data"]] == ["ml"]
    with service.client(auth=("anybody", token)) as program:
        assert program.get("api/v1/environment/").status_code == 200


def test_a_page_that_is_loaded_again_makes_no_second_token(service: RunningService) -> None:
    """A browser sends the form once more; so there were two tokens of the same label, and one that nobody had seen."""
    with service.browser("alice") as alice:
        form = Page(alice.get("user/", headers=NAVIGATE)).find("input", name="mark")["value"] or ""
        token = text_of(make(alice, mark=form))
        again = make(alice, mark=form, label="other")
        assert again.status_code == 409
        assert "The token “backup” was made of this form already" in again.text
        assert not TOKEN.search(again.text)
        assert [row["label"] for row in listed(service)] == ["backup"]
        fresh = Page(again)
        assert fresh.find("input", name="label")["value"] == ""
        other = fresh.find("input", name="mark")["value"] or ""
        assert text_of(make(alice, mark=other)) != token
    with service.browser("bob") as bob:
        assert text_of(make(bob, mark=form)) != token, "a form's mark is worth nothing to others"
    assert len(listed(service)) == 2


def test_a_token_is_for_what_was_chosen(service: RunningService) -> None:
    service.completed("mine")
    service.completed("ours", namespace="group.physics")
    with service.browser("alice") as alice:
        answer = make(alice, namespace=["group.physics"], role="developer", end="7")
        token = text_of(answer)
        assert "developer on group.physics" in Page(answer).text
        make(alice, label="for good", end="never")
        page = Page(alice.get("user/", headers=NAVIGATE))
    assert [row["name"] for row in asks(service, token).json()["data"]] == ["ours"]
    endless, week = listed(service)
    assert week["scopes"] == [{"on": "group.physics/*", "role": "developer"}]
    end = datetime.fromisoformat(str(week["expires_on"]))
    assert timedelta(days=6, hours=23) < end - datetime.now(UTC) < timedelta(days=7)
    assert endless["expires_on"] is None
    assert "never ends" in page.text


def test_the_list_tells_when_and_from_where_a_token_was_used(service: RunningService) -> None:
    with service.browser("alice") as alice:
        token = text_of(make(alice))
        assert asks(service, token).status_code == 200
        service.call(_settle(service))
        page = Page(alice.get("user/", headers=NAVIGATE))
    assert "last used" in page.text
    assert "from 127.0.0.1" in page.text


async def _settle(service: RunningService) -> None:
    for task in list(service.services.auth._touching):
        await task


def test_an_expired_token_is_marked(service: RunningService) -> None:
    with service.client("alice") as alice:
        soon = datetime.now(UTC) + timedelta(seconds=2)
        made = alice.post("api/v1/token/", json={"label": "short", "expiration": soon.isoformat()}).json()["data"]
        until(lambda: asks(service, made["token"]).status_code == 401)
    page = get(service, "user/")
    assert "expired" in page.text
    assert "ended" in page.text


def test_a_revoked_token_is_worth_nothing_at_once(service: RunningService) -> None:
    with service.browser("alice") as alice:
        token = text_of(make(alice))
        assert asks(service, token).status_code == 200
        page = Page(alice.get("user/", headers=NAVIGATE))
        assert f"{PREFIX}user/token/1/" in page.links
        assert "Revoke backup, …" in page.text
        asked = Page(alice.get("user/token/1/", headers=NAVIGATE))
        action = asked.find("form", method="post")["action"] or ""
        for words in ("backup", f"…{token[-4:]}", "viewer on everything you have", "It was used last on"):
            assert words in asked.text
        assert asks(service, token).status_code == 200
        answer = alice.post(
            httpx.URL(service.url).join(action), data={"_xsrf": alice.cookies["_xsrf"]}, headers=NAVIGATE
        )
        assert answer.url.path == f"{PREFIX}user/"
        assert "backup" not in answer.text
        assert "You have none." in answer.text
        again = alice.post("user/token/1/", data={"_xsrf": alice.cookies["_xsrf"]}, headers=NAVIGATE)
        assert again.status_code == 404
    assert asks(service, token).status_code == 401


@pytest.mark.parametrize(
    ("typed", "status", "words"),
    [
        ({"label": " "}, 400, "Give the token a label"),
        ({"label": "x" * 101}, 400, "at most 100 characters"),
        ({"label": "kept", "role": "king"}, 400, "Choose one of the roles."),
        ({"label": "kept", "role": ""}, 400, "Choose one of the roles."),
        ({"label": "kept", "end": "8"}, 400, "Choose one of the ends."),
        ({"label": "kept", "namespace": [f"n{at}" for at in range(101)]}, 400, "Choose at most 100 namespaces."),
        ({"label": "kept", "namespace": ["bob"]}, 404, "There is no namespace “bob”"),
        (
            {"label": "kept", "namespace": ["group.physics"], "role": "admin"},
            400,
            "on “group.physics”: yours there is developer",
        ),
    ],
)
def test_an_error_says_what_is_wrong_and_keeps_what_was_typed(
    service: RunningService, typed: dict[str, str | list[str]], status: int, words: str
) -> None:
    with service.browser("bob"), service.browser("alice") as alice:
        answer = make(alice, **typed)
    page = Page(answer)
    assert answer.status_code == status
    assert page.has("div", id="error", role="alert")
    assert words in page.text
    assert page.find("input", name="label")["value"] == str(typed["label"]).strip()
    assert listed(service) == []


def test_choices_are_kept_too(service: RunningService) -> None:
    with service.browser("alice") as alice:
        page = Page(make(alice, label="", namespace=["group.physics"], role="developer", end="365"))
    assert chosen(page, "option", "selected") == ["developer", "365"]
    assert chosen(page, "input", "checked") == ["group.physics"]


def test_without_the_pages_token_nothing_is_made_or_revoked(service: RunningService) -> None:
    with service.browser("alice") as alice, service.browser("bob") as bob:
        token = text_of(make(alice))
        for wrong in ("", "wrong", bob.cookies["_xsrf"]):
            assert make(alice, _xsrf=wrong).status_code == 401
            asked = alice.post("user/token/1/", data={"_xsrf": wrong}, headers=NAVIGATE)
            assert asked.url.path == f"{PREFIX}user/token/1/", "it is asked again"
            assert "Revoke it" in asked.text
    assert len(listed(service)) == 1
    assert asks(service, token).status_code == 200


@pytest.mark.parametrize("number", ["1", "99", "x", "-1", "9" * 30])
def test_another_users_token_is_not_found(service: RunningService, number: str) -> None:
    with service.browser("alice") as alice, service.browser("bob") as bob:
        token = text_of(make(alice))
        assert bob.get(f"user/token/{number}/", headers=NAVIGATE).status_code == 404
        answer = bob.post(f"user/token/{number}/", data={"_xsrf": bob.cookies["_xsrf"]}, headers=NAVIGATE)
        assert "backup" not in bob.get("user/", headers=NAVIGATE).text
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].lower().startswith("text/html")
    assert asks(service, token).status_code == 200


def test_markup_in_a_label_is_text(service: RunningService) -> None:
    with service.browser("alice") as alice:
        pages = [make(alice, label=EVIL), alice.get("user/", headers=NAVIGATE), make(alice, label=EVIL, role="")]
        pages.append(alice.get("user/token/1/", headers=NAVIGATE))
    for answer in pages:
        assert "<img src=x" not in answer.text
        assert "<script>alert" not in answer.text
        assert not Page(answer).has("img", src="x")
    assert EVIL in Page(pages[1]).text
    assert Page(pages[2]).find("input", name="label")["value"] == EVIL


def test_the_hub_is_asked_anew_before_a_token_is_made_or_revoked(service: RunningService) -> None:
    with service.browser("alice") as alice:
        text_of(make(alice))
        service.hub.asked.clear()
        alice.get("user/", headers=NAVIGATE)
        assert service.hub.asked == []
        make(alice, namespace=["group.physics"])
        assert service.hub.asked == ["/hub/api/user"]
        service.hub.tokens["alice-token"] = user("alice")
        assert make(alice, namespace=["group.physics"]).status_code == 404
        service.hub.asked.clear()
        alice.follow_redirects = False
        alice.post("user/token/1/", data={"_xsrf": alice.cookies["_xsrf"]}, headers=NAVIGATE)
        assert service.hub.asked == ["/hub/api/user"]


def test_who_comes_with_a_token_is_offered_no_form(service: RunningService) -> None:
    with service.browser("alice") as alice:
        token = text_of(make(alice))
    pages = [get(service, "user/"), Page(asks(service, token, "user/"))]
    for page in pages:
        assert "backup" in page.text
        assert not page.has("form", method="post")


def test_who_is_no_user_of_the_hub_is_shown_what_they_may_do(service: RunningService) -> None:
    service.hub.tokens["ops"] = user("ops", kind="service", admin=True)
    with service.client(headers={"Authorization": "token ops"}) as client:
        page = Page(client.get("user/"))
    assert "Everything, in all namespaces" in page.text
    assert "You have none." in page.text


def test_what_one_may_do_is_said_with_where_it_comes_from(service: RunningService) -> None:
    service.completed("secret")
    service.completed("shown")
    with service.client("root") as root, service.client("alice") as alice, service.client("bob") as bob:
        root.post("api/v1/namespace/course/")
        bob.get("user/")
        body = {"subject": "user", "name": "bob", "role": "developer"}
        assert alice.put("api/v1/environment/alice/shown/member/", json=body).status_code == 200
        assert root.put("api/v1/namespace/group.physics/member/", json=body).status_code == 200
    flat = [" ".join(get(service, "user/", name).text.split()) for name in ("alice", "bob")]
    assert "alice admin your own" in flat[0]
    assert "course viewer shared with everybody logged in" in flat[0]
    assert "group.physics developer of your group physics" in flat[0]
    assert "group.physics developer shared with you" in flat[1]
    assert "alice/shown developer shared with you see, compute, download, change and build it" in flat[1]
    assert "secret" not in flat[1]


def test_an_administrator_is_told_everything_and_may_choose_any_namespace(service: RunningService) -> None:
    service.completed()
    with service.browser("root") as root:
        page = Page(root.get("user/", headers=NAVIGATE))
        assert "You administer the Hub." in page.text
        assert "*/*" not in page.text
        token = text_of(make(root, namespace=["alice"]))
    assert page.has("input", type="checkbox", value="group.physics")
    assert [row["name"] for row in asks(service, token).json()["data"]] == ["ml"]


def test_a_token_for_several_things_says_each(service: RunningService) -> None:
    service.completed()
    with service.client("alice") as alice:
        roles = {"alice/ml": ["admin"], "group.physics/*": ["viewer"], "alice/*": ["viewer"]}
        assert alice.post("api/v1/token/", json={"label": "several", "role_bindings": roles}).status_code == 200
    assert "viewer on alice, group.physics; admin on alice/ml" in get(service, "user/").text


def test_many_tokens_come_in_pages(service: RunningService) -> None:
    with service.browser("alice") as alice:
        for number in range(3):
            make(alice, label=f"number {number}")
        first = Page(alice.get("user/?size=2", headers=NAVIGATE))
        second = alice.get("user/?size=2&page=2", headers=NAVIGATE)
    assert "number 2" in first.text
    assert "number 0" not in first.text
    assert "number 0" in second.text
    assert [link for link in first.links if "page=2" in link] == [f"{PREFIX}user/?page=2"]
