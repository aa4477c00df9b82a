"""The rest of what the OCI distribution specification 1.1 demands of pulling, content discovery and errors.

Each test names the section that it holds. What is not here is in `test_registry.py`.
"""

from __future__ import annotations

import ast
import gc
import inspect
import json
import re
import sys
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oras.client import OrasClient

from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.oci import MANIFEST_TYPE
from conda_store_hub.storage import prefixes
from conda_store_hub.web.registry.errors import (
    UNKNOWN_BLOB,
    UNKNOWN_MANIFEST,
    UNKNOWN_NAME,
    find_code,
    format_warning,
)
from tests.support.service import run_service
from tests.web import test_registry as registry
from tests.web.test_registry import ABSENT, LAYER, ML, Pushed, code_of, digest_of, pulling

#: "Endpoints": what may be asked of a registry that is only pulled from, and with which statuses it may fail.
ENDPOINTS = {
    "end-1": ("/v2/", set[int]()),
    "end-2": (f"{ML}/blobs/{ABSENT}", {404}),
    "end-3": (f"{ML}/manifests/absent", {404}),
    "end-8a": ("/v2/alice/none/tags/list", {404}),
    "end-8b": ("/v2/alice/none/tags/list?n=1&last=x", {404}),
    "end-12a": (f"{ML}/referrers/sha256:x", {400}),
    "end-12b": (f"{ML}/referrers/sha256:x?artifactType=a/b", {400}),
}

#: The sections of "Pull", "Content Discovery" and "API" that say what a registry MUST do.
SECTIONS = {
    *("Pulling manifests", "Pulling blobs", "Checking if content exists in the registry"),
    *("Listing Tags", "Listing Referrers"),
    *("Determining Support", "Endpoints", "Error Codes", "Warnings"),
}

