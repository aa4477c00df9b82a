"""`conda-store` on a terminal: tables, colours, questions and progress, drawn where somebody looks."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.service_twin import TOKEN, ServiceTwin, make_build, make_environment

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; from conda_store_hub.client.cli import main; sys.argv[0] = 'conda-store'; main()"


class Terminal:
    """A command on a terminal of its own, which is its input and both of its outputs."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str]) -> None:
        self.shown = ""
        self._pid, self._end = pty.fork()
        if self._pid == 0:
            for number in (signal.SIGINT, signal.SIGQUIT):  # a runner in a shell's background has them ignored
                signal.signal(number, signal.SIG_DFL)
            os.chdir(ROOT)
            os.execve(command[0], command, {**variables, "TERM": "xterm-256color", "LANG": "C.UTF-8"})

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C until it is heard: what comes just before Python waits for a line is heard with the next key."""
        ended = os.pidfd_open(self._pid)
        try:
            self.type("\x03")
            while not select.select([ended], [], [], 10)[0]:
                self.type("\x03")
        finally:
            os.close(ended)

    def read_until(self, text: str) -> None:
        """Read what is shown until a text comes."""
        while text not in self.shown:
            assert self._read(), self.shown

    def finish(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        _, status = os.waitpid(self._pid, 0)
        os.close(self._end)
        self._pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, 9)
            self.finish()

    def _read(self) -> bool:
        ready, _, _ = select.select([self._end], [], [], 60)
        assert ready, self.shown
        with suppress(OSError):  # on Linux, the end of a terminal that nobody holds
            piece = os.read(self._end, 1 << 16)
            self.shown += piece.decode(errors="replace").replace("\r\n", "\n")
            return bool(piece)
        return False


@contextmanager
def on_terminal(twin: ServiceTwin, *arguments: str, **variables: str) -> Generator[Terminal]:
    given = {"CONDA_STORE_URL": twin.url, "CONDA_STORE_TOKEN": TOKEN, "PATH": os.environ["PATH"], **variables}
    terminal = Terminal([sys.executable, "-c", PROGRAM, *arguments], given | {"COLUMNS": "100"})
    try:
        yield terminal
    finally:
        terminal.close()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_list_is_a_table_whose_columns_stay_where_they_are(twin: ServiceTwin) -> None:
    twin.state.environments = [make_environment(f"e{number:03}", number=number) for number in range(1, 151)]
    with on_terminal(twin, "list", "environment") as terminal:
        assert terminal.finish() == 0
    lines = plain(terminal.shown).splitlines()
    (head,) = [line for line in lines if "ENVIRONMENT" in line]
    rows = [line for line in lines if "alice/" in line]
    assert len(rows) == 150
    assert {row.index("alice/") for row in rows} == {head.index("ENVIRONMENT")}
    assert {row.index("COMPLETED") for row in rows} == {head.index("LATEST")}


def test_a_long_description_is_cut_and_moves_nothing(twin: ServiceTwin) -> None:
    twin.state.environments = [make_environment("ml"), {**make_environment("geo"), "description": "long " * 50}]
    with on_terminal(twin, "list", "environment") as terminal:
        assert terminal.finish() == 0
    lines = plain(terminal.shown).splitlines()
    assert all(len(line) <= 100 for line in lines)
    assert len(lines) == 4
    assert "…" in lines[3]


def test_no_color_draws_without_colour(twin: ServiceTwin) -> None:
    twin.state.environments = [make_environment("ml")]
    with on_terminal(twin, "list", "environment", NO_COLOR="1") as terminal:
        assert terminal.finish() == 0
    assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|9[0-7]|38|48)[0-9;]*m", terminal.shown)
    assert "alice/ml" in terminal.shown


def test_what_commands_a_terminal_is_shown_and_not_sent(twin: ServiceTwin) -> None:
    twin.state.environments = [{**make_environment("ml"), "description": "\x1b]0;owned\x07\x1b[2Jharmless"}]
    with on_terminal(twin, "list", "environment") as terminal:
        assert terminal.finish() == 0
    assert "\x1b]0;" not in terminal.shown
    assert "\x1b[2J" not in terminal.shown
    twin.state.log, twin.state.log_complete = b"\x1b]0;owned\x07done\n", True
    with on_terminal(twin, "logs", "1") as terminal:
        assert terminal.finish() == 0
    assert terminal.shown == "\\x1b]0;owned\\x07done\n"


@pytest.mark.parametrize(("typed", "code", "gone"), [("y\n", 0, True), ("n\n", 1, False), (None, 130, False)])
def test_delete_says_what_goes_and_asks(twin: ServiceTwin, typed: str | None, code: int, gone: bool) -> None:
    twin.state.environments = [make_environment("ml")]
    with on_terminal(twin, "delete", "alice/ml") as terminal:
        terminal.read_until("[y/N]")
        assert "Delete alice/ml with all its builds?" in terminal.shown
        if typed is None:
            terminal.interrupt()
        else:
            terminal.type(typed)
        assert terminal.finish() == code
    assert "Traceback" not in terminal.shown
    assert (twin.state.environments == []) is gone


def test_wait_draws_how_far_a_build_is(twin: ServiceTwin) -> None:
    twin.state.builds = {1: make_build(1, status="BUILDING")}
    with on_terminal(twin, "wait", "1") as terminal:
        terminal.read_until("alice/ml:1: building")
        with twin.changing() as state:
            state.builds = {1: make_build(1)}
            state.log_complete = True
        assert terminal.finish() == 0
    assert terminal.shown.rstrip().endswith("alice/ml:1 can be used")


def test_a_download_draws_how_much_there_is(twin: ServiceTwin, tmp_path: Path) -> None:
    twin.state.artifacts = {"archive": b"x" * 3_000_000}
    path = tmp_path / "file"
    with on_terminal(twin, "download", "1", "--artifact", "archive", "--output-filename", str(path)) as terminal:
        assert terminal.finish() == 0
    assert path.stat().st_size == 3_000_000
    assert plain(terminal.shown).rstrip().endswith(str(path))
