"""The pages of who administers the Hub: what they show, to whom, and what can be done on them."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from traitlets import TraitError

from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import SolveError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import Phase, PhaseEvent
from conda_store_hub.core.schemas.notes import BannerLevel, JobDone
from conda_store_hub.db import claims
from conda_store_hub.db.tables import AuditEntry
from conda_store_hub.queue.searcher import ProcessSearcher
from conda_store_hub.services import audit, notes
from conda_store_hub.services.changes import CLEANING
from conda_store_hub.web import files
from conda_store_hub.web.appearance import Pages
from conda_store_hub.web.charts import stack_bars
from conda_store_hub.web.pages.guide import load_guide
from conda_store_hub.web.rendering import show_links
from conda_store_hub.web.warming import look_at_hub
from tests.support.fake_hub import user
from tests.support.make import ADMIN
from tests.support.service import PREFIX, RunningService, run_service, service
from tests.web.test_pages import EVIL, NAVIGATE, Page, everything, get

__all__ = ["service"]

PAGES = ("admin/", "admin/namespaces/", "admin/policy/", "admin/audit/", "admin/health/", "admin/banner/")
SOLVED = (
    PhaseEvent(name=Phase.SOLVE, state="started"),
    PhaseEvent(name=Phase.SOLVE, state="finished", seconds=2),
)
FORMS = ("admin/janitor/", "admin/banner/", "admin/policy/")


@pytest.fixture
def root(service: RunningService) -> Generator[httpx.Client]:
    with service.browser("root") as browser:
        yield browser


def send(browser: httpx.Client, path: str, **typed: str) -> httpx.Response:
    return browser.post(path, data={"_xsrf": browser.cookies["_xsrf"]} | typed, headers=NAVIGATE)


def flat(page: Page) -> str:
    return " ".join(page.text.split())


def failed(service: RunningService, name: str = "ml") -> int:
    number = service.submit(name)
    service.claim(number)
    service.log(number, "x", phases=SOLVED)
    service.finish(number, SolveError(EVIL))
    return number


# Who may


@pytest.mark.parametrize("path", PAGES)
def test_who_does_not_administer_the_hub_is_told_so(service: RunningService, path: str) -> None:
    with service.browser("alice") as alice:
        answer = alice.get(path, headers=NAVIGATE)
    assert answer.status_code == 403
    assert "Not allowed" in Page(answer).text
    assert "only administrators of the Hub have" in Page(answer).text
    assert not Page(answer).has("form")


@pytest.mark.parametrize("path", PAGES)
def test_who_is_not_logged_in_is_sent_to_the_hub(service: RunningService, path: str) -> None:
    with service.client() as nobody:
        answer = nobody.get(path, headers=NAVIGATE)
    assert answer.status_code == 302
    assert "oauth2/authorize" in answer.headers["Location"]


@pytest.mark.parametrize("path", FORMS)
def test_a_form_does_nothing_for_others_nor_without_the_pages_token(service: RunningService, path: str) -> None:
    with service.browser("root") as root, service.browser("alice") as alice:
        assert send(alice, path, message="mine", level="info").status_code == 403
        for wrong in ("", "wrong", alice.cookies["_xsrf"]):
            assert send(root, path, message="mine", level="info", _xsrf=wrong).status_code == 401
        root.cookies.delete("_xsrf")
        assert root.post(path, data={"message": "mine", "level": "info"}, headers=NAVIGATE).status_code == 401
    assert service.db.read_sync(notes.find_banner) is None
    assert service.db.read_sync(notes.find_run) is None


def test_who_no_longer_administers_the_hub_changes_nothing_from_then_on(
    service: RunningService, root: httpx.Client
) -> None:
    service.hub.tokens["root-token"] = user("root")
    assert send(root, "admin/banner/", message="mine", level="info").status_code == 403
    assert root.get("admin/audit/", headers=NAVIGATE).status_code == 403


def test_only_administrators_find_the_pages_in_the_navigation(service: RunningService) -> None:
    assert f"{PREFIX}admin/" in get(service, "", "root").links
    assert f"{PREFIX}admin/" not in get(service, "").links


# What is shown


def test_all_of_it_is_shown_where_there_is_nothing_yet(service: RunningService) -> None:
    text = flat(get(service, "admin/", "root"))
    assert "0 building of 1 at once, 0 queued." in text
    assert "None in the last 24 hours." in text
    assert "None failed in the last seven days." in text
    assert "It has not gone round yet." in text


def test_what_runs_how_builds_went_and_what_takes_the_disk_is_shown(service: RunningService) -> None:
    service.completed("large")
    failed(service)
    waiting = service.submit("later", namespace="group.physics")
    page = get(service, "admin/", "root")
    text = flat(page)
    assert "0 building of 1 at once, 1 queued." in text
    assert f"{PREFIX}build/{waiting}/" in page.links
    assert "group.physics/later" in text
    assert "Choose packages" in text
    assert "2.0 s" in text
    assert "unsatisfiable" in text
    assert EVIL not in text  # what the solver said is the build's
    assert f"{PREFIX}environment/alice/large/" in page.links
    assert {"admin-completed", "admin-failed"} <= {str(attrs.get("class")) for tag, attrs in page.tags if tag == "rect"}
    assert page.find("div", id="live")["data-busy"] is None
    assert "data-busy" in page.find("div", id="live")


def test_nothing_of_the_charts_needs_what_the_pages_policy_forbids(service: RunningService) -> None:
    failed(service)
    for path in PAGES:
        for tag, attrs in get(service, path, "root").tags:
            assert not any(key.startswith("on") or key == "style" for key in attrs), (path, tag, attrs)
            assert tag != "style"


def test_what_deleted_environments_have_on_disk_is_told_together(service: RunningService) -> None:
    """Each was listed among the largest, and together they left no room there for those that are used."""
    service.completed("gone")
    service.completed("stays")
    with service.client("alice") as alice:
        assert alice.delete("api/v1/environment/alice/gone/").is_success
    page = get(service, "admin/", "root")
    assert "1 deleted environment that can be brought back: 1.0 kB." in flat(page)
    assert f"{PREFIX}environment/alice/stays/" in page.links
    assert f"{PREFIX}environment/alice/gone/" not in page.links


def test_all_namespaces_come_in_pages(service: RunningService) -> None:
    service.completed()
    for name in ("alice", "bob", "carol"):
        get(service, "user/", name)
    first, second = (get(service, f"admin/namespaces/?size=2&page={number}", "root") for number in (1, 2))
    assert "alice" in first.text
    assert "alice" not in second.text
    assert [link for link in first.links if "page=2" in link]


def test_the_policy_of_the_service_is_a_form_that_says_where_each_value_is_from(
    service: RunningService, root: httpx.Client
) -> None:
    page = Page(send(root, "admin/policy/", keep_builds="7", memory_bytes="2 GB"))
    assert re.search(r"keep_builds from: service .{0,90} 7 ", flat(page))
    assert re.search(r"pip_allowed from: default .{0,90} yes ", flat(page))
    assert page.find("input", name="keep_builds")["value"] == "7"
    assert page.find("input", name="memory_bytes")["value"] == "2 GB"
    assert page.find("a", href=f"{PREFIX}admin/audit/"), "the other pages of administrators"
    refused = send(root, "admin/policy/", keep_builds="none", memory_bytes="2 GB")
    assert refused.status_code == 400
    assert Page(refused).find("input", name="keep_builds")["value"] == "none"
    with service.client("root") as client:
        assert client.get("api/v1/setting/").json()["data"]["keep_builds"]["value"] == 7
    assert re.search(r"keep_builds from: default", flat(Page(send(root, "admin/policy/", keep_builds=""))))


def test_names_of_channels_are_set_a_line_each(service: RunningService, root: httpx.Client) -> None:
    typed = "ours: https://channels.example/ours\nlab = https://lab.example/main\n"
    found = {"lab": "https://lab.example/main", "ours": "https://channels.example/ours"}
    for _ in range(2):  # the same once more changes nothing
        page = Page(send(root, "admin/policy/", channel_aliases=typed))
        assert "ours: https://channels.example/ours" in page.text
    with service.client("root") as client:
        assert client.get("api/v1/setting/").json()["data"]["channel_aliases"]["value"] == found
        assert len(client.get("api/v1/audit/?action=policy.set").json()["data"]) == 1
    for wrong in ("ours", "a: https://x.example/\na: https://y.example/", "a: nothing", EVIL):
        refused = send(root, "admin/policy/", channel_aliases=wrong)
        assert (refused.status_code, "`" in Page(refused).text) == (400, False), wrong
    send(root, "admin/policy/", channel_aliases="")
    with service.client("root") as client:
        assert client.get("api/v1/setting/").json()["data"]["channel_aliases"]["value"] == {}


def test_every_part_has_a_version_and_a_state(service: RunningService) -> None:
    text = flat(get(service, "admin/health/", "root"))
    for words in ("conda-store-hub 0.", "SQLite 3.", "JupyterHub 6.1.1, it answers", "are free in", "py-rattler 0."):
        assert words in text


def test_processes_that_answer_people_are_told_of_and_one_that_failed(service: RunningService) -> None:
    text = flat(get(service, "admin/health/", "root"))
    assert "Search well 0 processes at this moment; 0 waiting for an answer" in text
    assert "Preview well 0 processes at this moment; 0 waiting for an answer" in text
    assert "Images well are not offered" in text
    searcher = service.services.searcher
    assert isinstance(searcher, ProcessSearcher)
    searcher._command = (sys.executable, "-S", "-c", "")
    with service.client("alice") as alice:
        assert alice.get("api/v1/package/?search=num&channel=main").status_code == 503
        failed = flat(get(service, "admin/health/", "root"))
        assert "Search look at it the last time: The search ended before it had an answer, twice" in failed
        service.search_at_once()
        alice.get("api/v1/package/?search=num&channel=main").raise_for_status()
    assert "Search well 1 process at this moment" in flat(get(service, "admin/health/", "root"))


def test_the_store_of_artifacts_is_tried_and_what_is_wrong_with_it_is_said(service: RunningService) -> None:
    store = service.services.data.objects
    before = set(store.rglob("*/*/*"))
    words = "it takes bytes, gives them back as they were, and removes them"
    assert words in flat(get(service, "admin/health/", "root"))
    assert set(store.rglob("*/*/*")) == before
    assert list(service.services.data.work.iterdir()) == []
    shutil.rmtree(store / "sha256")
    (store / "sha256").write_text("something else is in the place of the folder")
    shown = get(service, "admin/health/", "root")
    assert "The storage of artifacts failed." in shown.text
    assert str(store) not in shown.text
    assert list(service.services.data.work.iterdir()) == []


def test_a_worker_of_which_nothing_is_heard_is_named(service: RunningService) -> None:
    assert "0 builds at this moment, of 1 at once; 0 waiting" in flat(get(service, "admin/health/", "root"))
    number, _ = service.submit(), service.submit("other")
    service.claim(number)
    assert "1 build at this moment, of 1 at once; 1 waiting" in flat(get(service, "admin/health/", "root"))
    assert "1 building of 1 at once, 1 queued." in flat(get(service, "admin/", "root"))
    long_ago = datetime.now(UTC) - timedelta(minutes=10)
    service.db.write_sync(claims.beat, number, service.tickets[number].turn, long_ago, None)
    assert f"nothing was heard for minutes of what builds {number}" in flat(get(service, "admin/health/", "root"))


def test_a_round_of_the_janitor_that_failed_is_said(service: RunningService) -> None:
    run = service.db.write_sync(notes.begin_run)
    service.db.write_sync(notes.end_run, run, [JobDone(job="caches", said="it failed", failed=True)])
    assert "in its last round failed: caches" in flat(get(service, "admin/health/", "root"))
    assert "caches: it failed" in flat(get(service, "admin/", "root"))


def test_nothing_of_what_people_wrote_is_run_here(service: RunningService, root: httpx.Client) -> None:
    everything(service)
    send(root, "admin/banner/", message=EVIL, level="info")
    with service.client("root") as client:
        client.put("api/v1/setting/", json={"forbidden_packages": ["evil"]})
        for path in [*PAGES, f"admin/audit/?actor={EVIL}&namespace={EVIL}&environment={EVIL}"]:
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert "<img src=x" not in answer.text, path
            assert "<script>alert" not in answer.text, path
            assert EVIL in Page(answer).text, path  # in the banner, as text


PLACES = ("namespace/", "namespace/alice/", "environment/alice/ml/share/", "environment/alice/ml/rename/")


@pytest.mark.parametrize("path", ["", "create/", "environment/alice/ml/", "build/1/", "user/", *PLACES, *PAGES])
def test_the_docs_link_of_a_page_leads_to_the_part_about_it(service: RunningService, path: str) -> None:
    service.completed()
    links = {each for each in get(service, path, "root").links if re.fullmatch(f"{PREFIX}docs/pages/#.*", each)}
    (link,) = links
    part = link.partition("#")[2]
    assert f'id="{part}"' in load_guide(f"{PREFIX}docs/")["pages"].html


# The audit trail


def test_deeds_are_shown_the_newest_first_and_filtered(service: RunningService) -> None:
    service.completed("one")
    service.completed("two", namespace="group.physics")
    with service.client("alice") as alice:
        assert alice.delete("api/v1/environment/alice/one/").is_success
    everything = flat(get(service, "admin/audit/", "root"))
    assert everything.index("environment.delete alice/one") < everything.index("build.submit alice/one")
    page = get(service, "admin/audit/?action=build.submit&namespace=group.physics&actor=alice", "root")
    text = flat(page)
    assert "build.submit group.physics/two" in text
    assert "alice/one" not in text
    assert page.find("input", id="namespace")["value"] == "group.physics"
    assert [attrs["value"] for tag, attrs in page.tags if tag == "option" and "selected" in attrs] == ["build.submit"]
    assert "two" in flat(get(service, "admin/audit/?environment=two", "root"))
    assert "Nothing of the kind" in flat(get(service, "admin/audit/?actor=nobody", "root"))


def test_older_deeds_are_on_the_next_page_with_the_same_filter(service: RunningService) -> None:
    for number in range(3):
        service.submit(f"e{number}")
    first = get(service, "admin/audit/?size=2&action=build.submit", "root")
    (older,) = [link for link in first.links if "before=" in link]
    second = get(service, older.removeprefix(PREFIX), "root")
    assert "alice/e2" in first.text
    assert "alice/e0" in second.text
    assert "alice/e2" not in second.text
    assert not [link for link in second.links if "before=" in link]


def date_deeds(service: RunningService, first: datetime) -> None:
    """Have builds been submitted an hour apart, the first one at that time."""

    def write(session: Session) -> None:
        submitted = select(AuditEntry).where(AuditEntry.action == AuditAction.BUILD_SUBMIT).order_by(AuditEntry.id)
        for number, row in enumerate(session.scalars(submitted)):
            row.at = first + number * timedelta(hours=1)

    service.db.write_sync(write)


def test_deeds_of_a_span_of_time_are_found_page_by_page(service: RunningService) -> None:
    for number in range(4):
        service.submit(f"e{number}")
    date_deeds(service, datetime(2026, 5, 1, 12, tzinfo=UTC))
    span = "admin/audit/?since=2026-05-01T13:00&until=2026-05-01T15:00:00%2B00:00"
    page = get(service, span, "root")
    assert [f"alice/e{number}" in page.text for number in range(4)] == [False, True, True, False]
    assert page.find("input", id="since")["value"] == "2026-05-01T13:00"
    assert page.find("input", id="until")["value"] == "2026-05-01T15:00"
    first = get(service, f"{span}&size=1", "root")
    (older,) = [link for link in first.links if "before=" in link]
    second = get(service, older.removeprefix(PREFIX), "root")
    assert ("alice/e2" in first.text, "alice/e1" in first.text) == (True, False)
    assert ("alice/e2" in second.text, "alice/e1" in second.text) == (False, True)
    assert not [link for link in second.links if "before=" in link]
    with service.client("root") as client:
        told = client.get("api/v1/audit/", params={"since": "2026-05-01T14:00:00+02:00", "until": "2026-06-01"}).json()
    assert [row["environment"] for row in told["data"]] == ["e3", "e2", "e1", "e0"]


@pytest.mark.parametrize("query", ["since=2026-05-02&until=2026-05-01", "since=2026-05-01&until=2026-05-01"])
def test_a_span_that_ends_before_it_begins_is_refused(service: RunningService, query: str) -> None:
    with service.client("root") as client:
        answer = client.get(f"admin/audit/?{query}")
    assert (answer.status_code, "must be before" in answer.text) == (400, True)


NO_TIMES = ("since=yesterday", "until=0001-01-01T00:00%2B02:00", "until=9999-12-31T23:59-02:00", "since=2026-13-01")


@pytest.mark.parametrize("query", ["action=nothing", "before=x", f"actor={'x' * 201}", *NO_TIMES])
def test_a_filter_that_makes_no_sense_is_refused_in_words(service: RunningService, query: str) -> None:
    with service.client("root") as client:
        answer = client.get(f"admin/audit/?{query}")
    assert answer.status_code == 400
    assert "must be" in Page(answer).text


# The janitor


def test_the_janitor_is_asked_to_go_round(service: RunningService, root: httpx.Client) -> None:
    heard: list[str] = []
    service.services.changes.listen(heard.extend)
    answer = send(root, "admin/janitor/")
    page = Page(answer)
    assert answer.url.path == f"{PREFIX}admin/"
    assert "A round that root asked for goes on" in flat(page)
    assert "data-busy" in page.find("div", id="live")
    assert CLEANING in heard
    run = service.db.write_sync(notes.begin_run)
    service.db.write_sync(notes.end_run, run, [JobDone(job="caches", said="3 entries")])
    assert "which root asked for, ended" in flat(Page(root.get("admin/", headers=NAVIGATE)))
    assert "caches: 3 entries" in flat(Page(root.get("admin/", headers=NAVIGATE)))


def test_a_round_that_was_asked_for_while_another_went_on_follows(service: RunningService) -> None:
    run = service.db.write_sync(notes.begin_run)
    service.db.write_sync(notes.ask_to_clean, ADMIN)
    service.db.write_sync(notes.end_run, run, [])
    asked = service.db.read_sync(notes.find_run)
    assert asked is not None
    assert (asked.ended_on, asked.asked_by) == (None, ADMIN.name)


# The banner and the logo


def test_a_banner_is_on_all_pages_as_text_until_it_is_taken_back(service: RunningService, root: httpx.Client) -> None:
    message = f"{EVIL} see https://hub.example/why?a=1&b=2. Soon."
    answer = send(root, "admin/banner/", message=message, level="warning")
    assert answer.status_code == 200
    for path in ("", "create/", "user/", "docs/", "docs/api/", "environment/alice/none/"):
        with service.client("alice") as alice:
            page = Page(alice.get(path))
        assert page.has("div", **{"class": "alert alert-warning banner"}), path
        assert message in page.text
        assert "https://hub.example/why?a=1&b=2" in page.links
        assert not page.has("img", src="x")
    told = service.db.read_sync(audit.list_entries, ADMIN, action=AuditAction.BANNER_SET, size=9)
    assert [entry.actor for entry in told] == ["root"]
    assert Page(answer).has("button", name="action", value="configuration")
    send(root, "admin/banner/", action="configuration", message="x", level="info")
    assert "Soon." not in get(service, "").text


def test_a_banner_outlives_the_service_and_replaces_the_configurations(data: DataDirectory) -> None:
    with run_service(data) as first, first.browser("root") as root:
        send(root, "admin/banner/", message="Closed on Monday", level="info")
    with run_service(data) as second:
        object.__setattr__(second.services, "pages", Pages(banner="From the file", banner_level="warning"))
        assert "Closed on Monday" in get(second, "").text
        with second.browser("root") as root:
            send(root, "admin/banner/", message=" ", level="info")
            assert not get(second, "").has("div", **{"class": "alert alert-warning banner"})
            send(root, "admin/banner/", action="configuration", level="info")
        page = get(second, "")
    assert "From the file" in page.text
    assert page.has("div", **{"class": "alert alert-warning banner"})


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"message": "x" * 501, "level": "info"}, "at most 500 characters"),
        ({"message": "kept", "level": "pink"}, "Choose one of the looks."),
    ],
)
def test_a_banner_that_cannot_be_is_refused_and_kept_in_the_form(
    root: httpx.Client, typed: dict[str, str], words: str
) -> None:
    answer = send(root, "admin/banner/", **typed)
    assert answer.status_code == 400
    assert words in Page(answer).text
    assert typed["message"] in Page(answer).text


def test_what_was_typed_comes_back_when_the_session_has_ended(service: RunningService, root: httpx.Client) -> None:
    del service.hub.tokens["root-token"]
    answer = send(root, "admin/banner/", message="typed for long", level="warning")
    assert answer.status_code == 401
    page = Page(answer)
    assert "typed for long" in page.text
    assert page.find("input", id="level-warning").keys() >= {"checked"}
    assert "You were logged out" in page.text


def test_only_web_addresses_become_links() -> None:
    shown = show_links('javascript:alert(1) <a> https://a.example/"x (http://b.example).')
    assert re.findall(r'href="([^"]*)"', shown) == ["https://a.example/", "http://b.example"]
    assert "&lt;a&gt;" in shown


def test_a_site_has_a_logo_of_its_own(service: RunningService, tmp_path: Path) -> None:
    with service.client() as nobody:
        assert nobody.get("static/logo").status_code == 404
    file = tmp_path / "logo.svg"
    file.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    object.__setattr__(service.services, "pages", Pages(logo_file=str(file)))
    where = get(service, "").find("img", **{"class": "jpy-logo"})["src"] or ""
    assert where.startswith(f"{PREFIX}static/logo?v=")
    with service.client() as nobody:
        answer = nobody.get(where.removeprefix(PREFIX))
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.text == file.read_text()


def test_a_logo_is_made_bright_in_the_dark_only_where_it_is_the_hubs_own(service: RunningService) -> None:
    auth = service.services.auth
    auth.environment = auth.hub.environment = replace(auth.environment, host="")
    assert get(service, "").has("img", **{"class": "jpy-logo"}), "nothing is known of it yet"
    own = files.read(files.HUB_LOGO)
    for shown, looks in ((own, "jpy-logo hubs-logo"), (b"of the site", "jpy-logo"), (b"", "jpy-logo")):
        service.hub.logo = shown
        service.call(look_at_hub(service.services))
        assert get(service, "").find("img", **{"class": looks})["src"] == "/hub/logo"


def test_a_hub_that_does_not_show_its_logo_does_not_keep_pages_from_being_shown(service: RunningService) -> None:
    service.hub.status = 500
    service.call(look_at_hub(service.services))
    service.hub.status = 200
    assert not service.services.auth.hub.has_own_logo
    assert get(service, "").has("img", src=files.url(PREFIX, files.HUB_LOGO))


@pytest.mark.parametrize(("name", "words"), [("logo.html", "is none of"), ("gone.png", "there is no file")])
def test_a_logo_that_cannot_be_is_refused_at_start(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "logo.html").write_text("x")
    with pytest.raises(TraitError, match=words):
        Pages(logo_file=str(tmp_path / name))


def test_the_banner_of_the_configuration_has_an_end_and_a_look() -> None:
    with pytest.raises(TraitError, match="at most 500"):
        Pages(banner="x" * 501)
    with pytest.raises(TraitError):
        Pages(banner_level="pink")
    assert Pages(banner="x", banner_level="warning").configured_banner.level is BannerLevel.WARNING


# Charts


def test_bars_are_stacked_to_the_height_of_their_sum() -> None:
    bars = stack_bars([(2, 1, 1), (0, 0, 0), (1, 0, 0)])
    assert bars.most == 4
    assert [(one.kind, one.x, one.y, one.height) for one in bars.segments] == [
        (0, 0, 50.0, 50.0),
        (1, 0, 25.0, 25.0),
        (2, 0, 0.0, 25.0),
        (0, 20, 75.0, 25.0),
    ]
    assert stack_bars([(0, 0)]).segments == ()
