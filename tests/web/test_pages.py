"""The pages as a browser without JavaScript uses them: what they show, their forms, and that nothing in them is run."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import httpx
import pytest

from conda_store_hub.core.artifacts import FILES
from conda_store_hub.core.errors import SolveError
from conda_store_hub.core.protocol import ArtifactType, Phase, PhaseEvent, ProgressEvent
from conda_store_hub.services import work
from conda_store_hub.web import files
from conda_store_hub.web.contexts import Pager
from conda_store_hub.web.pages import reference
from conda_store_hub.web.rendering import show_seconds, show_size
from tests.support import make
from tests.support.fake_hub import user
from tests.support.service import PREFIX, RunningService, service

__all__ = ["service"]

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
NAVIGATE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}


class Page(HTMLParser):
    """What a browser would make of a page: its tags and attributes, and its text."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def find(self, tag: str, **attributes: str) -> dict[str, str | None]:
        return next(
            attrs
            for name, attrs in self.tags
            if name == tag and all(attrs.get(key) == value for key, value in attributes.items())
        )

    def has(self, tag: str, **attributes: str) -> bool:
        try:
            self.find(tag, **attributes)
        except StopIteration:
            return False
        return True

    @property
    def ids(self) -> set[str]:
        return {attrs["id"] for _, attrs in self.tags if attrs.get("id")}  # type: ignore[misc]

    @property
    def links(self) -> list[str]:
        return [attrs["href"] or "" for tag, attrs in self.tags if tag == "a"]


def get(service: RunningService, path: str, name: str = "alice") -> Page:
    with service.client(name) as client:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        return Page(answer)


def everything(service: RunningService) -> list[str]:
    """Make one of everything, full of what should not be run, and return all pages."""
    text = f"name: evil\ndescription: {json.dumps(EVIL)}\nchannels: [main]\ndependencies:\n  - python # {EVIL}\n"
    done = service.submit(yaml=text)
    service.claim(done)
    service.log(done, f"{EVIL}\n", phases=(PhaseEvent(name=Phase.SOLVE, state="finished", seconds=1),))
    service.use(done, f"{EVIL.replace('=', '')}=1")
    service.store(done, ArtifactType.YAML, b"x")
    service.finish(done, SolveError(EVIL))
    failed = service.submit(yaml=text)
    service.claim(failed)
    service.finish(failed, SolveError(EVIL))
    live = service.submit(yaml=text)
    service.claim(live)
    service.log(live, "\n" + EVIL, progress=ProgressEvent(phase=Phase.INSTALL, done=1, total=2, unit=EVIL))
    queued = service.submit(yaml=text)
    builds = [f"build/{number}/" for number in (done, failed, live, queued)]
    return [
        "",
        "environment/alice/evil/",
        *(f"environment/alice/evil/{page}/" for page in ("rename", "description", "clone", "delete")),
        f"environment/alice/evil/changes/?build={done}",
        *builds,
        "create/",
        f"create/?build={done}",
        "user/",
        "docs/",
        "docs/builds/",
        "docs/api/",
    ]


def test_nothing_of_what_people_wrote_is_run(service: RunningService) -> None:
    paths = everything(service)
    service.hub.tokens["alice-token"] = user("alice", "physics", EVIL)
    for path in [*paths, f"?search={EVIL}", f"create/?namespace={EVIL}"]:
        with service.client("alice") as client:
            answer = client.get(path)
        page = Page(answer)
        assert answer.status_code == 200, path
        assert "<img src=x" not in answer.text, path
        assert "<script>alert" not in answer.text, path
        for tag, attrs in page.tags:
            assert not any(key.startswith("on") or key == "style" for key in attrs), (path, tag, attrs)
            if tag == "script":
                assert (attrs["src"] or "").startswith(f"{PREFIX}static/")


def test_the_policy_lets_a_page_load_only_what_is_ours(service: RunningService) -> None:
    for path in everything(service):
        with service.client("alice") as client:
            policy = client.get(path).headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


