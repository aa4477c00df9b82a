from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conda_store_hub.core import matchspec
from conda_store_hub.core.errors import InvalidSpecificationError, PolicyRefusedError
from conda_store_hub.core.spec import Entry

ALIAS = "https://channels.example"


def entry(text: str) -> Entry:
    return Entry(text=text, line=7, column=5)


def test_a_machine_has_one_of_each_virtual_package() -> None:
    matchspec.check_virtual_packages([entry("__cuda=12.6"), entry("__archspec=1=x86_64_v3")])
    with pytest.raises(InvalidSpecificationError, match="__cuda stands here twice") as caught:
        matchspec.check_virtual_packages([entry("__cuda=12"), Entry(text="__cuda=13", line=8, column=5)])
    assert caught.value.line == 8
    with pytest.raises(InvalidSpecificationError, match="is no virtual package"):
        matchspec.check_virtual_packages([entry("cuda=12")])


@pytest.mark.parametrize(
    "text", ["python", "numpy 1.20", "numpy=1.20", "numpy >=1.2,<2", "numpy=1.20=py39*", "a[version='>=1']"]
)
def test_ordinary_dependencies_are_read(text: str) -> None:
    assert str(matchspec.parse_dependency(entry(text)).name)


@pytest.mark.parametrize(
    "text", ["numpy >", "num py", "numpy >=1 foo bar", "py*", "a[nosuch=1]", "pip:", "x>=1; y", "numpy=="]
)
def test_what_is_no_dependency_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InvalidSpecificationError) as caught:
        matchspec.parse_dependency(entry(text))
    assert (caught.value.line, caught.value.column) == (7, 5)


@pytest.mark.parametrize(
    "text",
    ["https://x.example/foo-1-0.conda", "/abs/foo-1-0.conda", "./foo-1-0.conda", "../x", "~/x", "main::numpy",
     "numpy[channel=main]", "foo[url='file:///etc/passwd']", "file:///x-1-0.conda"],
)  # fmt: skip
def test_a_dependency_cannot_reach_outside_of_its_channels(text: str) -> None:
    with pytest.raises(PolicyRefusedError):
        matchspec.parse_dependency(entry(text))


@settings(max_examples=300)
@given(st.text(min_size=1, max_size=60) | st.text(alphabet="abc=<>~!*,|[]'\"() 0123.-_/:@;", min_size=1, max_size=40))
def test_no_dependency_whatever_surprises_the_reader(text: str) -> None:
    try:
        spec = matchspec.parse_dependency(entry(text))
    except InvalidSpecificationError:
        return
    except PolicyRefusedError:
        return
    assert spec.channel is None
    assert "url=" not in str(spec)


@pytest.mark.parametrize("text", ["flask", "flask>=2,<3", "flask[async]", "flask; python_version > '3'"])
def test_ordinary_pip_lines_are_read(text: str) -> None:
    assert matchspec.parse_pip_line(entry(text)).name == "flask"


@pytest.mark.parametrize("text", ["zip-files", "zope.zipper", "tar", "backports.tarfile", "zipp>=3", "a.zip.b"])
def test_a_name_that_only_looks_somewhat_like_a_file_is_read(text: str) -> None:
    assert matchspec.parse_pip_line(entry(text)).name == text.removesuffix(">=3")


@pytest.mark.parametrize(
    "text",
    ["-e .", "-r other.txt", "--index-url https://x", "git+https://x.example/y", "./local", "/etc/passwd", "~/x",
     "https://x.example/y.whl", "flask @ file:///x", "flask @ git+https://x.example/y", "..\\x",
     "foo.whl", "foo.WHL", "foo.tar.gz", "foo.zip", "foo.tgz", "foo.tar", "x-1.0-py3-none-any.whl", "foo.whl[extra]",
     "foo.zip ; python_version > '3'"],
)  # fmt: skip
def test_a_pip_line_is_a_name_with_versions_and_nothing_else(text: str) -> None:
    with pytest.raises(PolicyRefusedError) as caught:
        matchspec.parse_pip_line(entry(text))
    assert caught.value.line == 7


def test_a_pip_line_that_cannot_be_read_is_refused_in_words() -> None:
    with pytest.raises(InvalidSpecificationError, match="not a pip requirement"):
        matchspec.parse_pip_line(entry("fl ask"))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("main", f"{ALIAS}/main"),
        ("main/label/dev", f"{ALIAS}/main/label/dev"),
        (f"{ALIAS}/main/", f"{ALIAS}/main"),
    ],
)
def test_a_channel_under_the_alias_is_resolved(text: str, address: str) -> None:
    assert matchspec.resolve_channel(entry(text), alias=ALIAS, allowed=(ALIAS,)) == address


@pytest.mark.parametrize(
    "text",
    ["https://evil.example/x", "file:///x", "/x", "./x", "../x", "a/../b", "a/..", "https://u:p@channels.example/x",
     "https://channels.example.evil.example/x", f"{ALIAS}/../x", f"{ALIAS}/%2e%2e/x", f"{ALIAS}/x?y", "https://[x",
     "ftp://channels.example/x", ALIAS.replace("https", "http") + "/x", "", "a b", "a\\b"],
)  # fmt: skip
def test_a_channel_outside_what_is_allowed_is_refused(text: str) -> None:
    with pytest.raises(PolicyRefusedError):
        matchspec.resolve_channel(entry(text), alias=ALIAS, allowed=(ALIAS,))


def test_an_allowed_channel_allows_no_sibling_that_begins_alike() -> None:
    allowed = (f"{ALIAS}/main",)
    assert matchspec.resolve_channel(entry("main"), alias=ALIAS, allowed=allowed)
    with pytest.raises(PolicyRefusedError):
        matchspec.resolve_channel(entry("mainly"), alias=ALIAS, allowed=allowed)
