"""What container spawners are given to start servers from: by the service, to the spawners' own classes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from dockerspawner import DockerSpawner
from kubespawner import KubeSpawner
from tornado.web import HTTPError
from traitlets.config import Config

import conda_store_hub
from conda_store_hub.hubimages import ImageProfiles
from conda_store_hub.hubsettings import ConfigurationError
from tests.support.registries import hang
from tests.support.service import RunningService, service

__all__ = ["service"]

LAB = ("python=3.12", "jupyterhub=5.2", "jupyterlab=4.4")
T = TypeVar("T")


@dataclass
class User:
    """A user of the Hub, as far as spawners and we look at one."""

    name: str
    orm_user: None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    def new_api_token(self, **options: Any) -> str:
        self.asked.append(options)
        return f"{self.name}-token"

    @property
    def escaped_name(self) -> str:
        return self.name

    def __getattr__(self, name: str) -> str:
        return ""


HUB = SimpleNamespace(base_url="/hub/", api_url="http://hub.example/hub/api", public_host="")


def spawner_of(name: str) -> Any:
    return SimpleNamespace(user=User(name), hub=HUB)


def run(ask: Callable[[], Awaitable[T]]) -> T:
    async def scenario() -> T:
        return await ask()

    return asyncio.run(scenario())


def profiles(service: RunningService, **options: Any) -> ImageProfiles:
    return conda_store_hub.image_profiles("hub.example.org", url=service.root_url, **options)


@pytest.fixture
def lab(service: RunningService) -> int:
    """An environment alice/Lab that a server can be started from, beside one that has none of it."""
    build_id = service.submit("Lab")
    service.claim(build_id)
    service.use(build_id, *LAB)
    service.completed("other")
    with service.client("alice") as alice:
        body = {"description": "for <b>all</b>"}
        assert alice.put("api/v1/environment/alice/Lab/", json=body).status_code == 200
    return build_id


def test_those_that_a_server_can_start_from_are_offered_beside_the_usual_one(service: RunningService, lab: int) -> None:
    spawner = spawner_of("alice")
    usual, only = run(lambda: profiles(service, override={"uid": 1000}).profile_list(spawner))
    assert usual == {"display_name": "The usual server", "slug": "usual", "default": True}
    assert only["display_name"] == "alice/Lab"
    assert only["description"] == "for &lt;b&gt;all&lt;/b&gt;"
    assert only["kubespawner_override"] == {"uid": 1000, "image": f"hub.example.org/alice/lab:{lab}"}
    (token,) = spawner.user.asked
    assert token["scopes"] == ["access:services!service=conda-store-hub"]
    assert token["expires_in"] <= 60


def test_others_are_offered_what_they_may_read(service: RunningService, lab: int) -> None:
    def names(who: str) -> list[str]:
        return [each["display_name"] for each in run(lambda: profiles(service).profile_list(spawner_of(who)))]

    assert names("bob") == ["The usual server"]
    with service.client("alice") as alice:
        body = {"subject": "authenticated", "role": "viewer"}
        assert alice.put("api/v1/environment/alice/Lab/member/", json=body).status_code == 200
    assert names("bob") == ["The usual server", "alice/Lab"]
    assert names("nobody") == ["The usual server"]


def test_packages_and_numbers_are_the_sites_to_choose(service: RunningService, lab: int) -> None:
    def count(**options: Any) -> int:
        return len(run(lambda: profiles(service, **options).profile_list(spawner_of("alice")))) - 1

    assert count(packages=()) == 2
    assert count(packages=["jupyterlab>=5"]) == 0
    assert count(packages=(), most=1) == 1


def test_kubespawner_starts_what_was_chosen(service: RunningService, lab: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for looks_for_a_cluster in ("load_config", "shared_client"):
        monkeypatch.setattr(f"kubespawner.spawner.{looks_for_a_cluster}", lambda *_, **__: None)
    config = Config({"KubeSpawner": {"profile_list": profiles(service).profile_list, "image": "usual"}})

    async def start(slug: str) -> tuple[str, str]:
        spawner = KubeSpawner(config=config, _mock=True, user=User("alice"), hub=HUB)
        form = await spawner.get_options_form()
        spawner.user_options = spawner.options_from_form({"profile": [slug]})
        await spawner.load_user_options()
        return form, spawner.image

    with service.client("alice") as alice:
        number = alice.get("api/v1/environment/alice/Lab/").json()["data"]["id"]
    form, image = run(lambda: start(f"environment-{number}"))
    assert "alice/Lab" in form
    assert "<b>" not in form
    assert image == f"hub.example.org/alice/lab:{lab}"
    assert run(lambda: start("usual"))[1] == "usual"
    with pytest.raises(ValueError, match="No such profile"):
        run(lambda: start("environment-999"))


def test_dockerspawner_starts_what_was_offered_and_nothing_else(service: RunningService, lab: int) -> None:
    found = profiles(service)
    config = Config(
        {
            "DockerSpawner": {
                "allowed_images": found.allowed_images,
                "options_form": found.options_form,
                "options_from_form": found.options_from_form,
            }
        }
    )

    async def start(name: str, *, looks: bool = True) -> str:
        spawner = DockerSpawner(config=config, user=User(name), hub=HUB)
        if looks:
            assert ("alice/Lab" in await spawner.get_options_form()) is (name == "alice")
        options = spawner.options_from_form({"image": ["alice/Lab"]})
        return await spawner.check_allowed(options["image"])

    with pytest.raises(HTTPError, match="is not allowed"):
        run(lambda: start("alice", looks=False))
    assert run(lambda: start("alice")) == f"hub.example.org/alice/lab:{lab}"
    with pytest.raises(HTTPError, match="is not allowed"):
        run(lambda: start("bob"))
    assert found.options_from_form({"image": [""]}) == {}


def test_who_asked_longest_ago_is_forgotten_for_the_newest(
    service: RunningService, lab: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conda_store_hub.hubimages._MOST_REMEMBERED", 1)
    found = profiles(service)
    for name in ("bob", "alice"):
        run(lambda name=name: found.refresh(spawner_of(name)))
    assert found.allowed_images(spawner_of("alice")) == {"alice/Lab": f"hub.example.org/alice/lab:{lab}"}


def test_a_service_that_does_not_answer_leaves_the_usual_server_and_says_so() -> None:
    with hang() as host:
        found = conda_store_hub.image_profiles("hub.example.org", url=f"http://{host}", seconds=0.3)
        (usual,) = run(lambda: found.profile_list(spawner_of("alice")))
        assert usual["default"]
        assert "cannot be listed at the moment" in usual["description"]
        assert "cannot be listed at the moment" in run(lambda: found.options_form(spawner_of("alice")))
        assert found.allowed_images(spawner_of("alice")) == {}


@pytest.mark.parametrize("wrong", [{"registry": "http://hub"}, {"registry": ""}, {"seconds": 0}, {"most": 0}])
def test_what_makes_no_sense_is_said(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        conda_store_hub.image_profiles(**{"registry": "hub.example.org", **wrong})
