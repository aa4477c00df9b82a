"""Lock files that people bring: what is read, and what is refused with its line."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conda_store_hub.core.errors import InvalidSpecificationError, SpecificationTooLargeError
from conda_store_hub.core.lockfiles import LockedPackage, SourceKind, detect_kind, parse_lock

MD5, SHA = "0123456789abcdef" * 2, "ab" * 32
CHANNEL = "https://conda.example.org/main"
PACKAGE = f"""
- name: numpy
  version: 1.26.4
  manager: conda
  platform: linux-64
  dependencies:
    python: '>=3.11,<3.12.0a0'
    libblas:
  url: {CHANNEL}/linux-64/numpy-1.26.4-py311_0.conda
  hash:
    md5: {MD5}
    sha256: {SHA}
  category: main
  optional: false
"""
WHEEL = f"""
- name: Tiny_pip
  version: '1.2'
  manager: pip
  platform: linux-64
  dependencies: {{}}
  url: https://files.example.org/a/tiny_pip-1.2-py3-none-any.whl
  hash:
    sha256: {SHA}
"""


def conda_lock(*packages: str) -> str:
    return "version: 1\nmetadata:\n  platforms:\n  - linux-64\npackage:" + "".join(packages)


def explicit(*lines: str) -> str:
    return "\n".join(["# made by hand", "# platform: linux-64", "@EXPLICIT", *lines, ""])


def at(package: str, line: int | None = None) -> str:
    with pytest.raises(InvalidSpecificationError) as caught:
        parse_lock(package)
    assert caught.value.line is not None
    if line is not None:
        assert caught.value.line == line
    return caught.value.message


def test_a_conda_lock_is_read_into_exact_packages() -> None:
    lock = parse_lock(conda_lock(PACKAGE, WHEEL))
    assert (lock.kind, lock.platforms) == (SourceKind.CONDA_LOCK, ("linux-64",))
    numpy, tiny = lock.list_packages("linux-64")
    assert numpy == LockedPackage(
        manager="conda",
        name="numpy",
        version="1.26.4",
        build="py311_0",
        subdir="linux-64",
        channel=CHANNEL,
        url=f"{CHANNEL}/linux-64/numpy-1.26.4-py311_0.conda",
        sha256=SHA,
        md5=MD5,
        dependencies=("python >=3.11,<3.12.0a0", "libblas *"),
        platform="linux-64",
        line=6,
    )
    assert (tiny.manager, tiny.name, tiny.version, tiny.channel, tiny.sha256) == ("pip", "Tiny_pip", "1.2", "", SHA)
    assert [(each.text, each.line) for each in lock.list_channels("linux-64")] == [(CHANNEL, 6)]


def test_an_explicit_list_is_read_into_exact_packages() -> None:
    text = explicit(f"{CHANNEL}/linux-64/a-b-1.0-h1_2.conda#{MD5}", f"{CHANNEL}/noarch/c-2-0.tar.bz2#sha256:{SHA}")
    lock = parse_lock(text)
    assert (lock.kind, lock.platforms) == (SourceKind.EXPLICIT, ("linux-64",))
    first, second = lock.list_packages("linux-64")
    assert (first.name, first.version, first.build, first.md5, first.sha256) == ("a-b", "1.0", "h1_2", MD5, "")
    assert (second.name, second.subdir, second.sha256, second.line) == ("c", "noarch", SHA, 5)


def test_a_list_of_noarch_packages_fits_any_platform() -> None:
    lock = parse_lock(f"@EXPLICIT\n{CHANNEL}/noarch/c-2-0.conda#{MD5}")
    assert lock.platforms == ()
    assert lock.list_packages("osx-arm64") == lock.packages


def test_a_lock_has_no_packages_for_another_platform() -> None:
    for text in (conda_lock(PACKAGE), explicit(f"{CHANNEL}/noarch/c-2-0.conda#{MD5}")):
        with pytest.raises(InvalidSpecificationError, match="no packages for osx-arm64; it is for linux-64"):
            parse_lock(text).list_packages("osx-arm64")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (conda_lock(PACKAGE), SourceKind.CONDA_LOCK),
        ("# c\n\n@EXPLICIT\n", SourceKind.EXPLICIT),
        (f"{CHANNEL}/noarch/c-2-0.conda", SourceKind.EXPLICIT),
        ("name: x\ndependencies:\n- python\n", SourceKind.SPECIFICATION),
        ("version: 9\npackage: []", SourceKind.CONDA_LOCK),
        ("", SourceKind.SPECIFICATION),
        ("[" * 100_000, SourceKind.SPECIFICATION),
    ],
)
def test_a_text_is_told_apart(text: str, kind: SourceKind) -> None:
    assert detect_kind(text) is kind


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("    md5: " + MD5 + "\n    sha256: " + SHA, "    {}", None, "numpy has no hash"),
        ("  hash:\n    md5: " + MD5 + "\n    sha256: " + SHA + "\n", "", 6, "numpy has no hash"),
        (MD5, "beef", 15, "“beef” is no md5"),
        ("https://conda", "ftp://conda", 13, "no http(s) address"),
        ("https://conda", "file:///conda", 13, "no http(s) address"),
        ("https://conda", "https://user:secret@conda", 13, "a user, a password or a token"),
        ("/main/", "/t/tk-123/main/", 13, "a user, a password or a token"),
        ("/main/", "/main/../other/", 13, "no plain address"),
        ("/main/", "/main/%2e%2e/other/", 13, "no plain address"),
        ("_0.conda", "_0.conda?x=y", 13, "no plain address"),
        ("_0.conda", "_0.zip", 13, "not the address of a conda package"),
        ("/linux-64/", "/src/", 13, "does not lie in a channel"),
        ("/linux-64/", "/osx-arm64/", 13, "listed for linux-64, and its address is for osx-arm64"),
        ("/numpy-1", "/pandas-1", 13, "that of another package: pandas"),
        ("64/numpy-1.26.4", "64/numpy-1.26.5", 13, "that of another version: 1.26.5"),
        ("  category", "  build: py312_0\n  category", 13, "that of another build: py311_0"),
        ("manager: conda", "manager: spack", 8, "“spack” is no package manager"),
        ("platform: linux-64\n  d", "platform: mars\n  d", 9, "“mars” is not a platform"),
        ("  version: 1.26.4\n", "", 6, "`version:` is missing here"),
        ("  version: 1.26.4\n", "  version: [1]\n", 7, "must be one line of text"),
        ("  optional", "  name: numpy\n  optional", 18, "“name” stands here twice"),
        ("  optional", "  x: &a 1\n  optional", 18, "Anchors and aliases"),
        ("https://conda.example.org", "http://[::1", 13, "is no address"),
        ("example.org", "example.org:99999", 13, "is no address"),
    ],
)
def test_a_fault_of_a_conda_lock_is_refused_with_its_line(old: str, new: str, line: int | None, words: str) -> None:
    assert old in PACKAGE
    assert words in at(conda_lock(PACKAGE.replace(old, new, 1)), line)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (conda_lock(PACKAGE).replace("version: 1\n", "version: 2\n", 1), "version “2” is not known"),
        (conda_lock(PACKAGE).replace("version: 1\n", "", 1), "`version:` is missing"),
        (conda_lock(" []"), "names no package"),
        (conda_lock(PACKAGE.replace("category: main", "category: dev")), "no package of the category main"),
        (conda_lock(" 5"), "has a list `package:`"),
        (conda_lock("\n- 5"), "Expected names with values"),
        (conda_lock(PACKAGE, PACKAGE.replace(MD5, "f" * 32)), "numpy is listed twice, and not alike; first in line 6"),
        (conda_lock(WHEEL, WHEEL.replace("Tiny_pip", "tiny-pip")), "tiny-pip is listed twice"),
        (conda_lock(WHEEL.replace("py3-none-any.whl", "x.tar.gz")), "not the address of a wheel"),
        (conda_lock(WHEEL.replace("/tiny_pip-1.2", "/other-1.2")), "that of another package: other"),
        (conda_lock(WHEEL.replace(f"sha256: {SHA}", f"md5: {MD5}")), "has no SHA-256"),
        (conda_lock(WHEEL) + "\n---\nx: 1", "one YAML document"),
        ("version: 1\npackage: " + "[" * 200_000, "nested more than 20 levels"),
        ("version: 1\npackage:\n\t- x", "not valid YAML"),
    ],
)
def test_a_conda_lock_that_is_none_is_refused(text: str, words: str) -> None:
    assert words in at(text)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{CHANNEL}/noarch/c-2-0.conda", "has no hash"),
        (f"{CHANNEL}/noarch/c-2-0.conda#beef", "no MD5 and no SHA-256"),
        (f"{CHANNEL}/noarch/c-2-0.conda#sha256:{MD5}x", "no MD5 and no SHA-256"),
        (f"{CHANNEL}/osx-64/c-2-0.conda#{MD5}", "for linux-64, and this package for osx-64"),
        (f"file:///x/noarch/c-2-0.conda#{MD5}", "no http(s) address"),
        (f"https://u:p@h/noarch/c-2-0.conda#{MD5}", "a user, a password"),
        (f"https://h/c-2-0.conda#{MD5}", "does not lie in a channel"),
        (f"/etc/noarch/c-2-0.conda#{MD5}", "no http(s) address"),
        ("conda install numpy", "has no hash"),
        (f"{CHANNEL}/noarch/c-2-0.conda#{MD5}\n{CHANNEL}/noarch/c-3-0.conda#{MD5}", "c is listed twice"),
        (f"# pip six @ https://files.example.org/six-1.17.0-py3-none-any.whl#sha256={SHA}", "a package of pip"),
        (f"# pip six === 1.17.0 --hash=sha256:{SHA}", "a package of pip"),
    ],
)
def test_a_fault_of_an_explicit_list_is_refused_with_its_line(line: str, words: str) -> None:
    assert words in at(explicit(line), 4 + line.count("\n"))


def test_an_explicit_list_is_for_one_platform_and_says_what_it_is() -> None:
    two = f"@EXPLICIT\n{CHANNEL}/linux-64/a-1-0.conda#{MD5}\n{CHANNEL}/osx-64/b-1-0.conda#{MD5}"
    assert "linux-64 and osx-64; it can be for one" in at(two, 3)
    assert "has a line @EXPLICIT" in at(f"{CHANNEL}/noarch/c-2-0.conda#{MD5}", 1)
    assert "names no package" in at("@EXPLICIT", 1)


def test_a_package_of_several_categories_is_taken_once_and_an_extra_not_at_all() -> None:
    dev = PACKAGE.replace("category: main", "category: dev").replace("optional: false", "optional: true")
    extra = WHEEL.replace("py3-none-any.whl", "x.tar.gz") + "  category: docs\n"
    lock = parse_lock(conda_lock(dev, PACKAGE, extra, PACKAGE))
    assert [each.name for each in lock.packages] == ["numpy"]


def test_a_byte_order_mark_hides_no_lock() -> None:
    for text in (explicit(f"{CHANNEL}/noarch/c-2-0.conda#{MD5}", "# pip is not needed here"), conda_lock(PACKAGE)):
        assert detect_kind("\ufeff" + text) is detect_kind(text)
        assert parse_lock("\ufeff" + text) == parse_lock(text)


def test_a_lock_of_many_packages_is_read_and_one_of_more_is_refused() -> None:
    many = [f"{CHANNEL}/noarch/p{number}-2-0.conda#{MD5}" for number in range(3_001)]
    assert len(parse_lock(explicit(*many[:-1])).packages) == 3_000
    assert "more than 3,000 packages" in at(explicit(*many), 3_004)
    package = PACKAGE.replace("numpy", "p{}")
    large = conda_lock(*(package.replace("p{}", f"p{number}") for number in range(3_001)))
    started = time.process_time()
    assert "more than 3,000 packages" in at(large)
    assert time.process_time() - started < 20


def test_a_lock_names_no_more_channels_than_can_be_asked() -> None:
    many = [f"{CHANNEL}/{number}/noarch/p{number}-2-0.conda#{MD5}" for number in range(51)]
    assert len(parse_lock(explicit(*many[:-1])).list_channels("linux-64")) == 50
    assert "more than 50 channels" in at(explicit(*many), 54)


def test_a_text_that_is_too_large_is_not_looked_at() -> None:
    with pytest.raises(SpecificationTooLargeError, match="larger than 4 MB"):
        parse_lock("@EXPLICIT\n" + "#" * 8_000_001)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_line_of_a_lock_is_counted_as_it_is_seen(ending: str) -> None:
    explicit = "# from\u2028a page\n@EXPLICIT\nhttps://example.org/\n".replace("\n", ending)
    with pytest.raises(InvalidSpecificationError, match="no hash") as caught:
        parse_lock(explicit)
    assert caught.value.line == 3

    locked = conda_lock(PACKAGE)
    (package,) = parse_lock(locked).packages
    (moved,) = parse_lock(f"# from\u2028#a\x85#page\n{locked}".replace("\n", ending)).packages
    assert moved == package.model_copy(update={"line": package.line + 1})


_PIECES = st.sampled_from(
    [
        *(
            "@EXPLICIT\n",
            "package:\n",
            "version: 1\n",
            "- ",
            "  ",
            "\n",
            "\r",
            "\x85",
            "\u2028",
            "#",
            "[",
            "{",
            ":",
            "null",
            "~",
        ),
        *(
            f"{CHANNEL}/noarch/c-2-0.conda",
            f"#{MD5}",
            "# platform: linux-64\n",
            "https://[",
            "https://h:x/",
            "\ud800",
            "%ff",
        ),
        *PACKAGE.splitlines(keepends=True),
        *WHEEL.splitlines(keepends=True),
    ]
)


@settings(max_examples=500)
@given(st.text(max_size=100) | st.lists(_PIECES, max_size=40).map("".join))
def test_no_lock_whatever_surprises_the_reader(text: str) -> None:
    for start in ("", "@EXPLICIT\n", "version: 1\npackage:\n"):
        try:
            parse_lock(start + text)
        except InvalidSpecificationError as exc:
            assert exc.public_message


@settings(max_examples=500)
@given(st.integers(0, len(PACKAGE) - 1), st.text(max_size=3), st.integers(0, 5))
def test_no_change_of_a_lock_surprises_the_reader(place: int, new: str, length: int) -> None:
    try:
        (package,) = parse_lock(conda_lock(PACKAGE[:place] + new + PACKAGE[place + length :])).packages
    except InvalidSpecificationError as exc:
        assert exc.public_message
    else:
        assert package.url.startswith("http")
        assert package.md5 or package.sha256