def test_every_link_of_ours_leads_somewhere(service: RunningService) -> None:
    paths = everything(service)
    hub = service.services.auth.environment.host
    with service.client("alice", follow_redirects=True) as client:
        found = {link for path in paths for link in Page(client.get(path)).links}
        ours = {link for link in found if not link.startswith((hub, "#"))}
        assert len(ours) > 15
        for link in sorted(ours):
            # What is made when it is first asked for would be.
            answer = client.request("HEAD" if "/api/" in link else "GET", httpx.URL(service.url).join(link))
            assert answer.status_code in (200, 404, 409), link
            # Shortcuts of the home page are for what may not be there.
            assert answer.status_code == 200 or "/api/v1/" in link, link
            _, _, part = link.partition("#")
            assert not part or part in Page(answer).ids, link


def test_every_file_of_a_page_is_there_and_kept(service: RunningService) -> None:
    page = get(service, "build/1/" if service.submit() else "")
    files = [attrs.get("src") or attrs.get("href") for tag, attrs in page.tags if tag in ("script", "link")]
    assert len(files) >= 6
    with service.client() as client:
        for file in files:
            answer = client.get(httpx.URL(service.url).join(file or ""))
            assert answer.status_code == 200, file
            assert "immutable" in answer.headers["Cache-Control"]


def test_modules_that_scripts_import_are_asked_for_anew_and_sent_only_if_they_changed(service: RunningService) -> None:
    with service.client() as client:
        first = client.get("static/parts.js")
        assert first.headers["Cache-Control"] == "no-cache"
        again = client.get("static/parts.js", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["Cache-Control"] == "no-cache"


def test_what_the_hubs_style_imports_is_there(service: RunningService) -> None:
    style = (files.HUB_FILES / "css/style.min.css").read_text()
    with service.client() as client:
        for path in re.findall(r'@import"\.\./([^"]+)"', style):
            assert client.get(f"static/hub/{path}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "static/nothing.js",
        "static/../base.py",
        "static/%2e%2e/base.py",
        "static/",
        "static/hub/js/token.js",
        "static/hub/../../../etc/passwd",
        "static/hub/components/jquery/package.json",
    ],
)
def test_no_other_file_is_given_away(service: RunningService, path: str) -> None:
    with service.client() as client:
        answer = client.get(httpx.URL(service.url, raw_path=f"{PREFIX}{path}".encode()))
    assert answer.status_code in (403, 404)


def test_home_shows_the_environments_by_namespace(service: RunningService) -> None:
    service.completed("climate")
    service.submit("ocean", namespace="group.physics")
    page = get(service, "")
    assert [word in page.text for word in ("climate", "ocean", "group.physics", "completed", "queued")] == [True] * 5
    assert f"{PREFIX}environment/alice/climate/" in page.links
    assert page.has("div", id="environments", **{"data-live": None})  # type: ignore[arg-type]
    assert "data-busy" in page.find("div", id="environments")
    assert "climate" not in get(service, "", "bob").text


def test_home_is_searched_and_paged(service: RunningService) -> None:
    for number in range(101):
        service.submit(f"e{number:03}")
    page = get(service, "")
    assert "e099" in page.text
    assert "e100" not in page.text
    assert f"{PREFIX}?page=2" in page.links
    assert "e100" in get(service, "?page=2").text
    found = get(service, "?search=e05")
    assert "e055" in found.text
    assert "e060" not in found.text
    assert "No environment has" in get(service, "?search=nothing").text


def test_an_empty_home_tells_what_to_do(service: RunningService) -> None:
    page = get(service, "")
    assert "There are no environments yet." in page.text
    assert "hidden" in page.find("form", id="filters"), "it is there for when there is something to search in"
    assert f"{PREFIX}create/" in page.links


def test_an_environment_shows_its_builds_and_activates_another(service: RunningService) -> None:
    first, second = service.completed(), service.completed()
    with service.browser("alice") as alice:
        page = Page(alice.get("environment/alice/ml/", headers=NAVIGATE))
        assert "name: ml" in page.text
        form = {"_xsrf": page.find("input", name="_xsrf")["value"], "action": "activate", "build_id": str(first)}
        assert page.has("input", name="build_id", value=str(first))
        answer = alice.post("environment/alice/ml/", data=form, headers=NAVIGATE)
        assert answer.url.path == f"{PREFIX}environment/alice/ml/"
        assert f"Active: build {first}" in Page(answer).text
    assert second != first


def test_an_address_that_is_none_is_so_to_everybody_and_logs_nobody_out(service: RunningService) -> None:
    with service.client("alice") as alice, service.client(None) as nobody:
        known, unknown = alice.get("no/such/page/"), nobody.get("no/such/page/")
    assert (known.status_code, unknown.status_code) == (404, 404)
    assert ("Log out" in known.text, "Log in" in known.text) == (True, False)
    assert ("Log out" in unknown.text, "Log in" in unknown.text) == (False, True)


