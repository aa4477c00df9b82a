"""How images in other registries are named, and where these are asked."""

from __future__ import annotations

import pytest

from conda_store_hub.core.errors import InvalidNameError
from conda_store_hub.core.references import ImageReference, is_near

DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("text", "address", "wanted"),
    [
        ("docker.io/library/debian:stable-slim", "https://registry-1.docker.io/v2/library/debian", "stable-slim"),
        ("docker://quay.io/a/b/c", "https://quay.io/v2/a/b/c", "latest"),
        (f"r.example:5000/a:1@{DIGEST}", "https://r.example:5000/v2/a", DIGEST),
        ("http://r.lan/a", "http://r.lan/v2/a", "latest"),
        ("localhost/a:1", "http://localhost/v2/a", "1"),
        ("localhost:5000/a:1", "http://localhost:5000/v2/a", "1"),
        ("127.0.0.1:5000/a:1", "http://127.0.0.1:5000/v2/a", "1"),
        ("[::1]:5000/a:1", "http://[::1]:5000/v2/a", "1"),
        ("[::1]/a:1", "http://[::1]/v2/a", "1"),
        ("https://localhost/a:1", "https://localhost/v2/a", "1"),
        ("[2001:db8::1]:5000/a:1", "https://[2001:db8::1]:5000/v2/a", "1"),
    ],
)
def test_a_reference_says_where_to_ask_for_what(text: str, address: str, wanted: str) -> None:
    found = ImageReference.parse(text)
    assert (found.address, found.wanted) == (address, wanted)


@pytest.mark.parametrize(
    "text",
    [
        *("", "debian", "library/debian:12", "docker.io", "docker.io/", "docker.io/Debian", "docker.io/a:b:c"),
        *("docker.io/a/../b", "docker.io//a", "docker.io/a@sha256:0", "docker.io/a?x=1", "user:pw@docker.io/a"),
        *("ftp://docker.io/a", "docker.io/a b", "docker.io/a\n", "docker.io:123456/a", "x" * 500),
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidNameError, match="is no reference of an image"):
        ImageReference.parse(text)


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.2", True),
        ("[::1]", True),
        ("0.0.0.0", True),
        ("169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("100.100.100.200", True),
        ("::ffff:169.254.169.254", True),
        ("64:ff9b::169.254.169.254", True),
        ("64:ff9b:1::127.0.0.1", True),
        ("2002:a9fe:a9fe::1", True),
        ("::127.0.0.1", True),
        ("64:ff9b::192.0.2.1", False),
        ("2002:c000:201::1", False),
        ("fd00:ec2::1", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_this_machine_and_where_clouds_tell_secrets_are_near_in_any_clothes(host: str, is_one: bool) -> None:
    assert is_near(host) is is_one
