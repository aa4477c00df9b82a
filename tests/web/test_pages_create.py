"""The form for a specification, as a browser without JavaScript uses it: begin, try, build, and what others did."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.web import files
from conda_store_hub.web.conflicts import compare_texts
from conda_store_hub.web.pages import create
from tests.support import make
from tests.support.channel import tiny_channel
from tests.support.service import PREFIX, RunningService, run_service
from tests.web.test_pages import EVIL, NAVIGATE, Page


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with serve_channel(tiny_channel(tmp_path_factory.mktemp("channels") / "main")) as address:
        yield address


@pytest.fixture
def service(data: DataDirectory, channel: str) -> Generator[RunningService]:
    alias = channel.rstrip("/").rpartition("/")[0]
    rules = make.rules(alias, channel_aliases={"main": channel}, allowed_channels=["main"])
    with run_service(data, rules=rules) as running:
        yield running


def begin(client: httpx.Client, query: str = "") -> Page:
    return Page(client.get(f"create/{query}", headers=NAVIGATE))


def fill(page: Page, **typed: str) -> dict[str, str]:
    """Return what the form of a page would send, with what was typed; CRLF is what browsers send."""
    names = ("_xsrf", "latest_build_id", "is_there", "namespace", "name")
    found = {name: page.find("input", name=name)["value"] or "" for name in names if page.has("input", name=name)}
    return found | {name: text.replace("\n", "\r\n") for name, text in typed.items()}


def send(client: httpx.Client, form: dict[str, str], **more: Any) -> httpx.Response:
    """Send a form as its `enctype` says."""
    parts = {name: (None, text) for name, text in form.items()}
    return client.post("create/", files=parts | more, headers=NAVIGATE)


def preview(client: httpx.Client, form: dict[str, str]) -> httpx.Response:
    """Return the answer with a preview, or with what is wrong: who has no script looks again until it is there."""
    answer = send(client, form | {"action": "preview"})
    while Page(answer).has("section", id="awaited"):
        answer = send(client, form | {"action": "look"})
    return answer


def count_builds(client: httpx.Client) -> int:
    return client.get("api/v1/build/", headers=NAVIGATE).json()["count"]


# Preview


def test_a_preview_shows_what_would_be_installed_and_builds_nothing(service: RunningService) -> None:
    with service.browser("alice") as alice:
        form = fill(begin(alice), namespace="alice", specification=make.text("new", "app"))
        answer = preview(alice, form)
        page = Page(answer)
        assert answer.status_code == 200
        assert "What would be installed" in page.text
        assert [part in page.text for part in ("2 packages.", "app", "2.0", "base-lib", "needed by app")] == [True] * 5
        assert make.text("new", "app") in answer.text
        assert count_builds(alice) == 0


def test_a_preview_shows_what_changes_in_the_active_build(service: RunningService) -> None:
    build = service.submit("ml", yaml=make.text("ml", "app"))
    service.claim(build)
    service.use(build, "app=1.0", "old-app=0.9", "base-lib=2.0")
    with service.browser("alice") as alice:
        form = fill(begin(alice, "?environment=alice/ml"), specification=make.text("ml", "app"))
        page = Page(preview(alice, form))
    assert f"What changes from build {build}, the active one" in page.text
    assert "0 added, 2 changed, 1 removed" in " ".join(page.text.split())
    assert "1.0 → 2.0" in page.text
    assert "nothing needs it any more" in page.text


def test_a_preview_that_fails_shows_the_solvers_own_words(service: RunningService) -> None:
    typed = make.text("new", "app >=2", "old-app")
    with service.browser("alice") as alice:
        answer = preview(alice, fill(begin(alice), namespace="alice", specification=typed))
    assert answer.status_code == 422
    assert "The solver says:" in answer.text
    assert typed.replace(">", "&gt;") in answer.text


def test_a_preview_names_the_line_at_fault(service: RunningService) -> None:
    typed = make.text("new", "app", "num py")
    with service.browser("alice") as alice:
        page = Page(send(alice, fill(begin(alice), namespace="alice", specification=typed, action="preview")))
        assert page.find("div", id="error")["data-line"] == "6"
        # A page elsewhere may have a separator of paragraphs where a browser shows none.
        typed = f"# pasted\u2028#from\u2029#a page\n{typed}"
        pasted = Page(send(alice, fill(begin(alice), namespace="alice", specification=typed, action="preview")))
    assert pasted.find("div", id="error")["data-line"] == "7"
    assert "7 |   - num py\n" in pasted.text


# Files


def test_a_file_takes_the_place_of_the_text(service: RunningService) -> None:
    sent = ("environment.yaml", b"\xef\xbb\xbf# mine\r\nname: sent\r\ndependencies: [app]\r\n", "application/yaml")
    with service.browser("alice") as alice:
        form = fill(begin(alice), namespace="alice", specification="what stood there", action="load")
        answer = send(alice, form, file=sent)
        assert "# mine\nname: sent\ndependencies: [app]\n" in answer.text
        assert "what stood there" not in answer.text
        assert send(alice, form | {"action": "build"}, file=sent).url.path == f"{PREFIX}build/1/"


def test_no_file_leaves_the_text(service: RunningService) -> None:
    with service.browser("alice") as alice:
        form = fill(begin(alice), namespace="alice", specification=make.text("typed"))
        answer = send(alice, form, file=("", b"", "application/octet-stream"))
    assert answer.url.path == f"{PREFIX}build/1/"


def test_a_file_that_is_no_text_is_refused_in_words(service: RunningService) -> None:
    with service.browser("alice") as alice:
        form = fill(begin(alice), namespace="alice", specification="kept", action="load")
        answer = send(alice, form, file=("x", b"\xff\xfe\x00", "text/plain"))
    assert answer.status_code == 400
    assert "That file is no text in UTF-8." in answer.text
    assert "kept" in answer.text


# To change what is there


def test_a_change_begins_with_the_newest_build_while_none_is_active(service: RunningService) -> None:
    service.submit(yaml=make.text("ml", "numpy"))
    newest = service.submit(yaml=make.text("ml", "pandas"))
    with service.browser("alice") as alice:
        page = begin(alice, "?environment=alice/ml")
        assert "Change alice/ml" in page.text
        assert "- pandas" in page.text
        assert "This begins with" not in page.text
        assert page.find("input", name="latest_build_id")["value"] == str(newest)
        answer = send(alice, fill(page, specification=make.text("ml", "scipy")))
    assert answer.url.path == f"{PREFIX}build/{newest + 1}/"


def test_a_change_after_a_rollback_begins_with_the_active_build_and_says_so(service: RunningService) -> None:
    active, newest = (complete(service, make.text("ml", name)) for name in ("numpy", "pandas"))
    where, links = "api/v1/environment/alice/ml/", (f"{PREFIX}build/{newest}/", f"{PREFIX}create/?build={newest}")
    with service.browser("alice") as alice:
        assert "This begins with" not in begin(alice, "?environment=alice/ml").text
        with service.client("alice") as api:
            api.put(where, json={"build_id": active}).raise_for_status()
        page = begin(alice, "?environment=alice/ml")
        assert "- numpy" in page.text
        said = " ".join(page.text.split())
        assert f"This begins with build {active}, the active one. The newest is build {newest}: begin with that" in said
        assert set(links) <= set(page.links)
        assert f"This begins with build {newest}, the newest. Active is build {active}" in " ".join(
            begin(alice, f"?build={newest}").text.split()
        )
        service.submit(yaml=make.text("ml", "scipy"))
        refused = send(alice, fill(page, specification=make.text("ml", "polars")))
        assert refused.status_code == 412, "what is newer than the newest that was there is held against it"
        assert f"{PREFIX}create/?build={newest + 1}" in Page(refused).links, "theirs is not the active one"


def complete(service: RunningService, text: str) -> int:
    build = service.submit(yaml=text)
    service.claim(build)
    service.use(build, "numpy=2.1")
    service.finish(build)
    return build


def test_a_change_that_gives_another_name_is_refused_in_words(service: RunningService) -> None:
    service.submit(yaml=make.text("ml", "numpy"))
    with service.browser("alice") as alice:
        answer = send(alice, fill(begin(alice, "?environment=alice/ml"), specification=make.text("other", "numpy")))
        assert count_builds(alice) == 1
    assert answer.status_code == 400
    assert "The specification is named “other”" in answer.text


def test_an_older_build_is_changed_against_the_newest(service: RunningService) -> None:
    older, newest = service.submit(yaml=make.text("ml", "numpy")), service.submit(yaml=make.text("ml", "pandas"))
    with service.browser("alice") as alice:
        page = begin(alice, f"?build={older}")
        assert "- numpy" in page.text
        assert page.find("input", name="latest_build_id")["value"] == str(newest)


def test_what_one_may_only_read_is_the_beginning_of_something_new(service: RunningService) -> None:
    service.submit(yaml=make.text("ml", "numpy"))
    with service.client("alice") as alice:
        grant = {"subject": "user", "name": "bob", "role": "viewer"}
        alice.put("api/v1/environment/alice/ml/member/", json=grant).raise_for_status()
    with service.browser("bob") as bob:
        page = begin(bob, "?environment=alice/ml")
        assert "New environment" in page.text
        assert "- numpy" in page.text
        assert not page.has("input", name="is_there")


def test_a_build_can_be_the_beginning_of_something_new(service: RunningService) -> None:
    build = service.submit(yaml=make.text("ml", "numpy"))
    with service.browser("alice") as alice:
        page = begin(alice, f"?build={build}&anew=1")
    assert not page.has("input", name="is_there")
    assert page.find("input", name="latest_build_id")["value"] == "0"


@pytest.mark.parametrize("query", ["?environment=alice", "?environment=alice/none", "?environment=bob/ml", "?build=99"])
def test_what_is_not_there_cannot_be_changed(service: RunningService, query: str) -> None:
    with service.browser("alice") as alice:
        assert alice.get(f"create/{query}", headers=NAVIGATE).status_code == 404


# Two who change the same


def test_who_comes_second_sees_what_the_first_one_did_and_loses_nothing(service: RunningService) -> None:
    first = service.submit(yaml=make.text("ml", "numpy"), namespace="group.physics")
    with service.browser("alice") as alice:
        page = begin(alice, "?environment=group.physics/ml")
        theirs = service.submit(user="carol", yaml=make.text("ml", "scipy"), namespace="group.physics")
        mine = make.text("ml", "numpy", "pandas")
        answer = send(alice, fill(page, specification=mine))
        shown = Page(answer)
        assert answer.status_code == 412
        assert f"“ml” has build {theirs} now; you began with {first}." in shown.text
        assert "- " in shown.text
        assert "+   - scipy" in shown.text
        assert "-   - numpy" in shown.text
        assert mine in answer.text
        assert count_builds(alice) == 2
        assert shown.find("button", name="anyway")["value"] == str(theirs)
        anyway = {"anyway": str(theirs)}
        third = service.submit(user="carol", yaml=make.text("ml", "dask"), namespace="group.physics")
        again = send(alice, fill(shown, specification=mine) | anyway)
        assert again.status_code == 412
        done = send(alice, fill(Page(again), specification=mine) | {"anyway": str(third)})
        assert done.url.path == f"{PREFIX}build/{third + 1}/"


def test_a_new_one_is_not_built_over_one_that_is_there(service: RunningService) -> None:
    build = service.submit(yaml=make.text("ml", "numpy"))
    with service.browser("alice") as alice:
        form = fill(begin(alice), namespace="alice", specification=make.text("ml", "pandas"))
        answer = send(alice, form)
        assert answer.status_code == 412
        assert "Make it a new build of alice/ml" in answer.text
        assert send(alice, form | {"anyway": str(build)}).url.path == f"{PREFIX}build/{build + 1}/"


@pytest.mark.parametrize("number", ["", "x", "-1", "9" * 30, "0" * 5000, "٣"])
def test_a_number_of_a_build_that_is_none_does_no_harm(service: RunningService, number: str) -> None:
    with service.browser("alice") as alice:
        form = fill(begin(alice), namespace="alice", specification=make.text("new"), latest_build_id=number)
        assert send(alice, form).url.path == f"{PREFIX}build/1/"


def test_texts_are_compared_line_by_line_and_not_without_end() -> None:
    lines = [(line.kind, line.text) for line in compare_texts("a\nb\nc\n", "a\n-- d\nc\n")]
    assert lines == [("same", "a"), ("removed", "b"), ("added", "-- d"), ("same", "c")]
    assert [line.text for line in compare_texts("a\u2028b\n", "a\u2028b\nc\n")] == ["a\u2028b", "c"]
    assert compare_texts("a\n", "a\n") == ()
    assert compare_texts("a\n" * 5000, "b\n" * 5000) == ()


# What people write


def test_nothing_that_was_typed_is_run(service: RunningService) -> None:
    typed = f"name: new\ndescription: {json.dumps(EVIL)}\ndependencies:\n  - app\n  - {json.dumps(EVIL)}\n"
    with service.browser("alice") as alice:
        form = fill(begin(alice), namespace=EVIL, name=EVIL, specification=typed)
        for action in ("build", "preview", "load"):
            answer = send(alice, form | {"action": action})
            assert "<img src=x" not in answer.text
            assert "<script>alert" not in answer.text
        service.submit(yaml=f"{make.text('ml', 'app')}# {EVIL}\n")
        answer = send(alice, fill(begin(alice), namespace="alice", specification=f"{make.text('ml', 'app')}# x\n"))
        assert answer.status_code == 412
        assert "<img src=x" not in answer.text


# Sessions that have ended


def test_a_form_comes_back_with_a_token_that_will_do(service: RunningService) -> None:
    typed = make.text("precious")
    with service.browser("alice") as alice:
        form = fill(begin(alice), namespace="alice", specification=typed)
        answer = send(alice, form | {"_xsrf": "of a session before"})
        assert answer.status_code == 401
        assert typed in answer.text
        page = Page(answer)
        assert send(alice, fill(page, specification=typed)).url.path == f"{PREFIX}build/1/"


@pytest.mark.parametrize("token", ["", "of a session before"])
def test_a_file_of_a_session_that_has_ended_comes_back_in_the_text(service: RunningService, token: str) -> None:
    file = {"file": ("e.yaml", make.text("uploaded").replace("\n", "\r\n").encode(), "application/yaml")}
    form = {"_xsrf": token, "namespace": "alice", "specification": make.text("typed"), "name": ""}
    with service.browser("alice") as alice:
        answer = alice.post("create/", data=form, files=file, headers=NAVIGATE)
        assert answer.status_code == 401
        page = Page(answer)
        assert make.text("uploaded") in page.text
        assert make.text("typed") not in page.text
        again = send(alice, fill(page, namespace="alice", specification=make.text("uploaded")))
        assert again.url.path == f"{PREFIX}build/1/", Page(again).text


def test_a_file_that_is_no_text_leaves_what_was_typed_when_the_session_has_ended(service: RunningService) -> None:
    form = {"_xsrf": "old", "namespace": "alice", "specification": make.text("typed")}
    with service.browser("alice") as alice:
        answer = alice.post("create/", data=form, files={"file": ("x.yaml", b"\xff\xfe", "x/y")}, headers=NAVIGATE)
        assert answer.status_code == 401
        assert make.text("typed") in Page(answer).text


def test_the_form_of_any_page_comes_back_and_can_be_sent_again(service: RunningService) -> None:
    first, second = service.completed(), service.completed()
    with service.browser("alice") as alice:
        form = {"_xsrf": "old", "action": "activate", "build_id": str(first), "note": f"{EVIL}\r\nsecond line"}
        answer = alice.post("environment/alice/ml/", data=form, headers=NAVIGATE)
        page = Page(answer)
        assert answer.status_code == 401
        assert "Nothing is lost" in page.text
        assert "<img src=x" not in answer.text
        assert page.has("textarea", name="build_id")
        assert page.has("textarea", name="note")
        token = page.find("input", name="_xsrf")["value"] or ""
        done = alice.post("environment/alice/ml/", data=form | {"_xsrf": token}, headers=NAVIGATE)
        assert f"Active: build {first}" in Page(done).text
    assert second != first


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_what_another_site_has_filled_in_is_not_given_back(service: RunningService, headers: dict[str, str]) -> None:
    service.completed()
    with service.browser("alice") as alice:
        for path in ("create/", "environment/alice/ml/"):
            form = {"specification": make.text("planted"), "build_id": "1", "namespace": "alice"}
            answer = alice.post(path, data=form, headers=headers)
            assert answer.status_code == 401
            assert "planted" not in answer.text
            assert not Page(answer).has("form", method="post")


# The script that composes


def test_the_page_does_without_what_was_not_built(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    with service.browser("alice") as alice:
        assert begin(alice).has("section", id="composer")
        monkeypatch.setattr(create, "COMPOSER", "built/nothing.js")
        page = begin(alice)
        assert not page.has("section", id="composer")
        assert page.has("textarea", id="specification")


def test_what_composes_is_small_and_runs_under_the_policy() -> None:
    script = Path(files.FILES / create.COMPOSER).read_text()
    assert "eval(" not in script
    assert "new Function" not in script
    assert "Permission to use, copy, modify" in script
