"""`conda-store login` and `logout`, as processes, at the real service: in a browser, by a code, by a pasted token."""

from __future__ import annotations

import html
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from conda_store_hub.client.api import Client
from conda_store_hub.client.commands import login
from conda_store_hub.client.login import LoginRequest
from conda_store_hub.core.names import DataDirectory
from tests.support.process import default_signals, until
from tests.support.service import RunningService, run_service
from tests.support.service_twin import run_twin

ROOT = Path(__file__).parents[2]
NAVIGATE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
COMMAND = [sys.executable, "-c", "from conda_store_hub.client.cli import main; main()"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningService]:
    data = DataDirectory(tmp_path_factory.mktemp("data"))
    with run_service(data) as running:
        yield running


LOCKED = """
from keyring.backend import KeyringBackend

class Locked(KeyringBackend):
    priority = 5

    def get_password(self, service, username):
        raise RuntimeError("locked")

    set_password = delete_password = get_password
"""


class Machine:
    """A machine on which somebody logs in: a home, and a browser that writes down where it is sent."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.sent = home / "sent"
        browser = home / "browser"
        browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{self.sent}.part" && mv "{self.sent}.part" "{self.sent}"\n')
        browser.chmod(0o700)
        self.variables = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "BROWSER": str(browser),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }

    @property
    def file(self) -> Path:
        return self.home / ".config" / "conda-store" / "logins.json"

    def kept(self) -> dict[str, Any]:
        return json.loads(self.file.read_text())

    def keep(self, url: str, login: dict[str, Any]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps({"default": url, "logins": {url: login}}))
        self.file.chmod(0o600)

    def lock_keyring(self) -> dict[str, str]:
        """Return the variables of a machine with a keyring that nobody unlocks."""
        (self.home / "locked_ring.py").write_text(LOCKED)
        return {"PYTHON_KEYRING_BACKEND": "locked_ring.Locked", "PYTHONPATH": str(self.home)}

    def token(self, url: str) -> str:
        return self.kept()["logins"][url]["token"]

    def run(self, *arguments: str, text: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.variables | variables,
            input=text,
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )

    @contextmanager
    def start(self, *arguments: str, **variables: str) -> Generator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.variables | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            preexec_fn=default_signals,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def address(self) -> str:
        """Return where the browser was sent."""
        until(self.sent.exists)
        text = self.sent.read_text()
        self.sent.unlink()
        return text


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def answer(browser: httpx.Client, address: str, said: str = "yes", **typed: str) -> httpx.Response:
    """Do on the page what a person does, and go where it leads."""
    browser.get(address, headers=NAVIGATE)
    form = {"answer": said, "user": "alice", "role": "admin", "end": "30", "_xsrf": browser.cookies["_xsrf"]} | typed
    return browser.post(address, data=form, headers=NAVIGATE)


def listed(service: RunningService) -> list[dict[str, Any]]:
    with service.client("alice") as client:
        return client.get("api/v1/token/").json()["data"]


def log_in(service: RunningService, machine: Machine, role: str) -> str:
    with machine.start("login", service.url, "--role", role) as process, service.browser("alice") as browser:
        page = answer(browser, machine.address(), role=role)
        assert "Go back to your terminal" in page.text
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, ""), err
    assert f"Logged in to {service.url} as alice." in err
    return machine.token(service.url)


def test_a_login_in_the_browser_is_used_until_the_logout(service: RunningService, machine: Machine) -> None:
    token = log_in(service, machine, "developer")
    assert machine.file.stat().st_mode & 0o777 == 0o600
    (row,) = listed(service)
    assert row["label"].startswith("conda-store")
    assert row["scopes"] == [{"on": "*/*", "role": "developer"}]
    who = machine.run("info", "--output", "json")
    assert json.loads(who.stdout)["namespace"] == "alice", who.stderr
    again = log_in(service, machine, "viewer")
    assert again != token
    assert [row["hint"] for row in listed(service)] == [again[-4:]]
    out = machine.run("logout", "--output", "json")
    assert (out.returncode, json.loads(out.stdout)) == (0, {"removed": service.url}), out.stderr
    assert "Logged out of" in out.stderr
    assert listed(service) == []
    assert machine.kept() == {"default": None, "logins": {}}
    assert machine.run("info").returncode == 2
    assert "You are not logged in" in machine.run("logout", service.url).stderr


def test_a_no_in_the_browser_keeps_nothing(service: RunningService, machine: Machine) -> None:
    with machine.start("login", service.url) as process, service.browser("alice") as browser:
        assert "Not logged in" in answer(browser, machine.address(), said="no").text
        _, err = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "Error: You said no in the browser: nothing was given." in err
    assert not machine.file.exists()


def test_a_code_of_another_login_is_not_taken(service: RunningService, machine: Machine) -> None:
    """Somebody who sends a browser to the port of a login gets in neither with a code of theirs, nor with a guess."""
    with machine.start("login", service.url) as process, service.browser("bob") as bob:
        asked = parse_qs(urlsplit(machine.address()).query)
        bob.get("", headers=NAVIGATE)
        callback = asked["redirect_uri"][0]
        for state in ("", "guessed"):
            assert bob.get(callback, params={"code": "of-bob", "state": state}).status_code == 400
        bob.get(callback, params={"code": "of-bob", "state": asked["state"][0], "iss": service.url})
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "gave no token" in err
    assert not machine.file.exists()


def test_a_code_is_carried_over_where_there_is_no_browser(service: RunningService, machine: Machine) -> None:
    with machine.start("login", service.url, "--no-browser") as process, service.browser("alice") as browser:
        assert process.stderr is not None
        assert process.stdin is not None
        address = next(line.strip() for line in process.stderr if "http" in line)
        page = answer(browser, address)
        code = html.unescape(page.text.partition('id="code">')[2].partition("<")[0])
        assert code.partition("@")[2] == service.url.partition("//")[2].rstrip("/")
        out, err = process.communicate(f"{code}\n", timeout=60)
    assert (process.returncode, out) == (0, ""), err
    assert f"Logged in to {service.url} as alice." in err
    assert machine.token(service.url).startswith("csh_")
    assert machine.run("logout").returncode == 0
    again = machine.run("logout", service.url, "-o", "json")
    assert (again.returncode, json.loads(again.stdout)) == (0, {"removed": None})
    assert "not logged in" in again.stderr


def test_a_pasted_token_is_not_shown_and_outlives_the_logout(service: RunningService, machine: Machine) -> None:
    with service.client("alice") as client:
        made = client.post("api/v1/token/", json={"label": "by hand"}).json()["data"]
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "login", service.url, "--token"],
        env=machine.variables,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: _take_terminal(terminal),
        cwd=ROOT,
    )
    os.close(terminal)
    shown = b""
    while b"Token: " not in shown:  # the space comes last, from what drops all that was typed before
        shown += os.read(controller, 1000)
    os.write(controller, f"{made['token']}\n".encode())
    while b"Logged in" not in shown:
        shown += os.read(controller, 1000)
    assert process.wait(60) == 0
    os.close(controller)
    assert made["token"].encode() not in shown
    assert machine.token(service.url) == made["token"]
    assert "stays good" in machine.run("logout").stderr
    assert made["id"] in [row["id"] for row in listed(service)]
    with service.client("alice") as client:
        client.delete(f"api/v1/token/{made['id']}/")


def _take_terminal(descriptor: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize("text", ["", "two words\n", "csh_unknown\n"])
def test_what_is_no_token_is_not_kept(service: RunningService, machine: Machine, text: str) -> None:
    done = machine.run("login", service.url, "--token", text=text)
    assert done.returncode in (2, 3), done.stderr
    assert re.fullmatch(r"Error: .*\n", done.stderr)
    assert not machine.file.exists()


def test_a_token_on_standard_input_is_kept_for_that_service_alone(service: RunningService, machine: Machine) -> None:
    done = machine.run("login", service.url, "--token", "--output", "json", text="alice-token\n")
    assert json.loads(done.stdout) == {
        "service": service.url,
        "namespace": "alice",
        "kept_in": str(machine.file),
    }, done.stderr
    hub = {"CONDA_STORE_HUB_URL": service.url, "JUPYTERHUB_API_TOKEN": "bob-token"}
    again = machine.run("login", service.url, "--token", "--output", "name", text="alice-token\n", **hub)
    assert again.stdout == f"{service.url}\n"
    assert "own token of the Hub counts before this login" in again.stderr
    with run_twin() as other:
        machine.run("--conda-store-url", other.url, "info")
        assert {request.headers.get("Authorization") for request in other.requests} == {None}


def test_a_logout_that_the_service_does_not_hear_forgets_and_says_so(service: RunningService, machine: Machine) -> None:
    nowhere = "http://127.0.0.1:1/"
    machine.run("login", service.url, "--token", text="alice-token\n")
    machine.keep(nowhere, {"token": "csh_x", "made": True})
    done = machine.run("logout")
    assert (done.returncode, done.stdout) == (7, "")
    assert "which ends with “sh_x”, could not be ended" in done.stderr
    assert f"Revoke it on your page of the service, {nowhere}user/#tokens." in done.stderr
    assert machine.kept()["logins"] == {}


def test_a_logout_that_the_service_refuses_says_so(machine: Machine) -> None:
    with run_twin() as twin:
        refusal = b'{"error": "invalid_client", "error_description": "Unknown program"}'
        twin.state.instead = (401, {"Content-Type": "application/json"}, refusal)
        machine.keep(twin.url, {"token": "csh_x", "made": True})
        done = machine.run("logout")
    assert (done.returncode, done.stdout) == (7, "")
    assert "could not be ended: The service did not end the token: Unknown program. Revoke it on" in done.stderr


def test_a_logout_with_a_keyring_that_is_locked_forgets_nothing_unless_told(machine: Machine) -> None:
    nowhere = "http://127.0.0.1:1/"
    machine.keep(nowhere, {"token": None, "made": True})
    locked = machine.lock_keyring()
    done = machine.run("logout", **locked)
    assert (done.returncode, done.stdout) == (78, "")
    for words in ("does not give it: locked", "Nothing was ended or forgotten", f"{nowhere}user/#tokens", "--forget"):
        assert words in done.stderr
    assert nowhere in machine.kept()["logins"]
    unreachable = machine.run("logout")
    assert (unreachable.returncode, "cannot be reached from here" in unreachable.stderr) == (78, True)
    done = machine.run("logout", "--forget", "--output", "json", **locked)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"removed": nowhere}), done.stderr
    assert "Its token stays good" in done.stderr
    assert machine.kept()["logins"] == {}


def test_where_nothing_can_be_kept_nobody_is_asked_and_nothing_given(service: RunningService, machine: Machine) -> None:
    machine.keep(service.url, {"of": "a later version"})
    done = machine.run("login", service.url)
    assert (done.returncode, "is damaged" in done.stderr) == (78, True)
    assert not machine.sent.exists()
    assert listed(service) == []


def test_a_token_that_cannot_be_kept_in_the_end_goes_back(service: RunningService, machine: Machine) -> None:
    with machine.start("login", service.url) as process, service.browser("alice") as browser:
        address = machine.address()
        machine.file.mkdir()
        answer(browser, address)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 78, err
    assert listed(service) == []


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_token_whose_answer_did_not_come_through_is_ended(service: RunningService, is_heard: bool) -> None:
    class Interrupted(Client):
        tries = 0

        def exchange(self, form: Mapping[str, str]) -> str:
            self.tries += 1
            token = super().exchange(form) if is_heard or self.tries > 1 else ""
            if self.tries == 1:
                raise KeyboardInterrupt
            return token

    with Interrupted(service.url) as client, service.browser("alice") as browser:
        request = LoginRequest(url=service.url, role="viewer", host="h")
        page = answer(browser, request.address, role="viewer")
        shown = html.unescape(page.text.partition('id="code">')[2].partition("<")[0])
        code, _, _ = shown.partition("@")  # behind it is whose it is
        with pytest.raises(KeyboardInterrupt):
            login._exchange(client, request.make_exchange(code))
    assert listed(service) == []


def test_who_does_not_answer_is_told_what_would(service: RunningService, machine: Machine) -> None:
    done = machine.run("login", service.url, "--no-browser")
    assert done.returncode == 2
    assert done.stderr.endswith("make a token by hand, and use `conda-store login --token`.\n")
    assert "Error: There was no answer: " in done.stderr


def test_an_older_service_is_logged_in_to_by_a_token(machine: Machine) -> None:
    with run_twin() as older:
        done = machine.run("login", older.url)
    assert done.returncode == 2
    assert "conda-store login --token" in done.stderr


def test_ctrl_c_ends_a_login_quietly(service: RunningService, machine: Machine) -> None:
    with machine.start("login", service.url) as process:
        machine.address()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not machine.file.exists()


def test_a_login_that_others_could_read_is_refused(service: RunningService, machine: Machine) -> None:
    machine.run("login", service.url, "--token", text="alice-token\n")
    machine.file.chmod(0o644)
    for command in (("info",), ("logout",)):
        done = machine.run(*command)
        assert done.returncode == 78
        assert re.fullmatch(r"Error: .*can be read by others.*\n", done.stderr)
    assert machine.run("info", CONDA_STORE_URL=service.url, CONDA_STORE_TOKEN="alice-token").returncode == 0
