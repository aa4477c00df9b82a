from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conda_store_hub.core import lines, spec
from conda_store_hub.core.errors import InvalidSpecificationError, SpecificationTooLargeError

GOOD = """\
# what the course needs
name: ml
description: For the course
channels:
  - conda-forge
  - bioconda
dependencies:
  - python=3.10
  - numpy  >=1.20,<2
  - pip:
      - flask==2.0
variables:
  OMP_NUM_THREADS: 1
  ANSWER: yes
"""


def test_a_specification_keeps_the_text_of_versions_as_typed() -> None:
    parsed = spec.parse(GOOD)
    assert parsed.name == "ml"
    assert [entry.text for entry in parsed.channels] == ["conda-forge", "bioconda"]
    assert [entry.text for entry in parsed.dependencies] == ["python=3.10", "numpy  >=1.20,<2"]
    assert [entry.text for entry in parsed.pip] == ["flask==2.0"]
    assert parsed.variables == (("OMP_NUM_THREADS", "1"), ("ANSWER", "yes"))


def test_every_entry_knows_its_place() -> None:
    numpy = spec.parse(GOOD).dependencies[1]
    assert (numpy.line, numpy.column) == (9, 5)


def test_what_does_not_change_an_environment_does_not_change_its_digest() -> None:
    other = (
        GOOD.replace("name: ml", "name: other").replace("# what the course needs", "").replace("numpy  >", "numpy >")
    )
    swapped = other.replace("  - python=3.10\n  - numpy >=1.20,<2\n", "  - numpy >=1.20,<2\n  - python=3.10\n")
    assert spec.parse(GOOD).sha256() == spec.parse(other).sha256() == spec.parse(swapped).sha256()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  - conda-forge\n  - bioconda\n", "  - bioconda\n  - conda-forge\n"),
        ("python=3.10", "python=3.11"),
        ("flask==2.0", "flask==2.1"),
        ("OMP_NUM_THREADS: 1", "OMP_NUM_THREADS: 2"),
    ],
)
def test_channel_order_packages_pip_and_variables_change_the_digest(old: str, new: str) -> None:
    assert spec.parse(GOOD).sha256() != spec.parse(GOOD.replace(old, new)).sha256()


