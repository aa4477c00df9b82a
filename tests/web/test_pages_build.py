"""The page of a build without JavaScript: its steps, its failure in words, its packages, what can be done with it."""

from __future__ import annotations

import httpx
import pytest

from conda_store_hub.core.errors import SolveError
from conda_store_hub.core.protocol import ArtifactType, Download, Phase, PhaseEvent, ProgressEvent
from conda_store_hub.services import logs
from tests.support import make
from tests.support.service import PREFIX, RunningService, service
from tests.web.test_pages import EVIL, NAVIGATE, Page, get

__all__ = ["service"]

TREE = """\
The following packages are incompatible
├─ numpy 1.* can be installed with any of the following options:
│  └─ numpy 1.26 would require
│     └─ python >=3.9,<3.13, which can be installed;
└─ python 3.13.* cannot be installed because there are no viable options
"""


def send(browser: httpx.Client, path: str, **form: str) -> httpx.Response:
    return browser.post(path, data={"_xsrf": browser.cookies["_xsrf"], **form}, headers=NAVIGATE)


def fail(service: RunningService, error: SolveError) -> int:
    """Return a build whose builder wrote its log as builders do, and failed."""
    build = service.submit()
    service.claim(build)
    lines = "".join(f"  {line}\n" for line in (error.detail or "").splitlines())
    service.log(build, f"Channels: main\nFailed: {error.public_message}\n{lines}")
    service.finish(build, error)
    return build


def test_the_solvers_words_stand_below_the_reason_as_a_tree(service: RunningService) -> None:
    build = fail(service, SolveError("“numpy 1.*” cannot be installed.", detail=TREE, line=5, column=3))
    with service.client("alice") as alice:
        answer = alice.get(f"build/{build}/")
    page = Page(answer)
    assert "“numpy 1.*” cannot be installed. (line 5, column 3)" in page.text
    assert TREE.strip() in page.text[: page.text.index("Channels: main")]
    assert page.has("button", **{"data-copy": "explanation"})


def test_without_words_of_the_solver_nothing_is_made_up(service: RunningService) -> None:
    build = fail(service, SolveError("Nothing fits."))
    assert not get(service, f"build/{build}/").has("pre", id="explanation")


@pytest.mark.parametrize(
    ("log", "found"),
    [
        ("Failed: no\n  a\n   b\n", "a\n b"),
        ("Failed: no\n  a\nsomething else\n  b\n", "a"),
        ("Failed: no\n  first\nFailed: no\n  second\n", "second"),
        ("it Failed: no\n  a\n", ""),
        ("Failed: not this\n  a\n", ""),
        ("Failed: no\n", ""),
        ("", ""),
    ],
)
def test_an_explanation_is_what_is_set_in_behind_the_failure(log: str, found: str) -> None:
    assert logs.find_explanation(log, "no") == found


def test_an_explanation_of_several_lines_is_found_too() -> None:
    assert logs.find_explanation("x\nFailed: one\ntwo\n  why\n", "one\ntwo") == "why"


def test_steps_are_done_under_way_or_to_come(service: RunningService) -> None:
    build = service.submit()
    service.claim(build)
    phases = (
        PhaseEvent(name=Phase.SOLVE, state="started"),
        PhaseEvent(name=Phase.SOLVE, state="finished", seconds=65),
        PhaseEvent(name=Phase.INSTALL, state="started"),
    )
    service.log(build, "x\n", phases=phases)
    page = get(service, f"build/{build}/")
    classes = [attrs["class"] for tag, attrs in page.tags if tag == "li" and "step " in (attrs.get("class") or "")]
    assert classes[:3] == ["step step-done", "step step-running", "step step-waiting"]
    assert "Pack the archive" in page.text
    service.finish(build, SolveError("no"))
    page = get(service, f"build/{build}/")
    classes = [attrs["class"] for tag, attrs in page.tags if tag == "li" and "step " in (attrs.get("class") or "")]
    assert classes == ["step step-done", "step step-ended"]


def test_downloads_have_bars_of_their_own(service: RunningService) -> None:
    build = service.submit()
    service.claim(build)
    coming = (Download(name="pytorch", done=10, total=500), Download(name="unknown", done=3, total=0))
    progress = ProgressEvent(phase=Phase.INSTALL, done=2, total=9, unit="packages", downloads=coming)
    service.log(build, "x\n", progress=progress)
    page = get(service, f"build/{build}/")
    assert page.has("progress", value="10", max="500")
    assert "value" not in page.find("progress", max=None)  # nobody knows how far
    assert "pytorch" in page.text


def test_many_packages_come_200_at_a_time_and_are_searched(service: RunningService) -> None:
    build = service.submit()
    service.claim(build)
    service.use(build, *(f"package-{number:03}=1.{number}" for number in range(250)), "numpy=2.1")
    page = get(service, f"build/{build}/")
    assert "251 packages." in page.text
    assert "package-199" not in page.text  # numpy is before them
    assert "package-198" in page.text
    where = f"{PREFIX}build/{build}/packages/"
    assert f"{where}?page=2" in page.links
    assert page.find("form", id="package-form")["action"] == where
    second = get(service, f"build/{build}/packages/?page=2")
    assert "package-249" in second.text
    found = get(service, f"build/{build}/packages/?search=age-24")
    assert "10 packages have “age-24” in the name." in found.text
    assert found.find("input", id="package-search")["value"] == "age-24"
    assert "0 packages have “%”" in get(service, f"build/{build}/packages/?search=%25").text


