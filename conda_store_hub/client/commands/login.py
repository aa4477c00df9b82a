"""`login` and `logout`."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from conda_store_hub.client.commands.output import Format, note, output_option, show_removed, show_value
from conda_store_hub.client.commands.program import find_given_options
from conda_store_hub.client.commands.questions import ask
from conda_store_hub.client.connection import (
    AuthKind,
    Connection,
    Credentials,
    Source,
    find_connection,
    is_hub_service,
)
from conda_store_hub.core.errors import (
    CondaStoreHubError,
    ConfigurationError,
    InvalidRequestError,
    NotAuthenticatedError,
)

if TYPE_CHECKING:
    from conda_store_hub.client.api import Client
    from conda_store_hub.client.credentials import Logins
    from conda_store_hub.client.login import LoginRequest

_ROLES = ("viewer", "developer", "admin")
_MOST_TYPED = 10_000
_UNKNOWN = "The service does not know this token, or it has ended: make another one on your page there."


@click.command()
@click.argument("url", required=False)
@click.option("--token", "pasted", is_flag=True, help="Take a token that you paste or pipe in; it is not shown.")
@click.option("--no-browser", is_flag=True, help="Print the address, and take the code that is shown there.")
@click.option(
    "--role",
    type=click.Choice(_ROLES),
    default="admin",
    show_default=True,
    help="What to ask for: you can give less in the browser, and it is never more than you have.",
)
@output_option
@click.pass_context
def login(ctx: click.Context, url: str | None, pasted: bool, no_browser: bool, role: str, output: Format) -> None:
    """Log in to the service at URL.

    A browser asks whether you let conda-store in, and for how long. The token is kept in the system's keyring where
    there is one, else in a file that only you can read. Later commands use the service without its address. Without
    URL, it is the service that other commands use, see `conda-store info`.
    """
    from conda_store_hub.client.credentials import Logins

    found, logins = _find_service(ctx, url), Logins()
    logins.require_room()
    with found.connect() as client:
        token = _read_token() if pasted else _ask_browser(client, role, can_open=not no_browser and _can_open())
        before = _find_made(logins, client.url)
        with _given_back_on_failure(client, None if pasted else token):
            name = _require_known(found, token)
            in_keyring = logins.keep(client.url, token, made=not pasted)
        place = "the system's keyring" if in_keyring else str(logins.path)
        note(f"Logged in to {client.url} as {name}. The token is in {place}.")
        if before is not None:
            _end_former(client, before)
        _warn_of_others(client.url)
        _show_login(client.url, name, "keyring" if in_keyring else str(logins.path), output)


@click.command()
@click.argument("url", required=False)
@click.option("--forget", is_flag=True, help="Only forget it, also where the keyring or the service does not answer.")
@output_option
@click.pass_context
def logout(ctx: click.Context, url: str | None, forget: bool, output: Format) -> None:
    """End the login to the service at URL, and forget it.

    Without URL, it is the service that other commands use, see `conda-store info`.

    A token that was pasted is forgotten, and stays good: revoke it on your page of the service.
    """
    from conda_store_hub.client.credentials import Logins

    logins = Logins()
    with _find_service(ctx, url).connect() as client:
        if not logins.has(client.url):
            note(f"You are not logged in to {client.url}.")
            show_removed(None, output)
            return
        if forget or not logins.is_made(client.url):
            logins.forget(client.url, whatever=forget)
            note(f"Logged out of {client.url}. Its token stays good: revoke it on {_name_page(client)}.")
        else:
            _log_out(client, logins)
        show_removed(client.url, output)


def _log_out(client: Client, logins: Logins) -> None:
    """End a token, then forget it, so that who is interrupted can do it once more."""
    token = _find_token(client, logins)
    if token is None:
        logins.forget(client.url)
        note(f"The keyring had no token for {client.url} any more: if it was not ended, {_name_page(client)} has it.")
        return
    try:
        client.give_back(token)
    except CondaStoreHubError as exc:
        logins.forget(client.url)
        raise type(exc)(
            f"The login is forgotten here, but its token, which ends with “{token[-4:]}”, could not be ended:"
            f" {exc.public_message} Revoke it on {_name_page(client)}."
        ) from exc
    logins.forget(client.url)
    note(f"Logged out of {client.url}.")


def _find_token(client: Client, logins: Logins) -> str | None:
    try:
        return logins.find_token(client.url)
    except ConfigurationError as exc:
        raise ConfigurationError(
            f"{exc.public_message} Nothing was ended or forgotten. Or revoke the token on {_name_page(client)}, and"
            " have it forgotten with `conda-store logout --forget`."
        ) from exc


def _find_made(logins: Logins, url: str) -> str | None:
    """Return the token of a login before this one, which goes with it."""
    with suppress(ConfigurationError):  # a keyring that does not give it
        return logins.find_token(url) if logins.is_made(url) else None
    return None


def _end_former(client: Client, token: str) -> None:
    try:
        client.give_back(token)
    except CondaStoreHubError as exc:
        note(
            f"The token of your login before, which ends with “{token[-4:]}”, could not be ended: {exc.public_message}"
            f" Revoke it on {_name_page(client)}."
        )


@contextmanager
def _given_back_on_failure(client: Client, token: str | None) -> Generator[None]:
    """Leave no token behind that nobody has, whatever comes between, Ctrl-C included."""
    try:
        yield
    except BaseException:
        if token is not None:
            _end_former(client, token)
        raise


def _name_page(client: Client) -> str:
    return f"your page of the service, {client.url}user/#tokens"


def _warn_of_others(url: str) -> None:
    """Say what counts before a login."""
    if os.environ.get("CONDA_STORE_TOKEN"):
        note("CONDA_STORE_TOKEN is set: it counts before this login.")
    elif is_hub_service(url, os.environ):
        note("This server's own token of the Hub counts before this login.")


def _show_login(url: str, name: str, kept_in: str, output: Format) -> None:
    from conda_store_hub.client.commands.answers import LoggedIn

    if output is Format.NAME:
        click.echo(url)
    elif output is not Format.TABLE:
        show_value(LoggedIn(service=url, namespace=name, kept_in=kept_in), output)


def _find_service(ctx: click.Context, url: str | None) -> Connection:
    """Return the service that is meant, with nothing to show to it yet."""
    given = find_given_options(ctx)
    if url and given.url:
        raise InvalidRequestError("Give the address as URL or as --conda-store-url, not both.")
    return find_connection(replace(given, url=url or given.url, auth=AuthKind.NONE))


def _require_known(found: Connection, token: str) -> str:
    """Return whose a token is."""
    shown = replace(found, credentials=Credentials(source=Source.LOGIN, token=token))
    with shown.connect() as client:
        try:
            who = client.permission()
        except NotAuthenticatedError as exc:
            raise NotAuthenticatedError(_UNKNOWN) from exc
    if not who.authenticated:
        raise NotAuthenticatedError(_UNKNOWN)
    return who.primary_namespace


def _read_token() -> str:
    """Return what is pasted without showing it, or what comes on standard input."""
    instead = "pipe the token in, or set CONDA_STORE_TOKEN"
    token = (
        ask("Token", instead=instead, hide_input=True) if sys.stdin.isatty() else sys.stdin.read(_MOST_TYPED).strip()
    )
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidRequestError("That is no token: it is one line without spaces.")
    return token


# In the browser


def _ask_browser(client: Client, role: str, *, can_open: bool) -> str:
    from conda_store_hub.client.login import LoginRequest

    if not client.takes_logins():
        raise InvalidRequestError(
            f"{client.url} takes no logins by a browser: make a token on your page there, and use"
            " `conda-store login --token`."
        )
    request = LoginRequest(url=client.url, role=role, host=platform.node().partition(".")[0])
    return _wait_for_browser(client, request) if can_open else _ask_for_code(client, request)


def _wait_for_browser(client: Client, request: LoginRequest) -> str:
    from conda_store_hub.client.login import Listener

    with Listener(request) as listener:
        address = listener.request.address
        note(f"Answer in your browser. If none opens, open this address on this machine:\n\n  {address}\n")
        _open_browser(address)
        return _exchange(client, listener.request.make_exchange(listener.wait()))


def _open_browser(address: str) -> None:
    """Have a browser opened by another process: one in the foreground is not waited for.

    It stays open for longer than this, and who reads the answer would wait for it: it gets no standard output of ours.
    """
    import subprocess
    import threading

    says_to = sys.stderr.fileno() if sys.stderr.isatty() else subprocess.DEVNULL
    opening = [sys.executable, "-P", "-m", "webbrowser", address]
    process = subprocess.Popen(opening, stdout=says_to, stderr=says_to)
    threading.Thread(target=process.wait, daemon=True).start()


def _ask_for_code(client: Client, request: LoginRequest) -> str:
    note(f"Open this address in a browser, and come back with the code that is shown there:\n\n  {request.address}\n")
    typed = ask("Code", instead="where nobody can paste one, make a token by hand, and use `conda-store login --token`")
    return _exchange(client, request.make_exchange(request.read_typed(typed)))


def _exchange(client: Client, form: Mapping[str, str]) -> str:
    """Return the token that a code stands for.

    Where the answer does not come through, the token may have been made. Who shows a code twice has its token ended;
    and if the code did not come through, the token that it brings now goes back.
    """
    try:
        return client.exchange(form)
    except NotAuthenticatedError:
        raise
    except BaseException:
        with suppress(CondaStoreHubError):
            client.give_back(client.exchange(form))
        raise


def _can_open() -> bool:
    """Tell whether there is a browser here that its user sees."""
    if os.environ.get("BROWSER"):
        return True
    if os.environ.get("SSH_CONNECTION") or not sys.stdin.isatty():
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