def test_a_form_without_the_pages_token_changes_nothing(service: RunningService) -> None:
    first, second = service.completed(), service.completed()
    queued = service.submit("other")
    actions = {"environment/alice/ml/": "activate", f"build/{queued}/": "cancel", "create/": "build"}
    with service.browser("alice") as alice, service.browser("bob") as bob:
        for token in ("", "wrong", bob.cookies["_xsrf"]):
            form = {"_xsrf": token, "build_id": str(first), "specification": make.text("new"), "namespace": "alice"}
            for path, action in actions.items():
                answer = alice.post(path, data=form | {"action": action}, headers=NAVIGATE)
                assert answer.status_code == 401, path
        data = alice.get("api/v1/build/", headers=NAVIGATE).json()["data"]
    assert [(row["id"], row["active"], row["status"]) for row in data] == [
        (queued, False, "QUEUED"),
        (second, True, "COMPLETED"),
        (first, False, "COMPLETED"),
    ]


def test_a_build_shows_all_there_is(service: RunningService) -> None:
    build = service.submit()
    service.claim(build)
    phases = (PhaseEvent(name=Phase.SOLVE, state="started"), PhaseEvent(name=Phase.SOLVE, state="finished", seconds=65))
    service.log(build, "Choosing packages ☃\n", phases=phases)
    service.use(build, "python=3.11.7", "numpy=2.1")
    service.store(build, ArtifactType.YAML, b"x" * 1234)
    page = get(service, f"build/{build}/")
    for part in ("completed", "active", "Choosing packages ☃", "1 min 05 s", "numpy", "2.1", "Pinned YAML", "1.2 kB"):
        assert part in page.text, part
    assert "It is being made." in page.text
    assert f"{PREFIX}api/v1/build/{build}/environment.yaml" in page.links
    assert f"{PREFIX}api/v1/build/{build}/environment.tar.gz" not in page.links
    assert f"{PREFIX}docs/artifacts/#archive" in page.links
    assert page.find("pre", id="log")["data-offset"] == str(len("Choosing packages ☃\n".encode()))
    assert "data-complete" not in page.find("pre", id="log")
    assert page.find("time")["datetime"].endswith("+00:00")  # type: ignore[union-attr]


def test_a_build_offers_what_can_still_be_made_and_says_what_could_not(service: RunningService) -> None:
    build = service.submit()
    service.claim(build)
    service.use(build)
    service.store(build, ArtifactType.YAML, b"x")
    service.finish(build, SolveError("There is no room."))
    page = get(service, f"build/{build}/")
    assert f"{PREFIX}api/v1/build/{build}/explicit.txt" not in page.links
    assert page.text.count("Make it") == 4
    assert page.text.count("Not made yet.") == 4
    assert page.text.count("There is no room.") == 2
    assert page.text.count("Try again") == 2


def test_the_log_is_offered_of_every_build_that_is_over(service: RunningService) -> None:
    build = service.submit()
    page = get(service, f"build/{build}/")
    assert page.text.count("Not there yet.") == len(FILES), "their place is kept while it is built"
    assert not page.has("input", name="artifact_type")
    service.claim(build)
    service.finish(build, SolveError("no"))
    page = get(service, f"build/{build}/")
    assert f"{PREFIX}docs/artifacts/#log" in page.links
    assert "Archive" not in page.text


def test_a_file_that_could_not_be_made_is_tried_again_by_its_form(service: RunningService) -> None:
    build = service.submit()
    service.claim(build)
    service.use(build)
    service.finish(build, SolveError("There is no room."))
    with service.browser("alice") as alice:
        page = Page(alice.get(f"build/{build}/", headers=NAVIGATE))
        form = {"_xsrf": page.find("input", name="_xsrf")["value"], "artifact_type": "CONDA_PACK"}
        form["action"] = page.find("input", value="again")["value"]
        answer = Page(alice.post(f"build/{build}/", data=form, headers=NAVIGATE))
        assert answer.text.count("It is being made.") == 1
        assert answer.text.count("There is no room.") == 2
        for kind in ("EVIL<b>", "LOGS"):
            refused = alice.post(f"build/{build}/", data=form | {"artifact_type": kind}, headers=NAVIGATE)
            assert refused.status_code in (400, 404), refused.text


