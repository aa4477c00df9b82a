"""Namespaces, members, sharing and policies on their pages, without JavaScript."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.support.fake_hub import user
from tests.support.service import PREFIX, RunningService, service
from tests.web.test_pages import EVIL, NAVIGATE, Page, get
from tests.web.test_pages_build import send

__all__ = ["service"]

TODAY = datetime.now(UTC).date()


def read(browser: httpx.Client, path: str) -> Page:
    answer = browser.get(path, headers=NAVIGATE)
    assert answer.status_code == 200, answer.text
    return Page(answer)


def meet(service: RunningService, *names: str) -> None:
    """Have people come by once, so that they are known."""
    for name in names:
        get(service, "", name)


def members(service: RunningService, path: str, name: str = "alice") -> list[tuple[str, str | None, str]]:
    with service.client(name) as client:
        rows = client.get(f"api/v1/{path}/member/").json()["data"]
    return [(row["subject"], row["name"], row["role"]) for row in rows]


# The list


def test_the_list_tells_whose_each_is_and_what_it_holds(service: RunningService) -> None:
    service.completed("one")
    service.completed("two")
    page = get(service, "namespace/")
    flat = " ".join(page.text.split())
    assert "alice of alice · you: admin 2 environments 2 builds 2.0 kB" in flat
    assert "group.physics of the group physics · you: developer 0 environments" in flat
    assert f"{PREFIX}namespace/alice/" in page.links
    assert page.find("a", **{"aria-current": "page"})["href"] == f"{PREFIX}namespace/"
    assert "alice" not in Page(httpx.Response(200, text=_main(service, "bob"))).text


@pytest.mark.parametrize("path", ["namespace/", "admin/namespaces/"])
def test_namespaces_are_searched_by_their_names_and_whose_they_are(service: RunningService, path: str) -> None:
    service.hub.tokens["zoe-token"] = user("Zoe%Long@example.org")
    with service.client("root") as root:
        for name in (*(f"course-{number}" for number in range(12)), "seminar"):
            root.post(f"api/v1/namespace/{name}/").raise_for_status()
    with service.client("zoe") as zoe:
        zoe.get("api/v1/permission/")

    def find(search: str, name: str = "root") -> set[str]:
        page = get(service, f"{path}?search={search}", name)
        assert page.has("input", name="search")
        names = {link.removeprefix(f"{PREFIX}namespace/").rstrip("/") for link in page.links if "/namespace/" in link}
        return {name for name in names if name and "?" not in name and "admin" not in name}

    assert find("SEMI") == {"seminar"}
    assert len(find("course-")) == 12
    assert len(find("oe%25l")) == 1, "what stands in it is no pattern"
    assert find("e%25e") == find("nothing") == set()
    pages = get(service, f"{path}?search=course-&size=5", "root").links
    assert any(link.endswith("?page=2&search=course-") for link in pages)


def _main(service: RunningService, name: str) -> str:
    with service.client(name) as client:
        text = client.get("namespace/").text
    return text[text.index("<main") :]


def test_administrators_make_a_namespace(service: RunningService) -> None:
    with service.browser("root") as root:
        answer = send(root, "namespace/", name="course")
        assert answer.url.path == f"{PREFIX}namespace/course/"
        assert "shared with everybody who is logged in" in Page(answer).text
        again = send(root, "namespace/", name="course")
        page = Page(again)
        assert again.status_code == 409
        assert "There is a namespace “course” already" in page.text
        assert page.find("input", name="name")["value"] == "course"
        wrong = send(root, "namespace/", name=EVIL[:60])
        assert wrong.status_code == 400
        assert Page(wrong).find("input", name="name")["value"] == EVIL[:60]
        assert "<img src=x" not in wrong.text


def test_others_are_not_offered_to_make_one_and_may_not(service: RunningService) -> None:
    with service.browser("alice") as alice:
        assert "New namespace" not in read(alice, "namespace/").text
        assert send(alice, "namespace/", name="course").status_code == 403


def test_many_namespaces_come_in_pages(service: RunningService) -> None:
    with service.client("root") as root:
        for number in range(3):
            assert root.post(f"api/v1/namespace/n{number}/").status_code == 200
    page = get(service, "namespace/?size=2", "root")
    assert [link for link in page.links if "page=2" in link] == [f"{PREFIX}namespace/?page=2"]


def test_before_a_namespace_goes_its_page_says_what_goes_and_it_comes_back(service: RunningService) -> None:
    with service.browser("root") as root:
        send(root, "namespace/", name="course")
        service.completed("first", user="root", namespace="course")
        service.submit("second", user="root", namespace="course")
        asked = read(root, "namespace/course/delete/")
        assert "2 environments and 2 builds go, with 1.0 kB on the disk." in asked.text
        assert "1 build queued or running will be cancelled." in asked.text
        refused = send(root, "namespace/course/delete/")
        assert refused.status_code == 409
        assert "has 1 builds queued or running" in refused.text
        gone = send(root, "namespace/course/delete/", force="yes")
        page = Page(gone)
        assert gone.url.path == f"{PREFIX}namespace/"
        assert f"{PREFIX}namespace/course/" not in page.links
        assert root.get("namespace/course/", headers=NAVIGATE).status_code == 404
        action = page.find("form", action=f"{PREFIX}namespace/course/restore/")
        assert action["method"] == "post"
        back = send(root, "namespace/course/restore/")
        assert back.url.path == f"{PREFIX}namespace/course/"
        assert "2 environments" in Page(back).text


def test_a_namespace_whose_name_is_taken_comes_back_under_another(service: RunningService) -> None:
    with service.browser("root") as root:
        for _ in range(2):
            send(root, "namespace/", name="course")
            service.completed("ml", user="root", namespace="course")
            if _ == 0:
                send(root, "namespace/course/delete/")
        page = read(root, "namespace/")
        assert page.has("input", id="comeback-course")
        refused = send(root, "namespace/course/restore/", name="Not A Name")
        assert refused.status_code == 400
        assert Page(refused).find("input", id="comeback-course")["value"] == "Not A Name"
        assert "another name" in send(root, "namespace/course/restore/").text


def test_who_may_not_delete_a_namespace_is_not_offered_it(service: RunningService) -> None:
    meet(service, "alice")
    with service.browser("bob") as bob:
        assert bob.get("namespace/alice/", headers=NAVIGATE).status_code == 404
        assert bob.get("namespace/alice/delete/", headers=NAVIGATE).status_code == 404
        assert send(bob, "namespace/alice/delete/", force="yes").status_code == 404
        assert send(bob, "namespace/alice/restore/").status_code == 404
    with service.browser("carol") as carol:
        page = read(carol, "namespace/group.physics/")
        assert f"{PREFIX}namespace/group.physics/delete/" not in page.links
        assert carol.get("namespace/group.physics/delete/", headers=NAVIGATE).status_code == 403
        assert send(carol, "namespace/group.physics/delete/").status_code == 403


# One namespace


def test_a_viewer_sees_what_a_namespace_holds_and_no_more(service: RunningService) -> None:
    with service.client("root") as root:
        root.post("api/v1/namespace/course/")
    page = get(service, "namespace/course/", "bob")
    assert "you: viewer" in page.text
    assert not page.ids & {"members", "policy", "deleted"}
    with service.browser("bob") as bob:
        assert bob.get("namespace/course/policy/", headers=NAVIGATE).status_code == 403
        assert send(bob, "namespace/course/member/", subject="user", name="bob", role="admin").status_code == 403


def test_a_developer_sees_members_and_policy_without_forms(service: RunningService) -> None:
    meet(service, "alice")
    page = get(service, "namespace/group.physics/")
    assert {"members", "policy"} <= page.ids
    assert "the group physics" in page.text
    assert [attrs for tag, attrs in page.tags if tag == "form"] == []
    assert not get(service, "namespace/group.physics/policy/").has("button", type="submit")


def test_members_are_given_roles_changed_and_removed(service: RunningService) -> None:
    meet(service, "alice", "bob")
    with service.browser("alice") as alice:
        page = read(alice, "namespace/alice/")
        options = [attrs["value"] for tag, attrs in page.tags if tag == "option"]
        assert "authenticated" in options
        assert "anyone" not in options, "this service shows nothing to the anonymous"
        end = TODAY + timedelta(days=3)
        given = send(alice, "namespace/alice/member/", subject="user", name="bob", role="viewer", until=end.isoformat())
        assert given.url.path == f"{PREFIX}namespace/alice/"
        row = alice.get("api/v1/namespace/alice/member/", headers=NAVIGATE).json()["data"][1]
        assert row["expires_on"] == f"{end}T23:59:59Z"
        send(alice, "namespace/alice/member/", subject="group", name="physics", role="developer")
        send(alice, "namespace/alice/member/", subject="authenticated", name="ignored", role="viewer")
        before = Page(alice.get("namespace/alice/", headers=NAVIGATE))
        later = {"subject": "user", "name": "bob", "role": "viewer", "until": str(end + timedelta(days=9))}
        send(alice, "namespace/alice/member/", **later)
        assert before.has("form", action=f"{PREFIX}namespace/alice/member/{row['id']}/")
        send(alice, f"namespace/alice/member/{row['id']}/", action="change", role="developer")
        row = alice.get("api/v1/namespace/alice/member/", headers=NAVIGATE).json()["data"][1]
        assert row["expires_on"] == f"{end + timedelta(days=9)}T23:59:59Z", "an old page sets no end back"
        assert send(alice, f"namespace/alice/member/{row['id']}/", action="change", role="king").status_code == 400
        assert members(service, "namespace/alice") == [
            ("user", "alice", "admin"),
            ("user", "bob", "developer"),
            ("group", "physics", "developer"),
            ("authenticated", None, "viewer"),
        ]
        page = read(alice, "namespace/alice/")
        assert "everybody who is logged in" in page.text
        assert page.has("form", action=f"{PREFIX}namespace/alice/member/{row['id']}/")
        assert send(alice, f"namespace/alice/member/{row['id']}/").status_code == 400, "it does not say what to do"
        assert send(alice, f"namespace/alice/member/{row['id']}/", action="change").status_code == 400
        send(alice, f"namespace/alice/member/{row['id']}/", action="remove")
        assert ("user", "bob", "developer") not in members(service, "namespace/alice")
        assert send(alice, f"namespace/alice/member/{row['id']}/", action="remove").status_code == 404


@pytest.mark.parametrize(
    ("form", "status", "field", "words"),
    [
        ({"name": "nobody"}, 404, "name", "There is no user “nobody” on this Hub."),
        ({"name": ""}, 400, "name", "Write how the Hub calls the person."),
        ({"subject": "group", "name": ""}, 400, "name", "Write how the Hub calls the group."),
        ({"subject": "group", "name": "chemistry"}, 404, "name", "You are in no group “chemistry”"),
        ({"name": "x" * 256}, 400, "name", "A name has at most 255 characters."),
        ({"name": EVIL}, 404, "name", "There is no user"),
        ({"subject": "king"}, 400, "subject", "Choose who is meant."),
        ({"role": "king"}, 400, "role", "Choose one of the roles."),
        ({"until": "yesterday"}, 400, "until", "Write a day as YYYY-MM-DD"),
        ({"until": "2020-01-01"}, 400, "until", "This day is over."),
        ({"until": "9999-12-31T23:59:59+14:00x"}, 400, "until", "Write a day"),
        ({"until": "9999-12-31T23:59:59-14:00"}, 400, "until", "Write a day"),
    ],
)
@pytest.mark.parametrize("place", ["namespace/alice/member/", "environment/alice/ml/share/"])
def test_what_is_wrong_about_a_member_is_said_at_the_field_and_what_was_typed_stays(
    service: RunningService, place: str, form: dict[str, str], status: int, field: str, words: str
) -> None:
    service.submit("ml")
    meet(service, "bob")
    with service.browser("alice") as alice:
        answer = send(alice, place, **{"subject": "user", "name": "bob", "role": "viewer", "until": ""} | form)
    page = Page(answer)
    assert answer.status_code == status
    assert page.has("div", id=f"{field}-fault")
    assert words in page.text
    assert "<img src=x" not in answer.text
    assert page.find("input", id="name")["value"] == form.get("name", "bob")


def test_anybody_is_offered_where_the_service_shows_something_to_the_anonymous(service: RunningService) -> None:
    with service.browser("alice") as alice:
        service.services.auth.allow_anonymous = True
        send(alice, "namespace/alice/member/", subject="anyone", role="viewer")
        assert "everybody, logged in or not" in read(alice, "namespace/alice/").text
    with service.client() as nobody:
        page = Page(nobody.get("namespace/", headers=NAVIGATE))
        assert f"{PREFIX}namespace/alice/" in page.links
        shown = Page(nobody.get("namespace/alice/", headers=NAVIGATE))
    assert not shown.ids & {"members", "policy"}
    assert not shown.has("form")


def test_one_environment_is_shared(service: RunningService) -> None:
    service.completed("ml")
    meet(service, "bob")
    with service.browser("alice") as alice:
        given = send(alice, "environment/alice/ml/share/", subject="user", name="bob", role="viewer")
        assert given.url.path == f"{PREFIX}environment/alice/ml/share/"
        assert members(service, "environment/alice/ml") == [("user", "bob", "viewer")]
        get(service, "environment/alice/ml/", "bob")
        with service.browser("bob") as bob:
            assert bob.get("environment/alice/ml/share/", headers=NAVIGATE).status_code == 403
            role = {"subject": "user", "name": "bob", "role": "admin"}
            assert send(bob, "environment/alice/ml/share/", **role).status_code == 403
            assert send(bob, "environment/alice/ml/share/1/", action="change", role="admin").status_code == 403
        number = next(
            (attrs["action"] or "").split("/")[-2]
            for tag, attrs in Page(given).tags
            if tag == "form" and (attrs["action"] or "").startswith(f"{PREFIX}environment/alice/ml/share/1")
        )
        gone = send(alice, f"environment/alice/ml/share/{number}/", action="remove")
        assert gone.url.path == f"{PREFIX}environment/alice/ml/share/"
        assert members(service, "environment/alice/ml") == []
    with service.client("bob") as bob:
        assert bob.get("environment/alice/ml/share/").status_code == 404


def test_deleted_environments_are_brought_back(service: RunningService) -> None:
    service.completed("one")
    service.completed("two")
    with service.browser("alice") as alice, service.client("alice") as api:
        for name in ("one", "two"):
            assert api.delete(f"api/v1/environment/alice/{name}/").status_code == 200
        service.completed("two")
        page = read(alice, "namespace/alice/")
        assert "Deleted environments" in page.text
        assert not page.has("input", id="comeback-one")
        assert page.has("input", id="comeback-two"), "another one has its name"
        assert page.has("form", action=f"{PREFIX}environment/alice/two/restore/")
        back = send(alice, "environment/alice/one/restore/")
        assert back.url.path == f"{PREFIX}environment/alice/one/"
        taken = send(alice, "environment/alice/two/restore/")
        assert taken.status_code == 409
        assert "There is an environment “two” again" in Page(taken).text
        renamed = send(alice, "environment/alice/two/restore/", name="three")
        assert renamed.url.path == f"{PREFIX}environment/alice/three/"
        assert "Deleted environments" not in read(alice, "namespace/alice/").text
    with service.browser("bob") as bob:
        assert send(bob, "environment/alice/two/restore/").status_code == 404


def test_of_a_name_that_was_deleted_twice_the_last_is_listed(service: RunningService) -> None:
    with service.client("alice") as api:
        for _ in range(2):
            service.completed("ml")
            assert api.delete("api/v1/environment/alice/ml/").status_code == 200
    assert get(service, "namespace/alice/").text.count("Bring back ml") == 1


# Usage and policy


def test_quotas_are_shown_with_how_much_of_them_is_taken(service: RunningService) -> None:
    service.completed("ml")
    assert "There is no quota here." in get(service, "namespace/alice/").text
    with service.client("alice") as alice:
        asked = {"quota_builds": 1, "quota_bytes": 10_000}
        assert alice.put("api/v1/setting/alice/", json=asked).status_code == 200
    page = get(service, "namespace/alice/")
    assert "Builds: 1 of 1" in page.text
    assert page.has("progress", value="1", max="1")
    assert "full" in page.text
    assert "of 10.0 kB" in page.text


def test_every_setting_says_what_counts_and_where_it_comes_from(service: RunningService) -> None:
    with service.client("root") as root:
        root.put("api/v1/setting/", json={"build_seconds": 3600})
    with service.client("alice") as alice:
        alice.put("api/v1/setting/alice/", json={"forbidden_packages": [f"p{number}" for number in range(12)]})
    flat = " ".join(get(service, "namespace/alice/").text.split())
    assert "Channels of a specification that names none. main from: configuration configuration" in flat
    assert "Seconds after which a build is ended and fails. 1 h 00 min from: service service" in flat
    assert "2 more" in flat
    assert "p11 from: namespace namespace" in flat
    assert "How many of an environment's newest builds are kept. no limit from: default default" in flat


def test_a_policy_is_set_and_taken_back_by_its_form(service: RunningService) -> None:
    meet(service, "alice")
    with service.browser("alice") as alice:
        page = read(alice, "namespace/alice/policy/")
        fields = {attrs["name"] for tag, attrs in page.tags if tag in ("input", "select", "textarea")}
        assert "channel_aliases" not in fields, "it is the service's alone"
        empty = {name: "" for name in fields if name != "_xsrf" and not (name or "").startswith("seen-")}
        form = {"forbidden_packages": "numpy<2\r\n\r\nscipy\r\n", "quota_bytes": "20 GB", "pip_allowed": "false"}
        saved = send(alice, "namespace/alice/policy/", **empty | form | {"keep_builds": "5"})
        assert saved.url.path == f"{PREFIX}namespace/alice/"
        found = alice.get("api/v1/setting/alice/", headers=NAVIGATE).json()["data"]
        assert found["forbidden_packages"]["value"] == ["numpy<2", "scipy"]
        assert found["quota_bytes"]["value"] == 20 * 10**9
        assert found["pip_allowed"]["value"] is False
        assert found["keep_builds"]["value"] == 5
        again = read(alice, "namespace/alice/policy/")
        assert again.find("input", name="quota_bytes")["value"] == "20 GB"
        assert "numpy<2\nscipy" in again.text
        send(alice, "namespace/alice/policy/", **empty)
        found = alice.get("api/v1/setting/alice/", headers=NAVIGATE).json()["data"]
    assert all(row["source"] == "configuration" for row in found.values())


@pytest.mark.parametrize(
    ("key", "typed", "words"),
    [
        ("quota_bytes", "many", "takes a size such as"),
        ("quota_bytes", "5 parsecs", "takes a size such as"),
        ("quota_bytes", "-1", "takes a size such as"),
        ("keep_builds", "0", "takes a whole number from 1"),
        ("keep_builds", "9" * 25, "takes a whole number from 1"),
        ("keep_builds", "some", "takes a whole number from 1"),
        ("forbidden_packages", "num py ==== 3", "forbidden_packages"),
        ("allowed_channels", "https://elsewhere.example", "can only be made tighter here"),
        ("build_seconds", "7201", "can only be made tighter here"),
        ("pip_allowed", "perhaps", "true"),
        ("artifacts", EVIL, "takes a list of"),
    ],
)
def test_a_value_that_cannot_be_is_refused_at_its_field_and_nothing_changes(
    service: RunningService, key: str, typed: str, words: str
) -> None:
    meet(service, "alice")
    with service.browser("alice") as alice:
        answer = send(alice, "namespace/alice/policy/", **{"keep_days": "3", key: typed})
        page = Page(answer)
        assert answer.status_code == 400
        assert page.has("div", id=f"{key}-fault")
        assert f"#{key}" in page.links
        assert words in page.text
        assert "<img src=x" not in answer.text
        assert page.find("input", name="keep_days")["value"] == "3"
        found = alice.get("api/v1/setting/alice/", headers=NAVIGATE).json()["data"]
    assert found["keep_days"]["value"] is None


def test_every_wrong_field_has_words_of_its_own(service: RunningService) -> None:
    meet(service, "alice")
    with service.browser("alice") as alice:
        form = {"quota_bytes": "many", "keep_builds": "0", "build_seconds": "9999", "keep_days": "3"}
        page = Page(send(alice, "namespace/alice/policy/", **form))
    assert {"quota_bytes-fault", "keep_builds-fault", "build_seconds-fault"} <= page.ids
    assert "keep_days-fault" not in page.ids


def test_a_value_that_became_too_loose_since_does_not_hold_others_up(service: RunningService) -> None:
    meet(service, "alice")
    with service.browser("alice") as alice, service.client("root") as root:
        send(alice, "namespace/alice/policy/", build_seconds="3600")
        root.put("api/v1/setting/", json={"build_seconds": 60})
        answer = send(alice, "namespace/alice/policy/", build_seconds="3600", keep_builds="5")
        assert answer.url.path == f"{PREFIX}namespace/alice/"
        assert answer.status_code == 200


def test_the_policy_of_an_environment_has_a_form_too(service: RunningService) -> None:
    service.completed("ml")
    with service.browser("alice") as alice:
        answer = send(alice, "environment/alice/ml/policy/", keep_builds="3")
        assert answer.url.path == f"{PREFIX}environment/alice/ml/policy/"
        assert Page(answer).find("input", name="keep_builds")["value"] == "3"
        found = alice.get("api/v1/setting/alice/ml/", headers=NAVIGATE).json()["data"]["keep_builds"]
    assert (found["value"], found["source"]) == (3, "environment")
    with service.client("bob") as bob:
        assert bob.get("environment/alice/ml/policy/").status_code == 404


# All of them


def test_forms_without_the_pages_token_change_nothing(service: RunningService) -> None:
    service.completed("ml")
    meet(service, "bob")
    role = {"subject": "user", "name": "bob", "role": "admin"}
    forms: list[tuple[str, dict[str, str]]] = [
        ("namespace/", {"name": "course"}),
        ("namespace/alice/delete/", {"force": "yes"}),
        ("namespace/alice/restore/", {}),
        ("namespace/alice/member/", role),
        ("namespace/alice/member/1/", {}),
        ("namespace/alice/policy/", {"keep_builds": "1"}),
        ("environment/alice/ml/restore/", {}),
        ("environment/alice/ml/share/", role),
        ("environment/alice/ml/share/1/", {}),
        ("environment/alice/ml/policy/", {"keep_builds": "1"}),
    ]
    with service.browser("root") as root, service.browser("bob") as bob:
        for path, form in forms:
            for token in ("", "wrong", bob.cookies["_xsrf"]):
                answer = root.post(path, data={"_xsrf": token, **form}, headers=NAVIGATE, follow_redirects=False)
                assert answer.status_code == (303 if path.endswith("/delete/") else 401), path
    assert members(service, "namespace/alice") == [("user", "alice", "admin")]
    assert members(service, "environment/alice/ml") == []
    assert "course" not in get(service, "namespace/", "root").text


def test_nothing_of_what_people_wrote_is_run_on_these_pages(service: RunningService) -> None:
    service.completed("ml")
    service.hub.tokens["alice-token"]["groups"] = ["physics", EVIL]
    service.hub.groups.add(EVIL)
    with service.browser("alice") as alice:
        assert send(alice, "namespace/alice/member/", subject="group", name=EVIL, role="viewer").status_code == 200
        send(alice, "environment/alice/ml/share/", subject="group", name=EVIL, role="viewer")
        paths = ["namespace/", "namespace/alice/", "namespace/alice/delete/", "environment/alice/ml/share/"]
        for path in [*paths, "namespace/alice/policy/", "environment/alice/ml/policy/"]:
            answer = alice.get(path, headers=NAVIGATE)
            assert answer.status_code == 200, path
            assert "<img src=x" not in answer.text
            assert "<script>alert" not in answer.text
            for tag, attrs in Page(answer).tags:
                assert not any(key.startswith("on") or key == "style" for key in attrs), (path, tag, attrs)


def test_every_link_of_these_pages_leads_somewhere(service: RunningService) -> None:
    service.completed("ml")
    build = service.completed("ml")
    paths = [
        "namespace/",
        "namespace/alice/",
        "namespace/alice/policy/",
        "environment/alice/ml/share/",
        f"build/{build}/packages/",
    ]
    hub = service.services.auth.environment.host
    with service.client("alice", follow_redirects=True) as client:
        links = {link for path in paths for link in Page(client.get(path)).links if not link.startswith((hub, "#"))}
        for link in sorted(links):
            answer = client.get(httpx.URL(service.url).join(link))
            assert answer.status_code == 200, link
            _, _, part = link.partition("#")
            assert not part or part in Page(answer).ids, link