@pytest.mark.parametrize(
    ("text", "says", "line", "column"),
    [
        ("name: [", "not valid YAML", 2, 1),
        ("- a\n- b\n", "not a list", 1, 1),
        ("5", "not a list or a single value", 1, 1),
        ("", "empty", None, None),
        ("a: &x [1]\nb: *x", "aliases", 1, 4),
        ("[" * 25 + "]" * 25, "20 levels", 1, 21),
        ("name: ml\n---\nname: x", "one YAML document", 2, 1),
        ("name: ml\nname: ml", "twice", 2, 1),
        ("name: ml\nbuild: 5", "“build” is not known", 2, 1),
        ("name: a/b\ndependencies: [python]", "environment name", 1, 7),
        ("name: ml\ndependencies: python", "must be a list", 2, 15),
        ("name: ml\ndependencies:\n  - conda: [x]", "only `pip:`", 3, 5),
        ("name: ml\ndependencies:\n  - [x]", "single value", 3, 5),
        ("name: ml\ndependencies:\n  -\n", "empty value", 3, 4),
        ("name: ml\nchannels: [main]", "at least one dependency", 1, 1),
        ("name: ml\nvariables: {1a: x}\ndependencies: [x]", "environment variable", 2, 17),
        ("name: ml\nplatforms: [everything]\ndependencies: [x]", "not a platform", 2, 13),
        ("name: ml\0", "not valid YAML", None, None),
        ("name: \ud800", "not valid YAML", None, None),
    ],
)
def test_a_fault_is_named_with_its_place(text: str, says: str, line: int | None, column: int | None) -> None:
    with pytest.raises(InvalidSpecificationError, match=says) as caught:
        spec.parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize("unseen", ["\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("text", "says", "line", "column"),
    [
        ("name: ml\nbuild: 5", "“build” is not known", 3, 1),
        ("name: ml\n---\nname: x", "one YAML document", 3, 1),
        ("a: &x [1]\nb: *x", "aliases", 2, 4),
        ("name: ml\nname: [{]", "not valid YAML", 3, 9),
        ("name: [", "not valid YAML", 3, 1),
        ("name: ml\ndependencies: [{conda: [x]}]", "only `pip:`", 3, 17),
    ],
)
def test_a_line_is_counted_as_it_is_seen(
    text: str, says: str, line: int, column: int, ending: str, unseen: str
) -> None:
    typed = f"# pasted{unseen}#from{unseen}#elsewhere{unseen}\n{text}".replace("\n", ending)
    with pytest.raises(InvalidSpecificationError, match=says) as caught:
        spec.parse(f"\ufeff{typed}")
    assert (caught.value.line, caught.value.column) == (line, column)


def test_a_place_behind_a_break_that_is_not_seen_is_in_the_line_that_is() -> None:
    numpy = spec.parse("dependencies:\n- python # a\u2028- numpy\n- pandas\n").dependencies[1:]
    assert [(entry.text, entry.line, entry.column) for entry in numpy] == [("numpy", 2, 16), ("pandas", 3, 3)]


@given(st.lists(st.sampled_from(["a", "\n", "\r", "\r\n", "\x85", "\u2028", "\x0b", "\x1c"])).map("".join))
def test_lines_are_split_as_browsers_split_them(text: str) -> None:
    normalised = text.replace("\r\n", "\n").replace("\r", "\n")
    assert lines.split_lines(text) == (normalised.removesuffix("\n").split("\n") if text else [])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("name: ml # mine\n", "name: NEW # mine\n"),
        ("name: |\n  ml\n", "name: NEW\n"),
        ("name: >-\n\n  ml\n\n# next\n", "name: NEW\n\n# next\n"),
        ("\ufeffname: ml\n", "\ufeffname: NEW\n"),
        ("\ufeff# \u00e9\U0001f600\r\nname: ml\r\n", "\ufeff# \u00e9\U0001f600\r\nname: NEW\r\n"),
        ("name:\n", "name: NEW\n"),
        ("name: ~\n", "name: NEW\n"),
        ("name: !!str 'ml'\n", "name: NEW\n"),
        ("? name\n: ml\n", "? name\n: NEW\n"),
        ("# no name\n", "# no name\n"),
    ],
)
@pytest.mark.parametrize(
    ("name", "written"), [("Stats", "Stats"), ("null", '"null"'), ("1.10", '"1.10"'), ("true", '"true"')]
)
def test_a_rename_changes_the_name_and_nothing_else(before: str, after: str, name: str, written: str) -> None:
    rest = "channels: [main]\ndependencies: [python]\n"
    renamed = spec.rename(before + rest, name)
    assert renamed == after.replace("NEW", written) + rest
    assert spec.parse(renamed).name == (name if "NEW" in after else None)
    assert spec.parse(renamed).sha256() == spec.parse(before + rest).sha256()


def test_a_rename_fits_a_text_in_one_line() -> None:
    renamed = spec.rename('{"dependencies":["python"],"name":"ml"}', "x")
    assert renamed == '{"dependencies":["python"],"name":x}'
    assert spec.parse(renamed).name == "x"


def test_a_billion_laughs_are_refused_before_they_are_walked() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"k{i}: &k{i} [*a, *a, *a]\n" for i in range(30))
    with pytest.raises(InvalidSpecificationError, match="aliases"):
        spec.parse(bomb)


def test_nesting_that_would_end_the_process_is_refused() -> None:
    with pytest.raises(InvalidSpecificationError, match="nested"):
        spec.parse("[" * 200_000 + "]" * 200_000)


def test_more_than_a_megabyte_is_refused() -> None:
    with pytest.raises(SpecificationTooLargeError):
        spec.parse("name: ml\ndescription: " + "x" * 1_000_001)


def test_more_items_than_any_environment_has_are_refused() -> None:
    with pytest.raises(InvalidSpecificationError, match="more than 10000 items"):
        spec.parse("name: ml\ndependencies:\n" + "  - x\n" * 20_000)


@settings(max_examples=300)
@given(st.text(max_size=200) | st.text(alphabet="-:[]{}&*!|>'\"#%@ \n\tabc0", max_size=200))
def test_no_text_whatever_surprises_the_reader(text: str) -> None:
    try:
        spec.parse(text)
    except InvalidSpecificationError as exc:
        assert exc.public_message