def test_the_archives_size_stands_beside_the_disks(service: RunningService) -> None:
    build = service.completed()
    assert "the archive has" not in get(service, f"build/{build}/").text
    service.store(build, ArtifactType.CONDA_PACK, b"x" * 4321)
    assert "the archive has 4.3 kB" in get(service, f"build/{build}/").text


def test_a_build_has_words_for_every_phase_and_goes_on_without_an_image(service: RunningService) -> None:
    build = service.completed()
    service.log(build, "", phases=tuple(PhaseEvent(name=phase, state="started") for phase in Phase))
    service.log(build, "", phases=tuple(PhaseEvent(name=phase, state="finished", seconds=1) for phase in Phase))
    failed = make.artifact_event(ArtifactType.DOCKER_MANIFEST).model_copy(update={"error": "There is no base."})
    for event in (make.artifact_event(ArtifactType.DOCKER_MANIFEST), failed):
        service.db.write_sync(work.record_artifact, service.tickets[build], event, "")
        assert "Make the image" in get(service, f"build/{build}/").text


def test_an_environment_tells_the_address_of_its_lockfile_that_stays(service: RunningService) -> None:
    build, lasting = service.completed(), f"{PREFIX}api/v1/environment/alice/ml/conda-lock.yml"
    page = get(service, "environment/alice/ml/")
    assert lasting in page.text
    assert lasting not in page.links, "it is not there yet"
    service.store(build, ArtifactType.LOCKFILE, b"x")
    assert lasting in get(service, "environment/alice/ml/").links


def test_a_failed_build_says_why_on_top(service: RunningService) -> None:
    build = service.submit()
    service.claim(build)
    service.log(build, "deep in the log\n")
    service.finish(build, SolveError("Nothing provides nosuch.", line=4, column=5))
    page = get(service, f"build/{build}/")
    assert "Nothing provides nosuch. (line 4, column 5)" in page.text
    assert page.text.index("Nothing provides nosuch.") < page.text.index("deep in the log")
    assert "data-complete" in page.find("pre", id="log")


def test_a_running_build_shows_how_far_it_is(service: RunningService) -> None:
    build = service.submit()
    service.claim(build)
    service.log(build, "x", progress=ProgressEvent(phase=Phase.INSTALL, done=23, total=40, unit="packages"))
    page = get(service, f"build/{build}/")
    assert "Install packages: 23 of 40 packages" in page.text
    assert page.find("progress") == {"id": "progress-bar", "class": "w-100", "value": "23", "max": "40"}


def test_a_queued_build_tells_its_place(service: RunningService) -> None:
    service.submit("first")
    second = service.submit("second")
    page = get(service, f"build/{second}/")
    assert "number 2 in the queue" in page.text
    assert "invisible" in (page.find("div", id="progress")["class"] or ""), "nothing goes on yet"


@pytest.mark.parametrize("text", ["\n\nfirst lines are empty", "\nx", "ends empty\n\n"])
def test_the_log_is_shown_to_the_letter(service: RunningService, text: str) -> None:
    build = service.submit()
    service.claim(build)
    service.log(build, text)
    with service.client("alice") as client:
        shown = re.search(r"<pre [^>]*id=\"log\"[^>]*>(.*?)</pre>", client.get(f"build/{build}/").text, re.DOTALL)
    assert shown is not None
    # HTML drops one line end right behind <pre>.
    assert shown[1].removeprefix("\n" if text.startswith("\n") else "") == text


def test_of_a_long_log_the_end_is_shown_from_a_whole_line(service: RunningService) -> None:
    build = service.submit()
    service.claim(build)
    for number in range(100):
        service.log(build, f"{number:04} " + "ü" * 3000 + "\n")
    page = get(service, f"build/{build}/")
    log = page.find("pre", id="log")
    assert log["data-offset"] == str(100 * 6006)
    assert "0099 ü" in page.text
    assert "0001 ü" not in page.text
    assert "\ufffd" not in page.text
    assert "are left out here" in page.text


