"""Scripts that say how they are run: what counts as such a line, and that none is run by itself for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from conda_store_hub.client.shebang import expand
from conda_store_hub.core.errors import InvalidRequestError

FIRST = "#!/usr/bin/env conda-store\n"
RUN = ["run", "alice/ml:12", "--", "python"]


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "script.py"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_the_path_comes_last_and_then_the_callers_arguments(tmp_path: Path) -> None:
    script = write(tmp_path, f"{FIRST}#! conda-store run alice/ml:12 -- python -u\nprint(1)\n")
    assert expand([script, "--x", "a b", "--"]) == [*RUN, "-u", script, "--x", "a b", "--"]


@pytest.mark.parametrize(
    "lines",
    [
        "#! conda-store run alice/ml:12 -- python\n",
        "#! conda-store run alice/ml:12 -- python",
        "#! conda-store run\n#! conda-store alice/ml:12\n#! conda-store --\n#! conda-store python\n",
        "#! conda-store run alice/ml:12 -- python\nprint(1)\n#! conda-store --not-this\n",
        "#! conda-store run alice/ml:12 -- python\r\nprint(1)\r\n",
        "#!conda-store run 'alice/ml:12' -- \"python\"\n",
        "# -*- coding: utf-8 -*-\n#! conda-store run alice/ml:12 -- python\n",
        "// #! conda-store run alice/ml:12 -- python\n",
        "-- #! conda-store run alice/ml:12 -- python\n",
        "% #! conda-store run alice/ml:12 -- python\n",
        "\n#! conda-store run alice/ml:12 -- python\n\xff\xfe",
    ],
)
def test_lines_are_joined_whatever_the_language(tmp_path: Path, lines: str) -> None:
    assert expand([script := write(tmp_path, FIRST + lines)]) == [*RUN, script]


@pytest.mark.parametrize(
    "first", ["#!/usr/bin/env -S conda-store\n", "#! /usr/bin/env conda-store\n", "#!/opt/bin/conda-store\n"]
)
def test_the_first_line_may_name_the_command_in_other_ways(tmp_path: Path, first: str) -> None:
    script = write(tmp_path, f"{first}#! conda-store run alice/ml:12 -- python\n")
    assert expand([script]) == [*RUN, script]
    script = write(tmp_path, f"{first[:-1]}\r\n#! conda-store run alice/ml:12 -- python\r\n")
    assert expand([script]) == [*RUN, script]


def test_two_hundred_lines_are_joined(tmp_path: Path) -> None:
    many = "".join(f"#! conda-store --x={number}\n" for number in range(200))
    script = write(tmp_path, f"{FIRST}#! conda-store run alice/ml:12 -- python\n{many}")
    assert expand([script]) == [*RUN, *(f"--x={number}" for number in range(200)), script]


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "print('nothing more')\n",
        "\n\n#! conda-store run alice/ml:12 -- python\n",
        "#! conda-store\n",
        "#! conda-stores run alice/ml:12 -- python\n",
        "#! conda-store delete alice/ml\n",
        "#! conda-store delete alice/ml -- python\n",
        "#! conda-store --conda-store-url https://evil.example run alice/ml -- python\n",
        "#! conda-store run alice/ml:12\n",
        "#! conda-store run alice/ml:12 --\n",
        "#! conda-store run -- python\n",
        "#! conda-store run alice/ml:12 python\n",
        "#! conda-store run alice/ml:12 -- 'python\n",
        "#! conda-store run alice/ml:12 -- \udcffpython\n",
        f"#! conda-store run alice/ml:12 -- python {'x' * 10_000}\n",
        "#! conda-store run alice/ml:12 -- python\n" * 1_001,
    ],
)
def test_what_does_not_say_how_it_is_run_is_refused_in_words(tmp_path: Path, lines: str) -> None:
    script = write(tmp_path, (FIRST + lines).encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidRequestError, match=r"script\.py"):
        expand([script])


@pytest.mark.parametrize(
    "text", ["", "#!/usr/bin/env python\n", "#!/usr/bin/env conda-store-hub\n", "#!/usr/bin/env xconda-store\n", "\0"]
)
def test_what_is_no_script_of_ours_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    script = write(tmp_path, text)
    for arguments in ([], ["info"], ["--help"], [script], ["--ca-file", script], ["wait", script]):
        assert expand(arguments) == arguments


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="No such file"):
        expand([str(tmp_path / "missing")])
    with pytest.raises(InvalidRequestError, match="Is a directory"):
        expand([str(tmp_path)])