#: Every MUST that is for a registry which is only pulled from, by section, with the tests that hold it.
MUSTS: dict[str, dict[str, tuple[Any, ...]]] = {
    "Pulling manifests": {
        "a reference is a digest or a tag, and nothing else": (
            registry.test_pulling_a_manifest_that_is_not_there_is_not_found,
        ),
        "a name matches the expression": (registry.test_a_name_that_is_none_is_said_to_be_none,),
        "a tag has at most 128 characters and matches the expression": (
            registry.test_a_key_that_is_longer_than_tags_may_be_is_cut,
            "test_each_tag_that_is_listed_can_be_pulled",
        ),
        "what is there is answered with 200 and its bytes": (
            registry.test_pulling_manifests_answers_with_exactly_its_bytes,
            "test_pulling_manifests_says_type_and_digest",
        ),
        "what is not there is 404": (
            registry.test_pulling_a_manifest_that_is_not_there_is_not_found,
            registry.test_an_unknown_repository_is_not_found,
            "test_pulling_manifests_of_any_tag_there_could_be_is_not_found",
        ),
    },
    "Pulling blobs": {
        "what is there is answered with 200 and its bytes": (registry.test_pulling_blobs_answers_with_their_bytes,),
        "the digest in the header is that of the body": ("test_pulling_blobs_says_digest_and_length",),
        "what is not there is 404": (registry.test_a_blob_that_is_not_there_is_not_found,),
    },
    "Checking if content exists in the registry": {
        "HEAD of what is there is 200": (
            registry.test_content_that_exists_is_told_with_digest_and_length_and_no_body,
            "test_pulling_manifests_says_type_and_digest",
        ),
        "HEAD of what is not there is 404": ("test_endpoints_fail_as_they_may",),
    },
    "Listing Tags": {
        "a repository that is there is 200, without tags too": (
            "test_listing_tags_of_a_repository_without_any_is_an_empty_list",
        ),
        "tags are in lexical order, without regard to case": (
            registry.test_tags_are_in_the_order_of_letters_without_regard_to_case,
        ),
        "a link is that of RFC 5988, to what is next": (registry.test_tags_are_listed_in_parts_that_links_join,),
        "`last` is a tag, and no place in a list": (
            "test_listing_tags_behind_one_begins_after_it_whether_it_is_there_or_not",
        ),
        "the body has name and tags": ("test_listing_tags_gives_exactly_so_many_unless_a_link_leads_on",),
        "with `n` there are so many, unless there are no more or a link leads on": (
            registry.test_tags_are_listed_in_parts_that_links_join,
            "test_listing_tags_gives_exactly_so_many_unless_a_link_leads_on",
        ),
        "with `n` of 0 there are none, and no link": (
            "test_listing_tags_gives_exactly_so_many_unless_a_link_leads_on",
        ),
        "without `last` the list begins at its beginning, with it behind that tag": (
            "test_listing_tags_behind_one_begins_after_it_whether_it_is_there_or_not",
        ),
    },
    "Listing Referrers": {
        "it is 200 and never 404": ("test_listing_referrers_is_never_not_found",),
        "a digest that is none is 400": (registry.test_referrers_are_an_empty_index,),
        "the body is an index of that media type, empty where nothing refers": (
            registry.test_referrers_are_an_empty_index,
            "test_listing_referrers_is_never_not_found",
        ),
        "a link leads on where one answer is not enough, which an empty one always is": (
            "test_listing_referrers_is_never_not_found",
        ),
        "a filter that was applied is said": (registry.test_referrers_are_an_empty_index,),
    },
    "Error Codes": {
        "a body in JSON has errors with a code of the table": (
            "test_whatever_is_asked_what_is_refused_is_refused_by_the_book",
            registry.test_pushing_and_deleting_are_not_supported,
            registry.test_an_address_that_is_none_is_an_error_by_the_book,
        ),
        "codes have upper-case letters and underscores": (
            "test_codes_of_4xx_are_those_of_the_table_whatever_is_refused",
        ),
    },
    "Warnings": {
        "their code is 299, their agent `-`, and they have no date": (
            "test_warnings_say_why_head_was_refused_in_one_line",
            "test_whatever_is_asked_what_is_refused_is_refused_by_the_book",
        ),
        "they have 4096 bytes at most": ("test_warnings_have_no_more_bytes_than_they_may",),
    },
    "Endpoints": {
        "each fails with the statuses that it may": (
            "test_endpoints_fail_as_they_may",
            "test_who_is_not_logged_in_gets_401_at_every_endpoint",
        ),
    },
    "Pushing Manifests": {
        "pulling of a repository that is not there is 404": (registry.test_an_unknown_repository_is_not_found,),
    },
    "Content Management": {
        "deletion that is disabled is 400 or 405": (registry.test_pushing_and_deleting_are_not_supported,),
    },
    "Determining Support": {
        "200 for who may pull": ("test_determining_support", registry.test_support_is_told_to_who_is_logged_in),
    },
}


def collect_tests(module: ModuleType, session: pytest.Session) -> dict[str, list[pytest.Function]]:
    """Return what pytest runs of a module, by the names of the functions, each as often as it has parameters."""
    collector: pytest.Module = pytest.Module.from_parent(session, path=Path(str(module.__file__)))
    found: dict[str, list[pytest.Function]] = {}
    for item in collector.collect():
        assert isinstance(item, pytest.Function)
        found.setdefault(item.originalname, []).append(item)
    return found


def says_something(test: Any) -> bool:
    """Tell whether a test asserts anything, by itself or through `code_of`."""
    tree = ast.parse(inspect.getsource(inspect.unwrap(test)))
    is_said = (isinstance(node, ast.Assert) or getattr(node, "id", "") == "code_of" for node in ast.walk(tree))
    return any(is_said)


def find_gaps(collected: dict[str, list[pytest.Function]], tests: Iterable[Any]) -> list[str]:
    """Return those of some tests that are not run, are skipped, or say nothing."""
    gaps: list[str] = []
    for test in tests:
        name = test if isinstance(test, str) else test.__name__
        items = collected.get(name, [])
        marks = {mark.name for item in items for mark in item.iter_markers()}
        if not items or marks & {"skip", "skipif", "xfail"} or not says_something(items[0].function):
            gaps.append(name)
    return gaps


