"""While the service starts: the port answers, everything says in words that it is not ready, and the Hub goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from jinja2 import Template

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.web import files, rendering
from conda_store_hub.web.pages.guide import load_guide
from conda_store_hub.web.warming import warm_up
from tests.support.service import PREFIX, RunningService, run_service

HEAVY = (
    "rattler",
    "conda_lock",
    "conda_pack",
    "alembic",
    "aiohttp",
    "jinja2",
    "markdown_it",
    "jupyterhub.services.auth",
)


@pytest.fixture
def starting(data: DataDirectory) -> Generator[RunningService]:
    """A service whose database is being upgraded."""
    with run_service(data, ready=False) as running:
        running.services.readiness.message = "The database is being upgraded."
        yield running


def test_health_answers_whatever_the_database_needs(starting: RunningService) -> None:
    with starting.client() as client:
        answer = client.get("health")
        assert answer.status_code == 503
        assert answer.json()["ready"] is False
        assert answer.json()["message"] == "The database is being upgraded."
        starting.services.readiness.ready = True
        assert client.get("health").status_code == 200
    assert starting.hub.asked == []


@pytest.mark.parametrize("path", ["api/v1/namespace/", "api/v1/permission/", "api/v1/build/1/logs/"])
def test_the_api_says_in_words_that_it_is_not_ready(starting: RunningService, path: str) -> None:
    for name in ("alice", None):
        with starting.client(name) as client:
            answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.json()["message"] == "The database is being upgraded."
        assert int(answer.headers["Retry-After"]) > 0


def test_a_page_says_in_words_that_it_is_not_ready_and_tries_again(starting: RunningService) -> None:
    with starting.client("alice") as client:
        answer = client.get("")
    assert answer.status_code == 503
    assert "The database is being upgraded." in answer.text
    assert 'http-equiv="refresh"' in answer.text


def test_the_hub_which_waits_for_an_answer_below_500_gets_one(starting: RunningService) -> None:
    """It asks for our first page, as nobody, before it lets anybody in; on a 503 it waits, and in the end it exits."""
    with starting.client() as client:
        assert client.get("").status_code == 302


def test_what_the_first_page_needs_is_loaded_before_anybody_asks(starting: RunningService) -> None:
    """Each was loaded at the first look, and everybody else waited meanwhile."""
    load_guide.cache_clear()
    rendering._environment.cache_clear()
    warm_up(starting.services, PREFIX)
    loaded = {Path(template.filename or "").name for template in _list_loaded()}
    assert loaded == {file.name for file in files.TEMPLATES.iterdir()}
    assert load_guide.cache_info().currsize == 1
    with starting.client() as client:
        assert client.get("docs/").status_code == 200
    assert (load_guide.cache_info().currsize, load_guide.cache_info().hits > 0) == (1, True)
    assert starting.services.auth.hub._oauth is not None


def _list_loaded() -> list[Template]:
    cache = rendering._environment().cache
    assert cache is not None
    return list(cache.values())


def test_nothing_heavy_is_loaded_to_be_up() -> None:
    code = f"import sys, conda_store_hub.web.routes; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
