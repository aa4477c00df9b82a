"""What pages offer is what may be done, and what may be done is offered: each deed, for people of every role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import httpx

from conda_store_hub.core import ondemand
from conda_store_hub.services import ondemand as orders
from conda_store_hub.services import users
from tests.support.fake_hub import user
from tests.support.service import IDENTITIES, PREFIX, RunningService, service
from tests.support.world import Snapshot
from tests.web.test_pages import NAVIGATE, Page

__all__ = ["service"]

ML, OWN = "environment/alice/ml/", "namespace/alice/"
TEXT = "name: {name}\nchannels: [main]\ndependencies: [python]\n"
#: What is given to each on the namespace, and on its environment `ml` alone.
PEOPLE: dict[str, tuple[str, str]] = {
    "stranger": ("", ""),
    "viewer": (OWN, "viewer"),
    "developer": (OWN, "developer"),
    "admin": (OWN, "admin"),
    "one-viewer": (ML, "viewer"),
    "one-developer": (ML, "developer"),
    "one-admin": (ML, "admin"),
}
REFUSED = (401, 403, 404)


@dataclass(frozen=True)
class Deed:
    """Something that a page offers, by a link or a form that leads to `offered`, and what is then sent to `sent`."""

    page: str
    offered: str
    sent: str
    form: Mapping[str, str] = field(default_factory=dict[str, str])

    def is_offered(self, page: Page) -> bool:
        """Tell whether the page has the link, or the form with what it is for."""
        if self.offered != self.page and f"{PREFIX}{self.offered}" in page.links:
            return True
        forms = [form for action, form in list_forms(page) if action == f"{PREFIX}{self.offered}"]
        return any(form.get("action") == self.form.get("action") for form in forms)


def list_forms(page: Page) -> list[tuple[str, dict[str, str]]]:
    """Return the forms that change something: where each goes, and what its hidden fields say."""
    found: list[tuple[str, dict[str, str]]] = []
    for tag, attrs in page.tags:
        if tag == "form" and attrs.get("method") == "post":
            found.append((attrs["action"] or "", {}))
        elif tag == "input" and found:
            found[-1][1][attrs.get("name") or ""] = attrs.get("value") or ""
    return found


def list_deeds(old: int, active: int, queued: int) -> dict[str, Deed]:
    """Return every deed that is offered on the page of an environment, of a build and of a namespace."""
    new = {"namespace": "alice", "specification": TEXT.format(name="new"), "latest_build_id": "0"}
    changed = {"namespace": "alice", "name": "ml", "is_there": "1", "specification": TEXT.format(name="ml")}
    role = {"subject": "user", "name": "root", "role": "viewer"}
    return {
        "edit": Deed(ML, "create/?environment=alice/ml", "create/", changed),
        "rebuild": Deed(ML, ML, ML, {"action": "rebuild", "build_id": str(active)}),
        "clone": Deed(ML, f"{ML}clone/", f"{ML}clone/", {"namespace": "SELF", "name": "mine"}),
        "rename": Deed(ML, f"{ML}rename/", f"{ML}rename/", {"name": "other"}),
        "describe": Deed(ML, f"{ML}description/", f"{ML}description/", {"description": "other"}),
        "see who shares": Deed(ML, f"{ML}share/", f"{ML}share/"),
        "share": Deed(f"{ML}share/", f"{ML}share/", f"{ML}share/", role),
        "see the policy": Deed(ML, f"{ML}policy/", f"{ML}policy/"),
        "delete": Deed(ML, f"{ML}delete/", f"{ML}delete/", {"force": "yes"}),
        "activate": Deed(ML, ML, ML, {"action": "activate", "build_id": str(old)}),
        "pin": Deed(ML, ML, ML, {"action": "pin", "build_id": str(active)}),
        "make a file": Deed(ML, ML, ML, {"action": "make", "build_id": str(active), "artifact_type": "LOCKFILE"}),
        "delete a build": Deed(ML, f"build/{old}/delete/?from=environment", f"build/{old}/delete/"),
        "cancel a build": Deed(f"build/{queued}/", f"build/{queued}/", f"build/{queued}/", {"action": "cancel"}),
        "change a build": Deed(f"build/{active}/", f"create/?build={active}", "create/", changed),
        "rebuild a build": Deed(f"build/{old}/", f"build/{old}/", f"build/{old}/", {"action": "rebuild"}),
        "pin a build": Deed(f"build/{old}/", f"build/{old}/", f"build/{old}/", {"action": "pin"}),
        "delete it there": Deed(f"build/{old}/", f"build/{old}/delete/", f"build/{old}/delete/"),
        "make an environment": Deed(OWN, "create/?namespace=alice", "create/", new),
        "delete the namespace": Deed(OWN, f"{OWN}delete/", f"{OWN}delete/", {"force": "yes"}),
        "give a role": Deed(OWN, f"{OWN}member/", f"{OWN}member/", role),
        "see its policy": Deed(OWN, f"{OWN}policy/", f"{OWN}policy/"),
        "bring back": Deed(OWN, "environment/alice/gone/restore/", "environment/alice/gone/restore/"),
        "make a namespace": Deed("namespace/", "namespace/", "namespace/", {"name": "course"}),
        "set a policy": Deed(f"{OWN}policy/", f"{OWN}policy/save", f"{OWN}policy/", {"keep_days": "9"}),
        "set its policy": Deed(f"{ML}policy/", f"{ML}policy/save", f"{ML}policy/", {"keep_days": "9"}),
    }


def offers(browser: httpx.Client, deed: Deed) -> bool:
    answer = browser.get(deed.page, headers=NAVIGATE)
    page = Page(answer)
    if deed.offered.endswith("/save"):
        return page.has("input", name="keep_days")
    return answer.status_code not in REFUSED and deed.is_offered(page)


def may(browser: httpx.Client, deed: Deed, name: str) -> bool:
    """Tell whether the deed is done, or refused for what it is and not for who asks."""
    if not deed.form and deed.sent.endswith(("/share/", "/policy/")):
        answer = browser.get(deed.sent, headers=NAVIGATE)
    else:
        form = {key: name if value == "SELF" else value for key, value in deed.form.items()}
        data = {"_xsrf": browser.cookies["_xsrf"], **form}
        answer = browser.post(deed.sent, data=data, headers=NAVIGATE, follow_redirects=False)
    assert answer.status_code < 500, answer.text
    return answer.status_code not in REFUSED


def test_what_is_offered_is_what_may_be_done(service: RunningService) -> None:
    service.hub.tokens |= {f"{name}-token": user(name) for name in PEOPLE}
    old, active = service.completed(), service.completed()
    with service.client("alice") as alice:
        assert alice.put("api/v1/environment/alice/ml/", json={"build_id": active}).status_code == 200
        service.completed("gone")
        assert alice.delete("api/v1/environment/alice/gone/").status_code == 200
        for name, (place, role) in PEOPLE.items():
            with service.client(name) as known:
                known.get("api/v1/permission/")
            body = {"subject": "user", "name": name, "role": role}
            assert not place or alice.put(f"api/v1/{place}member/", json=body).status_code == 200
    with service.client("root") as root:
        root.get("api/v1/permission/")
    check(service, list_deeds(old, active, service.submit()), PEOPLE)


def check(service: RunningService, deeds: Mapping[str, Deed], people: Iterable[str]) -> None:
    """Hold what each deed's page offers to each of the people against what comes of it."""
    service.settle()
    wrong: list[str] = []
    done: set[str] = set()
    snapshot = Snapshot(service.services.data.database)
    for name in ("root", *people):
        with service.browser(name) as browser:
            for what, deed in deeds.items():
                offered = offers(browser, deed)
                allowed = may(browser, deed, name)
                snapshot.restore()
                done |= {what} if offered else set()
                if offered != allowed:
                    wrong.append(f"{name}: {what} is {'' if offered else 'not '}offered")
    snapshot.close()
    assert not wrong, "\n".join(wrong)
    assert done == set(deeds), "somebody may each"