def test_each_must_has_a_test(request: pytest.FixtureRequest) -> None:
    assert set(MUSTS) >= SECTIONS
    assert [must for musts in MUSTS.values() for must, tests in musts.items() if not tests] == []
    here = collect_tests(sys.modules[__name__], request.session)
    there = collect_tests(registry, request.session)
    named = [test for musts in MUSTS.values() for tests in musts.values() for test in tests]
    assert find_gaps(here, (test for test in named if isinstance(test, str))) == []
    assert find_gaps(there, (test for test in named if not isinstance(test, str))) == []
    assert find_gaps(here, ["absent", "says_nothing"]) == ["absent", "says_nothing"]
    assert not says_something(says_nothing)


def says_nothing() -> None:
    """Say nothing, as a test that is empty."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Generator[Pushed]:
    """The image of the active build of alice/ml, with one layer."""
    data = DataDirectory(tmp_path_factory.mktemp("d"))
    prefixes.ensure_data_directory(data, publish_links=False)
    with run_service(data) as service:
        build_id = service.completed()
        yield Pushed(service, build_id, service.store_image(build_id, LAYER))


@pytest.fixture(scope="module")
def alice(image: Pushed) -> Generator[httpx.Client]:
    with pulling(image.service) as client:
        yield client


# "Determining Support", "Endpoints"


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
def test_determining_support(alice: httpx.Client, path: str) -> None:
    assert alice.get(path).status_code == 200


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_endpoints_fail_as_they_may(alice: httpx.Client, name: str, method: str) -> None:
    path, statuses = ENDPOINTS[name]
    answer = alice.request(method, path)
    assert answer.status_code in (statuses or {200})
    if method == "HEAD":
        assert answer.content == b""


def test_who_is_not_logged_in_gets_401_at_every_endpoint(image: Pushed) -> None:
    with pulling(image.service, None) as nobody:
        for path, _ in ENDPOINTS.values():
            answer = nobody.get(path)
            assert (answer.status_code, code_of(answer)) == (401, "UNAUTHORIZED"), path
            assert "WWW-Authenticate" in answer.headers


# "Pulling manifests"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_pulling_manifests_says_type_and_digest(image: Pushed, alice: httpx.Client, method: str, by: str) -> None:
    reference = "latest" if by == "tag" else image.digest
    answer = alice.request(method, f"{ML}/manifests/{reference}", headers={"Accept": MANIFEST_TYPE})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == MANIFEST_TYPE, "without parameters"
    assert answer.headers["Docker-Content-Digest"] == image.digest
    assert answer.headers["Content-Length"] == str(len(image.manifest.to_json()))
    assert answer.content == (image.manifest.to_json() if method == "GET" else b"")


@pytest.mark.parametrize("tag", ["a" * 128, "_a.-B", "A1"])
def test_pulling_manifests_of_any_tag_there_could_be_is_not_found(alice: httpx.Client, tag: str) -> None:
    answer = alice.get(f"{ML}/manifests/{tag}")
    assert (answer.status_code, code_of(answer)) == (404, "MANIFEST_UNKNOWN")


# "Pulling blobs", "Checking if content exists in the registry"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_pulling_blobs_says_digest_and_length(image: Pushed, alice: httpx.Client, method: str) -> None:
    for digest, size in ((each.digest, each.size) for each in (image.manifest.config, *image.manifest.layers)):
        answer = alice.request(method, f"{ML}/blobs/{digest}")
        assert answer.status_code == 200
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.headers["Content-Length"] == str(size)
        assert answer.content == b"" or digest_of(answer.content) == digest
        assert (answer.content == b"") is (method == "HEAD")


SIZE = len(LAYER)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=-1", SIZE - 1, SIZE),
        (f"bytes=-{SIZE * 2}", 0, SIZE),
        (f"bytes={SIZE - 1}-{SIZE * 2}", SIZE - 1, SIZE),
        (f"bytes=0-{'9' * 400}", 0, SIZE),
    ],
)
def test_a_range_of_a_blob_is_sent_alone(image: Pushed, alice: httpx.Client, asked: str, start: int, end: int) -> None:
    answer = alice.get(f"{ML}/blobs/{image.layer}", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, LAYER[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={'9' * 400}-", "bytes=-0", f"bytes={SIZE}-{SIZE + 1}"])
def test_a_range_behind_the_end_of_a_blob_is_refused(image: Pushed, alice: httpx.Client, asked: str) -> None:
    answer = alice.get(f"{ML}/blobs/{image.layer}", headers={"Range": asked})
    assert (answer.status_code, code_of(answer)) == (416, "SIZE_INVALID")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "asked",
    ["bytes=0-0,2-2", "bytes=" + ",".join(f"{at}-{at}" for at in range(3000)), "bytes=5-1", "lines=1-2", "bytes=", "x"],
    ids=["two", "three thousand", "backwards", "lines", "none", "nonsense"],
)
def test_ranges_that_are_not_one_of_bytes_are_the_whole_blob(image: Pushed, alice: httpx.Client, asked: str) -> None:
    answer = alice.get(f"{ML}/blobs/{image.layer}", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, LAYER)


# "Listing Tags"


def test_listing_tags_gives_exactly_so_many_unless_a_link_leads_on(image: Pushed, alice: httpx.Client) -> None:
    whole = alice.get(f"{ML}/tags/list").json()["tags"]
    assert whole == sorted(whole, key=str.lower)
    for count in range(len(whole) + 2):
        answer = alice.get(f"{ML}/tags/list?n={count}")
        assert answer.status_code == 200
        assert answer.json() == {"name": "alice/ml", "tags": whole[:count]}
        assert ("Link" in answer.headers) is (0 < count < len(whole))


def test_listing_tags_behind_one_begins_after_it_whether_it_is_there_or_not(alice: httpx.Client) -> None:
    whole = alice.get(f"{ML}/tags/list").json()["tags"]
    for last in (*whole, "0", "a", "zz"):
        found = alice.get(f"{ML}/tags/list", params={"last": last}).json()["tags"]
        assert found == [tag for tag in whole if tag.lower() > last.lower()], last


def test_listing_tags_of_a_repository_without_any_is_an_empty_list(image: Pushed, alice: httpx.Client) -> None:
    service = image.service
    service.submit(name="untagged")
    answer = alice.get("/v2/alice/untagged/tags/list")
    assert (answer.status_code, answer.json()) == (200, {"name": "alice/untagged", "tags": []})
    assert answer.headers["Content-Type"] == "application/json"


def test_each_tag_that_is_listed_can_be_pulled(alice: httpx.Client) -> None:
    for tag in alice.get(f"{ML}/tags/list").json()["tags"]:
        assert re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", tag)
        assert alice.head(f"{ML}/manifests/{tag}").status_code == 200, tag


# "Listing Referrers"


@pytest.mark.parametrize("name", ["alice/ml", "alice/none", "bob/ml", "none", "a/b/c"])
def test_listing_referrers_is_never_not_found(image: Pushed, alice: httpx.Client, name: str) -> None:
    answer = alice.get(f"/v2/{name}/referrers/{image.digest}")
    assert answer.status_code == 200
    assert answer.json()["manifests"] == []
    assert "Link" not in answer.headers


# All of it, as a client does it that none of us has written


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # it closes none of its connections
@pytest.mark.parametrize("backend", ["basic", "token"])
def test_oras_logs_in_lists_and_pulls(image: Pushed, tmp_path: Path, backend: str) -> None:
    host = image.service.root_url.removeprefix("http://")
    client: Any = OrasClient(hostname=host, insecure=True, auth_backend=backend)
    with closing(client.session):
        client.login("token", "alice-token", hostname=host, config_path=str(tmp_path / "auth.json"), tls_verify=False)
        assert "latest" in client.get_tags(f"{host}/alice/ml")
        manifest = client.get_manifest(f"{host}/alice/ml:latest")
        assert manifest == json.loads(image.manifest.to_json())
        for part in (manifest["config"], *manifest["layers"]):
            pulled = Path(client.download_blob(f"{host}/alice/ml:latest", part["digest"], str(tmp_path / "blob")))
            assert digest_of(pulled.read_bytes()) == part["digest"]
    del client
    gc.collect()


# "Error Codes", "Warnings"

_PIECE = st.one_of(
    st.sampled_from(["alice", "ml", "manifests", "blobs", "tags", "list", "referrers", "uploads", "_catalog", "token"]),
    st.sampled_from(["%2e%2e", "%2f", "%00", "%ff", "latest", "1", ABSENT, "sha256:", "A", "a" * 300, ""]),
    st.from_regex(r"[A-Za-z0-9:@=,;+_~!$&'()*-][A-Za-z0-9:@=,;+._~!$&'()*-]{0,20}", fullmatch=True),
)


@given(
    path=st.lists(_PIECE, min_size=1, max_size=7).map("/".join),
    query=st.sampled_from(["", "?n=1", "?n=x", "?last=%ff", "?artifactType=%00"]),
    accept=st.sampled_from(["", "*/*", MANIFEST_TYPE, "text/html", ",;q=x"]),
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_what_is_refused_is_refused_by_the_book(
    alice: httpx.Client, path: str, query: str, accept: str, method: str
) -> None:
    answer = alice.request(method, f"/v2/{path}{query}", headers={"Accept": accept})
    assert answer.status_code < 500
    is_told = answer.status_code >= 400 and answer.status_code != 401 and method == "HEAD"
    assert len(answer.headers.get_list("Warning")) == is_told
    if is_told:
        read_warning(answer)
    if answer.status_code >= 400 and method != "HEAD":
        code_of(answer)


def read_warning(answer: httpx.Response) -> str:
    """Return the words of a warning, whose shape is that of "Warnings"."""
    line = answer.headers["Warning"]
    found = re.fullmatch(r'299 - "((?:[ !#-\[\]-~]|\\["\\])+)"', line)
    assert found is not None, line
    assert len(line) < 4096
    return re.sub(r"\\(.)", r"\1", found[1])


def test_codes_of_4xx_are_those_of_the_table_whatever_is_refused() -> None:
    kinds = list_errors(CondaStoreHubError)
    found = [find_code(kind.__new__(kind), unknown) for kind in kinds for unknown in UNKNOWN]
    assert {code for status, code in found if status < 500} <= registry.CODES
    assert [code for _, code in found if not re.fullmatch(r"[A-Z_]+", code)] == []


UNKNOWN = (UNKNOWN_NAME, UNKNOWN_MANIFEST, UNKNOWN_BLOB)


def list_errors(kind: type[CondaStoreHubError]) -> set[type[CondaStoreHubError]]:
    """Return all kinds of errors that are of a kind."""
    return {kind, *(each for inner in kind.__subclasses__() for each in list_errors(inner))}


def test_warnings_say_why_head_was_refused_in_one_line(alice: httpx.Client) -> None:
    for path, words in {
        f"{ML}/manifests/absent": 'There is no image "alice/ml:absent".',
        "/v2/Alice/ml/manifests/latest": "lower-case letters",
        "/v2/conda-store-dynamic/python.lt/manifests/latest": '"python.lt": there is no version after ".lt."',
    }.items():
        answer = alice.head(path)
        assert (answer.status_code >= 400, answer.content) == (True, b"")
        assert words in read_warning(answer)
        assert "Warning" not in alice.get(path).headers, "where the body says it"


def test_warnings_have_no_more_bytes_than_they_may() -> None:
    for message in ('\\"' * 9000, "ü“…\r\n├─ \x00\x7f" * 999, "a" * 9000):
        line = format_warning(message)
        read_warning(httpx.Response(404, headers={"Warning": line}))
        assert len(line) <= 4096