def test_a_search_is_not_run(service: RunningService) -> None:
    build = service.completed()
    with service.client("alice") as alice:
        answer = alice.get(f"build/{build}/packages/", params={"search": EVIL})
        assert alice.get(f"build/{build}/packages/", params={"search": "x" * 201}).status_code == 400
    assert answer.status_code == 200
    assert "<img src=x" not in answer.text
    assert "<script>alert" not in answer.text


def test_others_builds_and_packages_are_not_there(service: RunningService) -> None:
    build = service.completed()
    with service.browser("bob") as bob:
        for path in (f"build/{build}/", f"build/{build}/packages/", f"build/{build}/delete/"):
            assert bob.get(path, headers=NAVIGATE).status_code == 404
        for action in ("cancel", "pin", "unpin", "rebuild", "rebuild-exactly"):
            assert send(bob, f"build/{build}/", action=action).status_code == 404
        assert send(bob, f"build/{build}/delete/").status_code == 404


def test_a_build_is_given_tags_and_loses_them(service: RunningService) -> None:
    first, second = service.completed(), service.completed()
    with service.browser("alice") as alice:
        alice.get(f"build/{first}/", headers=NAVIGATE)
        tagged = Page(send(alice, f"build/{first}/", action="tag", tag="v1.0"))
        assert tagged.has("button", name="tag", value="v1.0")
        assert f"{PREFIX}build/{first}/delete/" not in tagged.links
        listed = Page(alice.get("environment/alice/ml/", headers=NAVIGATE))
        assert f"{PREFIX}build/{first}/delete/?from=environment" not in listed.links
        for typed, said in ((EVIL, "cannot be a tag"), ("latest", "cannot be given")):
            refused = send(alice, f"build/{first}/", action="tag", tag=typed)
            assert refused.status_code == 400
            assert said in Page(refused).text
        taken = send(alice, f"build/{second}/", action="tag", tag="v1.0")
        assert (taken.status_code, f"is a tag of build {first}" in Page(taken).text) == (409, True)
        moved = Page(send(alice, f"build/{second}/", action="tag", tag="v1.0", move="yes"))
        assert moved.has("button", name="tag", value="v1.0")
        assert not Page(send(alice, f"build/{second}/", action="untag", tag="v1.0")).has("button", value="v1.0")
    with service.browser("bob") as bob:
        assert send_anew(bob, f"build/{first}/").status_code == 404


def send_anew(browser: httpx.Client, path: str) -> httpx.Response:
    browser.get("", headers=NAVIGATE)
    return send(browser, path, action="tag", tag="mine")


def test_a_build_is_pinned_and_let_go(service: RunningService) -> None:
    build, _ = service.completed(), service.completed()
    with service.browser("alice") as alice:
        pinned = Page(send(alice, f"build/{build}/", action="pin"))
        assert "Unpin" in pinned.text
        assert f"{PREFIX}build/{build}/delete/" not in pinned.links
        assert send(alice, f"build/{build}/delete/").status_code == 409
        assert f"{PREFIX}build/{build}/delete/" in Page(send(alice, f"build/{build}/", action="unpin")).links


def test_a_build_is_made_once_more_anew_and_exactly(service: RunningService) -> None:
    build = service.completed()
    with service.browser("alice") as alice:
        page = Page(alice.get(f"build/{build}/", headers=NAVIGATE))
        assert not page.has("input", value="rebuild-exactly"), "it has no lock"
        assert send(alice, f"build/{build}/", action="rebuild-exactly").status_code == 409
        anew = send(alice, f"build/{build}/", action="rebuild")
        assert anew.url.path == f"{PREFIX}build/{build + 1}/"
        service.store(build, ArtifactType.RECORDS, b"[]")
        assert Page(alice.get(f"build/{build}/", headers=NAVIGATE)).has("input", value="rebuild-exactly")
        exact = Page(send(alice, f"build/{build}/", action="rebuild-exactly"))
        assert f"the lock of build {build}, exactly" in exact.text


def test_what_cannot_be_done_is_refused_in_words(service: RunningService) -> None:
    build = service.completed()
    with service.browser("alice") as alice:
        answer = send(alice, f"build/{build}/", action=EVIL)
        assert answer.status_code == 400
        assert "is nothing that can be done with a build" in answer.text
        assert "<img src=x" not in answer.text
        assert send(alice, f"build/{build}/delete/").status_code == 409, "it is active"
        assert alice.get(f"build/{build}/delete/", headers=NAVIGATE).status_code == 409


