"""The home page and an environment's pages without JavaScript: found, changed, cloned, deleted and brought back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from conda_store_hub.core import schemas
from conda_store_hub.core.artifacts import artifact_address
from conda_store_hub.core.errors import SolveError
from conda_store_hub.core.protocol import ArtifactType, BuildStatus
from conda_store_hub.services import leases
from conda_store_hub.web.pages import history
from tests.support.service import IDENTITIES, PREFIX, RunningService, service
from tests.web.test_pages import EVIL, NAVIGATE, Page, get

__all__ = ["service"]

ML = "environment/alice/ml/"


def send(service: RunningService, path: str, user: str = "alice", **form: str) -> httpx.Response:
    """Fill in a form as a browser that is logged in, and send it."""
    with service.browser(user) as browser:
        return browser.post(path, data={"_xsrf": browser.cookies["_xsrf"], **form}, headers=NAVIGATE)


def shown(page: Page) -> list[str]:
    """Return the environments that the home page lists."""
    begin = f"{PREFIX}environment/"
    return [link.removeprefix(begin).rstrip("/") for link in page.links if link.startswith(begin)]


def use(service: RunningService, build: int) -> None:
    request = schemas.TakeLease(holder="notebook")
    service.db.write_sync(leases.take, IDENTITIES["alice"], build, request)


# Home


def test_home_is_filtered_by_namespace_status_name_and_both_names(service: RunningService) -> None:
    service.completed("climate")
    service.completed("ocean", namespace="group.physics")
    service.submit("climate", namespace="group.physics")
    every = ["alice/climate", "group.physics/climate", "group.physics/ocean"]
    assert shown(get(service, "")) == every
    assert shown(get(service, "?namespace=group.physics")) == every[1:]
    assert shown(get(service, "?status=queued")) == ["group.physics/climate"]
    assert shown(get(service, "?status=COMPLETED&namespace=group.physics&search=OC")) == ["group.physics/ocean"]
    assert shown(get(service, "?search=physics/cl")) == ["group.physics/climate"]
    assert shown(get(service, "?search=e/c")) == ["alice/climate"]
    page = get(service, "?search=e/c&status=COMPLETED")
    assert page.find("input", name="search")["value"] == "e/c"
    assert "selected" in page.find("option", value="COMPLETED")
    assert all("group.physics (group physics)" in get(service, path).text for path in ("", "create/"))
    assert "1 environment found" in page.text


def test_home_finds_environments_by_the_packages_they_have(service: RunningService) -> None:
    for name, packages in {"old": ("numpy=1.26", "pandas=2.0"), "new": ("numpy=2.1",)}.items():
        build = service.submit(name)
        service.claim(build)
        service.use(build, *packages)
    page = get(service, "?search=package:numpy")
    assert shown(page) == ["alice/new", "alice/old"]
    assert "has numpy 2.1" in page.text
    assert shown(get(service, "?search=package:numpy>=2")) == ["alice/new"]
    assert shown(get(service, "?search=ol package:numpy package:pandas")) == ["alice/old"]
    assert shown(get(service, "?search=package:")) == ["alice/new", "alice/old"]


def test_half_of_a_package_is_told_in_words_and_is_no_error(service: RunningService) -> None:
    service.completed()
    for typed in ("package:numpy>=", "package:[", " ".join(f"package:p{number}" for number in range(11))):
        page = get(service, f"?{httpx.QueryParams({'search': typed})}")
        assert shown(page) == []
    assert page.text.count("At most 10 packages") == 1
    assert get(service, "?search=package:numpy>=").text.count("Write a name, with versions or without") == 1


def test_the_next_page_of_what_is_found_is_of_the_same(service: RunningService) -> None:
    for number in range(4):
        service.submit(f"e{number}")
    page = get(service, "?search=e&status=queued&size=3")
    assert f"{PREFIX}?page=2&search=e&status=QUEUED" in page.links


def test_home_offers_what_can_be_taken_and_opened_of_what_is_active(service: RunningService) -> None:
    build = service.completed()
    service.submit("waiting")
    page = get(service, "")
    lab = service.services.auth.environment.hub_page("user-redirect/lab")
    assert [link for link in page.links if link.startswith(lab)] == [f"{lab}?csh-open=alice/ml"]
    assert "nothing active yet" in page.text
    kinds = (ArtifactType.LOCKFILE, ArtifactType.YAML, ArtifactType.CONDA_PACK)
    files = [f"{PREFIX}{artifact_address(build, kind)}" for kind in kinds]
    assert not set(files) & set(page.links), "they are being made"
    for kind in kinds:
        service.store(build, kind, b"x")
    assert set(files) <= set(get(service, "").links)


def test_home_takes_no_status_that_is_none(service: RunningService) -> None:
    with service.client("alice") as alice:
        answer = alice.get("?status=EVIL")
    assert answer.status_code == 400
    assert "status" in Page(answer).text


# One environment


def test_an_environment_shows_what_it_is_and_what_can_be_done(service: RunningService) -> None:
    build = service.completed()
    page = get(service, ML)
    assert "On disk" in page.text
    for path in ("clone/", "rename/", "description/", "share/", "policy/", "delete/", f"changes/?build={build}"):
        assert f"{PREFIX}{ML}{path}" in page.links, path
    assert f"{PREFIX}create/?environment=alice/ml" in page.links
    assert not page.has("svg", role="img")


def test_an_environment_offers_a_viewer_nothing_but_to_look_and_to_clone(service: RunningService) -> None:
    for _ in range(2):
        service.completed()
    with service.client("alice") as alice:
        grant = {"subject": "user", "name": "bob", "role": "viewer"}
        assert alice.put("api/v1/environment/alice/ml/member/", json=grant).status_code == 200
    page = get(service, ML, "bob")
    assert {attrs["value"] for tag, attrs in page.tags if tag == "input" and attrs["name"] == "action"} == {"make"}
    own = {link.removeprefix(f"{PREFIX}{ML}") for link in page.links if link.startswith(f"{PREFIX}{ML}")}
    assert not [link for link in page.links if "delete" in link]
    assert own == {"clone/", "changes/?build=1", "changes/?build=2"}
    for path in ("rename/", "description/", "delete/"):
        with service.client("bob") as bob:
            assert bob.get(f"{ML}{path}").status_code == 403, path
    for path, form in {"rename/": {"name": "x"}, "description/": {"description": "x"}, "delete/": {}}.items():
        assert send(service, f"{ML}{path}", "bob", **form).status_code == 403, path
    for action in ("activate", "pin", "rebuild", "rebuild-exactly"):
        assert send(service, ML, "bob", build_id="1", action=action).status_code == 403, action


def test_builds_are_activated_pinned_and_built_again_from_the_list(service: RunningService) -> None:
    first, second = service.completed(), service.completed()
    assert f"Active: build {first}" in Page(send(service, ML, build_id=str(first), action="activate")).text
    assert "pinned" in Page(send(service, ML, build_id=str(second), action="pin")).text
    assert "pinned" not in Page(send(service, ML, build_id=str(second), action="unpin")).text
    answer = send(service, ML, build_id=str(first), action="rebuild")
    assert answer.url.path == f"{PREFIX}build/{second + 1}/"
    refused = send(service, ML, build_id=str(first), action="rebuild-exactly")
    assert refused.status_code == 409
    assert "has no lock" in Page(refused).text
    strange = send(service, ML, build_id=str(first), action=EVIL)
    assert strange.status_code == 400


def test_an_environment_tells_how_its_newest_build_stands_beside_the_active_one(service: RunningService) -> None:
    service.completed()
    newest = service.submit()
    assert f"Build {newest} waits for room to build." in get(service, ML).text
    service.claim(newest)
    assert f"Build {newest} is being built." in get(service, ML).text
    service.finish(newest, SolveError("Nothing provides nosuch."))
    page = get(service, ML)
    assert f"Build {newest} failed. See why" in page.text
    assert "Active: build 1" in page.text


def test_an_environment_gets_another_name(service: RunningService) -> None:
    service.completed()
    service.submit("taken")
    assert get(service, f"{ML}rename/").find("input", name="name")["value"] == "ml"
    for name, status in {"taken": 409, "a b": 400, EVIL: 400, "": 400}.items():
        answer = send(service, f"{ML}rename/", name=name)
        assert answer.status_code == status, name
        assert Page(answer).find("input", name="name")["value"] == name
        assert Page(answer).has("div", role="alert")
    answer = send(service, f"{ML}rename/", name=" better ")
    assert answer.url.path == f"{PREFIX}environment/alice/better/"
    assert "better" in Page(answer).text


def test_the_address_that_an_environment_had_leads_to_it_until_another_has_its_name(service: RunningService) -> None:
    service.completed()
    send(service, f"{ML}rename/", name="better")
    with service.browser("alice") as alice, service.browser("carol") as carol:
        assert alice.get(ML, headers=NAVIGATE).url.path == f"{PREFIX}environment/alice/better/"
        assert carol.get(ML, headers=NAVIGATE).status_code == 404, "nobody is told the name of what they may not see"
        script = {"Sec-Fetch-Mode": "cors", "X-XSRFToken": alice.cookies["_xsrf"]}
        told = alice.get(ML, headers=script, follow_redirects=False)  # of a redirect it would see nothing
        assert (told.status_code, told.headers["X-Moved-To"]) == (404, f"{PREFIX}environment/alice/better/")
        service.submit("ml")
        assert alice.get(ML, headers=NAVIGATE).url.path == f"{PREFIX}{ML}"


def test_a_description_is_changed(service: RunningService) -> None:
    service.completed()
    answer = send(service, f"{ML}description/", description=f"For the lecture\r\n{EVIL}")
    assert answer.url.path == f"{PREFIX}{ML}"
    assert f"For the lecture\n{EVIL}" in Page(answer).text
    assert "<script>alert" not in answer.text
    assert EVIL in get(service, f"{ML}description/").text
    long = send(service, f"{ML}description/", description="x" * 4001)
    assert long.status_code == 400
    assert "at most 4000 characters" in Page(long).text


def test_an_environment_is_cloned_to_where_one_may_build(service: RunningService) -> None:
    service.completed("ocean", namespace="group.physics")
    page = get(service, "environment/group.physics/ocean/clone/")
    assert [attrs["value"] for tag, attrs in page.tags if tag == "option"] == ["alice", "group.physics"]
    assert page.find("input", name="name")["value"] == "ocean"
    refused = send(service, "environment/group.physics/ocean/clone/", namespace="alice", name="mine")
    assert refused.status_code == 409  # it was made without a lock
    assert Page(refused).find("input", name="name")["value"] == "mine"
    strange = send(service, "environment/group.physics/ocean/clone/", namespace=EVIL, name=EVIL)
    assert strange.status_code == 404
    assert "<script>alert" not in strange.text
    service.completed()
    assert get(service, f"{ML}clone/").find("input", name="name")["value"] == "ml-copy"


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("rename/", {"name": "precious"}),
        ("clone/", {"namespace": "alice", "name": "precious"}),
        ("description/", {"description": "precious"}),
    ],
)
def test_what_was_typed_survives_the_end_of_a_session(service: RunningService, path: str, form: dict[str, str]) -> None:
    service.completed()
    with service.client() as nobody:
        answer = nobody.post(f"{ML}{path}", data={"_xsrf": "old", **form}, headers=NAVIGATE)
    assert answer.status_code == 401
    assert "precious" in answer.text
    assert "Nothing is lost" in Page(answer).text


@pytest.mark.parametrize(
    "path", [f"{ML}delete/", f"{ML}restore/", f"{ML}policy/", "build/1/delete/", "namespace/alice/policy/"]
)
def test_the_hub_is_asked_anew_before_more_is_done_than_developers_may(service: RunningService, path: str) -> None:
    for _ in range(2):
        service.completed()
    with service.browser("alice") as alice:
        alice.follow_redirects = False
        alice.get(ML, headers=NAVIGATE)
        service.hub.asked.clear()
        alice.get(ML, headers=NAVIGATE)
        assert service.hub.asked == []
        alice.post(path, data={"_xsrf": alice.cookies["_xsrf"]}, headers=NAVIGATE)
        assert service.hub.asked == ["/hub/api/user"]


def test_no_form_does_anything_without_the_pages_token(service: RunningService) -> None:
    first, _ = service.completed(), service.completed()
    forms = {
        "": {"build_id": str(first), "action": "pin"},
        "rename/": {"name": "other"},
        "description/": {"description": "other"},
        "clone/": {"namespace": "alice", "name": "other"},
        "delete/": {},
        "restore/": {},
    }
    with service.browser("alice") as alice:
        for path, form in forms.items():
            for token in ("", "wrong"):
                sent = {"_xsrf": token, **form}
                answer = alice.post(f"{ML}{path}", data=sent, headers=NAVIGATE, follow_redirects=False)
                assert answer.status_code == (303 if path == "delete/" else 401), path
        rows = alice.get("api/v1/environment/", headers=NAVIGATE).json()["data"]
        build = alice.get(f"api/v1/build/{first}/", headers=NAVIGATE).json()["data"]
    assert [(row["name"], row["description"]) for row in rows] == [("ml", "")]
    assert not build["pinned"]


# Deleting and bringing back


def test_an_environment_is_deleted_after_it_was_said_what_goes_and_brought_back(service: RunningService) -> None:
    for _ in range(2):
        service.completed()
    page = get(service, f"{ML}delete/")
    assert "Delete alice/ml?" in page.text
    assert "2 builds with" in page.text
    assert "it can be brought back" in page.text
    assert not page.has("input", name="force")
    gone = send(service, f"{ML}delete/")
    assert gone.url.path == f"{PREFIX}{ML}"
    assert "It was deleted" in Page(gone).text
    assert Page(gone).has("form", action=f"{PREFIX}{ML}restore/")
    assert shown(get(service, "")) == []
    back = send(service, f"{ML}restore/")
    assert back.url.path == f"{PREFIX}{ML}"
    assert "Active: build 2" in Page(back).text


def test_what_is_in_use_is_deleted_only_by_who_was_told(service: RunningService) -> None:
    build = service.completed()
    use(service, build)
    service.submit()
    answer = send(service, f"{ML}delete/")
    page = Page(answer)
    assert answer.status_code == 409
    assert "1 build queued or running will be cancelled" in page.text
    assert "in use by 1 kernel or program" in page.text
    assert page.has("div", role="alert")
    assert page.find("input", name="force")["value"] == "yes"
    assert "It was deleted" in Page(send(service, f"{ML}delete/", force="yes")).text


def test_where_the_name_is_taken_another_one_is_asked_for(service: RunningService) -> None:
    service.completed()
    send(service, f"{ML}delete/")
    service.completed()
    page = get(service, f"{ML}restore/")
    assert "needs another" in page.text
    refused = send(service, f"{ML}restore/", name=EVIL)
    assert refused.status_code == 400
    assert Page(refused).find("input", name="name")["value"] == EVIL
    assert "<script>alert" not in refused.text
    assert send(service, f"{ML}restore/", name="ml-2").url.path == f"{PREFIX}environment/alice/ml-2/"


def test_of_what_was_deleted_others_are_told_nothing(service: RunningService) -> None:
    service.completed("ocean", namespace="group.physics")
    where = "environment/group.physics/ocean/"
    send(service, f"{where}delete/", "root")
    for name, status in {"root": 200, "alice": 404, "bob": 404}.items():
        with service.client(name) as client:
            assert client.get(where).status_code == status, name
    with service.client("bob") as bob:
        assert "deleted" not in Page(bob.get(where)).text
    late = datetime.now(UTC) - timedelta(days=8)
    update = text("UPDATE environment SET deleted_at = :at")
    service.db.write_sync(lambda session: session.execute(update, {"at": late}))
    with service.client("root") as root:
        assert root.get(where).status_code == 404


def test_a_build_is_deleted_and_stays_listed(service: RunningService) -> None:
    first, second = service.completed(), service.completed()
    asked = f"build/{first}/delete/?from=environment"
    assert f"{PREFIX}{asked}" in get(service, ML).links
    page = get(service, asked)
    assert f"Delete build {first} of alice/ml?" in page.text
    assert "lockfile" in page.text
    answer = send(service, f"build/{first}/delete/", **{"from": "environment"})
    assert answer.url.path == f"{PREFIX}{ML}"
    gone = Page(answer)
    assert "deleted" in gone.text
    assert [tag for tag, attrs in gone.tags if "entry-deleted" in str(attrs)] == ["li"]
    assert f"{PREFIX}{asked}" not in gone.links
    for number in (first, second):
        with service.client("alice") as alice:
            assert alice.get(f"build/{number}/delete/").status_code == 409
        assert send(service, f"build/{number}/delete/").status_code == 409


# What changed


def test_what_changed_is_told_against_the_build_before_or_another(service: RunningService) -> None:
    for packages in (("numpy=1.26", "six=1.0"), ("numpy=2.1", "six=1.0"), ("numpy=2.1", "pandas=2.0")):
        build = service.submit()
        service.claim(build)
        service.use(build, *packages)
    page = get(service, f"{ML}changes/?build=2")
    assert "1.26" in page.text
    assert "2.1" in page.text
    assert [attrs["value"] for tag, attrs in page.tags if tag == "option"] == ["3", "1"]
    assert "selected" in page.find("option", value="1")
    last = get(service, f"{ML}changes/?build=3&other=1")
    assert all(word in last.text for word in ("Changed", "Added", "Removed", "pandas", "six", "numpy"))
    assert "first completed build" in get(service, f"{ML}changes/?build=1").text


def test_what_cannot_be_compared_is_said(service: RunningService) -> None:
    service.completed("other")
    queued = service.submit()
    for query, status in {"": 400, "?build=1": 404, f"?build={queued}": 409, "?build=99": 404, "?build=x": 400}.items():
        with service.client("alice") as alice:
            assert alice.get(f"{ML}changes/{query}").status_code == status, query


# The history


def test_the_history_is_drawn_and_told(service: RunningService) -> None:
    builds = [service.completed() for _ in range(3)]
    service.db.write_sync(lambda session: session.execute(text("UPDATE build SET size = 1000000 * id")))
    page = get(service, ML)
    pictures = [attrs["aria-label"] or "" for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    assert len(pictures) == 2
    assert pictures[0].startswith(f"On disk, builds {builds[0]} to {builds[-1]}: from ")
    assert "The same as a table" in page.text


def measured(*values: tuple[float, int], active: int = 1) -> tuple[history.Measured, ...]:
    """Return builds that took so many seconds and have so many bytes."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        schemas.BuildSummary(
            id=number,
            environment_id=1,
            specification_id=1,
            status=BuildStatus.COMPLETED,
            size=size,
            shared_size=size,
            scheduled_on=began,
            started_on=began,
            ended_on=began + timedelta(seconds=seconds),
            build_key="",
            namespace="alice",
            environment="ml",
            active=number == active,
        )
        for number, (seconds, size) in enumerate(values, 1)
    ]
    return history.measure(rows[::-1])


def test_bars_stand_from_the_oldest_to_the_newest_in_proportion() -> None:
    size, time = history.draw(measured((10, 1000), (5, 2000)))
    assert [bar.build_id for bar in size.bars] == [1, 2]
    assert size.bars[1].height == pytest.approx(2 * size.bars[0].height)
    assert size.bars[0].lower == pytest.approx(size.bars[0].height / 2)
    assert size.bars[1].y + size.bars[1].height == pytest.approx(size.base)
    assert time.bars[0].height == pytest.approx(2 * time.bars[1].height)
    assert (size.bars[0].active, size.bars[1].active) == (True, False)
    assert all(bar.x + bar.width <= 100 for bar in size.bars)


def test_of_one_build_or_of_empty_ones_nothing_false_is_drawn() -> None:
    assert history.draw(measured((1, 1))) == ()
    assert history.draw(()) == ()
    (time,) = history.draw(measured((0, 0), (0, 0)))
    assert [bar.height for bar in time.bars] == [0, 0]