def test_a_build_is_cancelled_by_its_form(service: RunningService) -> None:
    build = service.submit()
    with service.browser("alice") as alice:
        page = Page(alice.get(f"build/{build}/", headers=NAVIGATE))
        token = page.find("input", name="_xsrf")["value"]
        answer = alice.post(f"build/{build}/", data={"_xsrf": token, "action": "cancel"}, headers=NAVIGATE)
        assert answer.url.path == f"{PREFIX}build/{build}/"
        assert "cancelled" in Page(answer).text
        again = alice.post(f"build/{build}/", data={"_xsrf": token, "action": "cancel"}, headers=NAVIGATE)
    assert again.status_code == 409
    assert "there is nothing to cancel" in again.text


def test_what_one_may_not_do_is_not_offered(service: RunningService) -> None:
    first, _ = service.completed(), service.completed()
    assert not get(service, f"build/{first}/", "root").has("input", name="action", value="cancel")
    assert get(service, f"build/{first}/").has("form", action=f"{PREFIX}environment/alice/ml/")
    queued = service.submit("other")
    assert get(service, f"build/{queued}/").has("input", name="action", value="cancel")


def test_the_form_makes_an_environment(service: RunningService) -> None:
    with service.browser("alice") as alice:
        page = Page(alice.get("create/?namespace=group.physics", headers=NAVIGATE))
        assert [attrs["value"] for tag, attrs in page.tags if tag == "option"] == ["alice", "group.physics"]
        assert "selected" in page.find("option", value="group.physics")
        form = {
            "_xsrf": page.find("input", name="_xsrf")["value"],
            "namespace": "group.physics",
            "specification": make.text("new").replace("\n", "\r\n"),
        }
        answer = alice.post("create/", data=form, headers=NAVIGATE)
        assert answer.url.path == f"{PREFIX}build/1/"
        build = alice.get("api/v1/build/1/", headers=NAVIGATE).json()["data"]
    assert (build["namespace"], build["environment"]) == ("group.physics", "new")
    assert build["specification"]["text"] == make.text("new")


def test_the_form_takes_a_lock_file_with_a_name(service: RunningService) -> None:
    lock = f"@EXPLICIT\nhttps://channels.example/main/noarch/a-1-0.conda#sha256:{'a' * 64}\n"
    with service.browser("alice") as alice:
        token = Page(alice.get("create/", headers=NAVIGATE)).find("input", name="_xsrf")["value"]
        form = {"_xsrf": token, "namespace": "alice", "specification": lock}
        nameless = alice.post("create/", data=form, headers=NAVIGATE)
        assert (nameless.status_code, "has no name of its own" in nameless.text, lock in nameless.text) == (
            400,
            True,
            True,
        )
        assert alice.post("create/", data=form | {"name": "locked"}, headers=NAVIGATE).url.path == f"{PREFIX}build/1/"
        again = Page(alice.get("create/?build=1", headers=NAVIGATE))
    assert again.find("input", name="name")["value"] == "locked"


def test_a_preview_speaks_of_pip_where_there_is_something_for_it(service: RunningService) -> None:
    service.solve_at_once()
    pip = "  - pip\n  - pip:\n    - cowsay\n"
    with service.browser("alice") as alice:
        for text, speaks in ((make.text(), False), (make.text() + pip, True)):
            form = {"_xsrf": alice.cookies["_xsrf"], "namespace": "alice", "name": "ml", "specification": text}
            page = Page(alice.post("create/", data=form | {"action": "preview"}, headers=NAVIGATE))
            while page.has("section", id="awaited"):
                page = Page(alice.post("create/", data=form | {"action": "look"}, headers=NAVIGATE))
            assert ("What pip brings is chosen while it is built." in page.text) == speaks
            assert "What would be installed" in page.text


def test_the_form_keeps_what_was_typed_and_names_the_line(service: RunningService) -> None:
    typed = "\n\nname: new\ndependencies:\n  - numpy\n  - python ==== 3 # </textarea><b>\n"
    with service.browser("alice") as alice:
        form = {"_xsrf": alice.cookies["_xsrf"], "namespace": "group.physics", "specification": typed}
        answer = alice.post("create/", data=form, headers=NAVIGATE)
    page = Page(answer)
    assert answer.status_code == 400
    assert "line 6, column 5" in page.text
    assert page.find("div", id="error")["data-line"] == "6"
    assert "6 |   - python ==== 3" in page.text
    assert typed in page.text
    assert "selected" in page.find("option", value="group.physics")
    assert not page.has("b")