def make_on_demand(service: RunningService) -> tuple[str, list[int]]:
    """Return an environment of the name of an image, and its builds: an old one, and the active one."""
    alice, rules, wish = IDENTITIES["alice"], service.services.rules, ondemand.Wish.parse("python")
    service.db.write_sync(users.ensure_namespaces, alice)
    builds: list[int] = []
    asked = service.db.read_sync(orders.look, alice, wish, rules)
    builds.append(service.db.write_sync(orders.order, alice, asked.order, orders.check(asked), rules))
    service.claim(builds[0])
    service.use(builds[0])
    with service.client("root") as root:
        found = root.get(f"api/v1/build/{builds[0]}/").json()["data"]
        again = root.put(f"api/v1/build/{builds[0]}/")
    builds.append(again.raise_for_status().json()["data"]["build_id"])
    service.claim(builds[1])
    service.use(builds[1])
    return f"environment/{ondemand.NAMESPACE}/{found['environment']}/", builds


def test_of_an_image_on_demand_is_offered_what_may_be_done_and_nothing_writes_it(service: RunningService) -> None:
    people = {"stranger": "", "developer": "developer", "admin": "admin"}
    service.hub.tokens |= {f"{name}-token": user(name) for name in people}
    where, (old, active) = make_on_demand(service)
    place = f"namespace/{ondemand.NAMESPACE}/"
    with service.client("root") as root:
        for name, role in people.items():
            with service.client(name) as known:
                known.get("api/v1/permission/")
            body = {"subject": "user", "name": name, "role": role}
            assert not role or root.put(f"api/v1/{place}member/", json=body).is_success
    page, role = f"build/{old}/", {"subject": "user", "name": "root", "role": "viewer"}
    deeds = {
        "rebuild": Deed(where, where, where, {"action": "rebuild", "build_id": str(active)}),
        "clone": Deed(where, f"{where}clone/", f"{where}clone/", {"namespace": "SELF", "name": "mine"}),
        "delete": Deed(where, f"{where}delete/", f"{where}delete/", {"force": "yes"}),
        "activate": Deed(where, where, where, {"action": "activate", "build_id": str(old)}),
        "pin": Deed(where, where, where, {"action": "pin", "build_id": str(active)}),
        "pin a build": Deed(page, page, page, {"action": "pin"}),
        "rebuild a build": Deed(page, page, page, {"action": "rebuild"}),
        "delete a build": Deed(page, f"{page}delete/", f"{page}delete/"),
        "give a role": Deed(place, f"{place}member/", f"{place}member/", role),
        "see its policy": Deed(place, f"{place}policy/", f"{place}policy/"),
    }
    check(service, deeds, people)
    called = where.split("/")[2]
    changed = {"namespace": ondemand.NAMESPACE, "specification": TEXT.format(name=called)}
    edited = changed | {"name": called, "is_there": "1"}
    never = {
        "edit": Deed(where, f"create/?environment={ondemand.NAMESPACE}/{called}", "create/", edited),
        "rename": Deed(where, f"{where}rename/", f"{where}rename/", {"name": "other"}),
        "change a build": Deed(page, f"create/?build={old}", "create/", edited),
        "make one": Deed(place, f"create/?namespace={ondemand.NAMESPACE}", "create/", changed),
    }
    for name in ("root", *people):
        with service.browser(name) as browser:
            done = {what: (offers(browser, deed), may(browser, deed, name)) for what, deed in never.items()}
        assert done == dict.fromkeys(never, (False, False)), name


def test_who_is_not_logged_in_is_offered_to_log_in_and_nothing_else(service: RunningService) -> None:
    object.__setattr__(service.services.auth, "allow_anonymous", True)
    service.completed()
    with service.client("alice") as alice, service.client() as nobody:
        alice.put("api/v1/environment/alice/ml/member/", json={"subject": "anyone", "role": "viewer"})
        for path in ("", ML, "build/1/", f"{ML}changes/?build=1", "build/1/packages/"):
            page = Page(nobody.get(path))
            assert list_forms(page) == []
            begun = (f"{PREFIX}create/", f"{PREFIX}{ML}clone")
            assert not [link for link in page.links if link.startswith(begun)], path


def test_who_has_nowhere_to_build_is_told_so(service: RunningService) -> None:
    service.services.auth.use_scopes = True
    service.hub.tokens["bob-token"] = user("bob")
    with service.browser("bob") as bob:
        assert "There is no namespace that you may make environments in" in bob.get("create/", headers=NAVIGATE).text
