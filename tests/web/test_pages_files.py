"""Files that are not there, on pages without JavaScript: no link leads to them, a form has them made; and what a page
that is asked for again costs."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from conda_store_hub.core.artifacts import artifact_address
from conda_store_hub.core.errors import SolveError
from conda_store_hub.core.protocol import ArtifactState, ArtifactType
from conda_store_hub.db.tables import Artifact
from tests.support.service import PREFIX, RunningService, service
from tests.web.test_pages import NAVIGATE, Page

__all__ = ["service"]

ML = "environment/alice/ml/"
ARCHIVE = ArtifactType.CONDA_PACK


@pytest.fixture
def bare(service: RunningService) -> int:
    """A build that is over, and whose archive nobody asked for yet."""
    build = service.completed()
    for kind in (ArtifactType.YAML, ArtifactType.LOCKFILE):
        service.store(build, kind, b"x")
    service.finish(build)
    forget(service, build)
    return build


def forget(service: RunningService, build: int) -> None:
    """Have it be as if the site made archives only for who asks."""

    def drop(session: Session) -> None:
        session.execute(delete(Artifact).where(Artifact.build_id == build, Artifact.artifact_type == ARCHIVE))

    service.db.write_sync(drop)


def find_states(service: RunningService, build: int) -> dict[str, str]:
    with service.client("alice") as alice:
        data = alice.get(f"api/v1/build/{build}/").json()["data"]
    return {row["artifact_type"]: row["state"] for row in (*data["build_artifacts"], *data["unfinished_artifacts"])}


def share(service: RunningService, user: str) -> None:
    with service.client("alice") as alice:
        grant = {"subject": "user", "name": user, "role": "viewer"}
        assert alice.put(f"api/v1/{ML}member/", json=grant).status_code == 200


def make_it(browser: httpx.Client, path: str, build: int, kind: str = ARCHIVE) -> Page:
    """Press the button of the archive on a page, as a browser without JavaScript does."""
    before = Page(browser.get(path, headers=NAVIGATE))
    assert f"{PREFIX}{artifact_address(build, ARCHIVE)}" not in before.links
    assert before.find("input", name="artifact_type", value=kind)
    form = {"_xsrf": before.find("input", name="_xsrf")["value"], "action": "make", "artifact_type": kind}
    target = next(attrs["action"] for tag, attrs in before.tags if tag == "form" and attrs.get("method") == "post")
    assert target is not None
    answer = browser.post(target.removeprefix(PREFIX), data=form | {"build_id": str(build)}, headers=NAVIGATE)
    assert answer.status_code == 200, answer.text
    return Page(answer)


@pytest.mark.parametrize("path", ["build/1/", ML])
def test_a_file_that_is_not_there_is_made_by_a_form_and_then_linked(
    service: RunningService, bare: int, path: str
) -> None:
    share(service, "bob")
    with service.browser("bob") as bob:
        shown = make_it(bob, path, bare)
        assert "It is being made." in shown.text
        assert any("data-busy" in attrs for _, attrs in shown.tags), "a script looks again soon"
        service.claim(bare)
        service.store(bare, ARCHIVE, b"x" * 4000)
        service.finish(bare)
        after = Page(bob.get(path, headers=NAVIGATE))
    assert f"{PREFIX}{artifact_address(bare, ARCHIVE)}" in after.links
    assert not any("data-busy" in attrs for _, attrs in after.tags)


def test_home_has_files_made_too_and_says_how_far_they_are(service: RunningService, bare: int) -> None:
    with service.browser("alice") as alice:
        assert "It is being made." in make_it(alice, "", bare).text
        home = Page(alice.get("", headers=NAVIGATE))
        assert "Archive: being made" in home.text
        assert "data-busy" in home.find("div", id="environments")
        service.claim(bare)
        service.finish(bare, SolveError("There is no room."))
        home = Page(alice.get("", headers=NAVIGATE))
    assert "Archive: could not be made" in home.text
    assert f"{PREFIX}build/{bare}/#artifacts" in home.links
    assert "data-busy" not in home.find("div", id="environments")


def test_who_may_only_read_tries_nothing_again_that_failed(service: RunningService, bare: int) -> None:
    share(service, "bob")
    with service.browser("bob") as bob:
        make_it(bob, f"build/{bare}/", bare)
        service.claim(bare)
        service.finish(bare, SolveError("There is no room."))
        form = {"_xsrf": bob.cookies["_xsrf"], "artifact_type": ARCHIVE, "build_id": str(bare)}
        for path in (f"build/{bare}/", ML):
            bob.post(path, data=form | {"action": "make"}, headers=NAVIGATE)
        assert bob.post(f"build/{bare}/", data=form | {"action": "again"}, headers=NAVIGATE).status_code == 403
    assert find_states(service, bare)[ARCHIVE] == ArtifactState.FAILED


def test_others_and_forged_forms_have_nothing_made(service: RunningService, bare: int) -> None:
    with service.browser("bob") as bob, service.browser("alice") as alice:
        form = {"action": "make", "artifact_type": ARCHIVE, "build_id": str(bare)}
        for path in (f"build/{bare}/", ML):
            sent = form | {"_xsrf": bob.cookies["_xsrf"]}
            assert bob.post(path, data=sent, headers=NAVIGATE).status_code == 404
            assert alice.post(path, data=form | {"_xsrf": "wrong"}, headers=NAVIGATE).status_code == 401
        sent = form | {"_xsrf": alice.cookies["_xsrf"], "artifact_type": "<b>"}
        for path in (f"build/{bare}/", ML):
            refused = alice.post(path, data=sent, headers=NAVIGATE)
            assert refused.status_code == 400
            assert "<b>" not in refused.text
    assert ARCHIVE not in find_states(service, bare)


@pytest.mark.parametrize("path", ["", ML, "build/1/"])
def test_a_page_that_is_asked_for_again_is_sent_only_if_it_shows_something_else(
    service: RunningService, bare: int, path: str
) -> None:
    with service.browser("alice") as alice:
        first = alice.get(path, headers=NAVIGATE)
        known = {"If-None-Match": first.headers["ETag"]}
        again = alice.get(path, headers=known)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        form = {"_xsrf": alice.cookies["_xsrf"], "action": "make", "artifact_type": ARCHIVE}
        alice.post(f"build/{bare}/", data=form, headers=NAVIGATE)
        assert alice.get(path, headers=known).status_code == 200, "the archive is being made"