def test_the_form_keeps_what_was_typed_when_the_session_has_ended(service: RunningService) -> None:
    form = {"_xsrf": "old", "namespace": "alice", "specification": make.text("precious")}
    with service.client() as nobody:
        answer = nobody.post("create/", data=form, headers=NAVIGATE)
    assert answer.status_code == 401
    assert "name: precious" in answer.text
    with service.browser("alice") as alice:
        again = alice.post("create/", data=form, headers=NAVIGATE)
        assert "name: precious" in again.text
        with_token = {**form, "_xsrf": alice.cookies["_xsrf"]}
        assert alice.post("create/", data=with_token, headers=NAVIGATE).url.path == f"{PREFIX}build/1/"


def test_the_form_says_what_one_may_not(service: RunningService) -> None:
    with service.browser("bob") as bob:
        form = {"_xsrf": bob.cookies["_xsrf"], "namespace": "alice", "specification": make.text("new")}
        answer = bob.post("create/", data=form, headers=NAVIGATE)
    assert answer.status_code == 404
    assert "There is no namespace “alice”, or you may not see it." in answer.text
    assert "name: new" in answer.text


def test_a_build_is_changed_from_what_it_was_made_of(service: RunningService) -> None:
    build = service.submit(yaml=make.text("ml", "numpy", "pandas"), namespace="group.physics")
    page = get(service, f"create/?build={build}", "carol")
    assert "- pandas" in page.text
    assert page.find("input", name="namespace")["value"] == "group.physics"


def test_the_user_page_tells_who_one_is(service: RunningService) -> None:
    page = get(service, "user/")
    assert "physics" in page.text
    assert "developer" in page.text
    assert "Everything, in all namespaces" in get(service, "user/", "root").text


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        ("environment/alice/ml/", "bob", 404),
        ("build/1/", "bob", 404),
        ("create/?build=1", "bob", 404),
        ("nothing/", "alice", 404),
        ("nothing/", None, 404),
        ("docs/nothing/", "alice", 404),
        ("?page=0", "alice", 400),
        ("build/1/", None, 302),
        ("create/", None, 302),
        ("user/", None, 302),
        ("docs/", None, 200),
    ],
)
def test_an_error_is_a_page(service: RunningService, path: str, name: str | None, status: int) -> None:
    service.completed()
    with service.client(name) as client:
        answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"].lower().startswith("text/html")


def test_a_page_needs_a_get_or_its_form(service: RunningService) -> None:
    with service.client("alice") as alice:
        answer = alice.post("login/")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
        assert alice.head("").status_code == 200


def test_what_an_error_quotes_as_code_is_shown_as_code(service: RunningService) -> None:
    service.completed()
    with service.client("alice") as alice:
        answer = alice.get("environment/alice/ml/changes/")
    assert answer.status_code == 400
    assert "<code>?build=</code>" in answer.text


def test_the_reference_is_made_once_and_shows_each_their_own_name(service: RunningService) -> None:
    pages = {name: get(service, "docs/api/", name) for name in ("alice", "bob")}
    assert reference.render_reference.cache_info().maxsize == 1
    before = reference.render_reference.cache_info().misses
    for name, page in pages.items():
        assert name in page.text
        assert "/api/v1/environment/" in get(service, "docs/api/", name).text
    assert reference.render_reference.cache_info().misses == before


def test_the_guide_is_there_and_its_links_lead_on(service: RunningService) -> None:
    first = get(service, "docs/")
    assert f"{PREFIX}docs/environments/" in first.links
    assert not [link for link in first.links if ".md" in link]
    with service.client() as client:
        assert "Write an environment" in client.get("docs/environments").text
        assert "tokens" in Page(client.get("docs/sharing/")).ids


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (123_456, "123.5 kB"),
        (10**6, "1.0 MB"),
        (999_960, "1.0 MB"),
        (999_940_000_000, "999.9 GB"),
        (10**12, "1.0 TB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes_are_for_people(size: int, shown: str) -> None:
    assert show_size(size) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (3599.6, "1 h 00 min"), (260_000, "3 d 00 h")],
)
def test_spans_are_for_people(seconds: float, shown: str) -> None:
    assert show_seconds(seconds) == shown


def test_a_pager_has_at_least_one_page() -> None:
    assert [Pager(page=1, size=10, count=count).last for count in (0, 1, 10, 11)] == [1, 1, 1, 2]