def test_before_a_build_goes_its_page_says_what_goes_and_what_stays(service: RunningService) -> None:
    build, _ = service.completed(), service.completed()
    with service.browser("alice") as alice:
        asked = Page(alice.get(f"build/{build}/delete/", headers=NAVIGATE))
        assert f"Delete build {build} of alice/ml?" in asked.text
        assert "1.0 kB on the disk become free." in asked.text
        assert "These files go, as far as they are there: " in asked.text
        assert "pixi.lock, SBOM, archive, image." in asked.text
        assert "These stay: log, lockfile, pinned YAML." in asked.text
        assert asked.find("form", action=f"{PREFIX}build/{build}/delete/")["method"] == "post"
        gone = Page(send(alice, f"build/{build}/delete/"))
        assert "deleted" in gone.text
        assert not gone.has("input", value="pin")
        assert alice.get(f"build/{build}/delete/", headers=NAVIGATE).status_code == 409


def test_a_page_offers_the_sbom_and_says_what_it_is_for(service: RunningService) -> None:
    build = service.completed()
    service.finish(build)
    with service.browser("alice") as alice:
        page = Page(alice.get(f"build/{build}/", headers=NAVIGATE))
        assert "What is in it, for security scanners" in page.text
        assert page.has("a", href=f"{PREFIX}docs/artifacts/#sbom")
        Page(send(alice, f"build/{build}/", action="make", artifact_type="SBOM"))
        service.claim(build)
        service.store(build, ArtifactType.SBOM, b"{}")
        service.finish(build)
        page = Page(alice.get(f"build/{build}/", headers=NAVIGATE))
        assert page.has("a", href=f"{PREFIX}api/v1/build/{build}/sbom.cdx.json")


def test_of_a_long_specification_pages_show_the_beginning_and_lead_to_all_of_it(service: RunningService) -> None:
    """One of several MB was rendered whole at each look of each page that was open."""
    lines = "".join(f"# line {number} of <b>many</b>\n" for number in range(8_000))
    build = service.submit(yaml=f"{make.text('ml')}{lines}")
    service.claim(build)
    service.use(build)
    short = service.completed("short")
    with service.browser("alice") as alice:
        for path in (f"build/{build}/", "environment/alice/ml/"):
            answer = alice.get(path, headers=NAVIGATE)
            page = Page(answer)
            assert "# line 10 of <b>many</b>\n" in page.text
            assert "# line 7999 " not in page.text
            assert len(answer.content) < 250_000
            assert f"{PREFIX}build/{build}/specification/" in page.links
        whole = alice.get(f"build/{build}/specification/")
        assert whole.text.endswith("# line 7999 of <b>many</b>\n")
        assert whole.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert whole.headers["Content-Security-Policy"].startswith("default-src 'none'")
        links = Page(alice.get(f"build/{short}/", headers=NAVIGATE)).links
        assert f"{PREFIX}build/{short}/specification/" not in links
    with service.browser("bob") as bob:
        assert bob.get(f"build/{build}/specification/").status_code == 404


def test_a_build_in_use_is_deleted_only_when_one_says_so_again(service: RunningService) -> None:
    build, _ = service.completed(), service.completed()
    with service.client("alice") as kernel:
        lease = {"holder": "kernel-1", "seconds": 600}
        assert kernel.put(f"api/v1/build/{build}/lease/", json=lease).status_code == 200
    with service.browser("alice") as alice:
        refused = send(alice, f"build/{build}/delete/")
        assert refused.status_code == 409
        page = Page(refused)
        assert "It is in use by 1 kernel or program, which will break." in page.text
        assert page.find("input", name="force")["value"] == "yes"
        assert send(alice, f"build/{build}/delete/", force="yes").url.path == f"{PREFIX}build/{build}/"


def test_forms_of_a_build_without_the_pages_token_change_nothing(service: RunningService) -> None:
    build, _ = service.completed(), service.completed()
    with service.browser("alice") as alice:
        for path, form in (
            (f"build/{build}/", {"action": "pin"}),
            (f"build/{build}/", {"action": "rebuild"}),
            (f"build/{build}/delete/", {}),
        ):
            for token in ("", "wrong"):
                sent = {"_xsrf": token, **form}
                answer = alice.post(path, data=sent, headers=NAVIGATE, follow_redirects=False)
                assert answer.status_code == (401 if form else 303), "who only confirms is asked again"
        rows = alice.get("api/v1/build/", headers=NAVIGATE).json()["data"]
    assert [(row["pinned"], row["deleted_on"]) for row in rows] == [(False, None), (False, None)]


def test_a_viewer_is_offered_nothing_that_changes(service: RunningService) -> None:
    build, _ = service.completed(), service.completed()
    with service.client("alice") as alice:
        role = {"subject": "user", "name": "bob", "role": "viewer"}
        assert alice.put("api/v1/environment/alice/ml/member/", json=role).status_code == 200
    page = get(service, f"build/{build}/", "bob")
    assert {attrs["value"] for tag, attrs in page.tags if attrs.get("name") == "action"} == {"make"}
    assert f"{PREFIX}build/{build}/delete/" not in page.links
