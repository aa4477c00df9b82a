"""Each command of `conda-store` against a real service, with environments that were really built."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conda_store_hub.client.api import Client
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.storage import prefixes
from tests.support import make
from tests.support.channel import tiny_channel
from tests.support.process import until
from tests.support.service import RunningService, run_service
from tests.support.shell import Shell, write

OLD, NEW = "app <2", "app >=2"


@dataclass(frozen=True)
class Stack:
    """A service that builds, and who is at it."""

    service: RunningService
    alice: Shell
    bob: Shell
    nobody: Shell
    root: Shell

    def build(self, name: str, *dependencies: str, shell: Shell | None = None) -> int:
        """Have an environment built and return the number of its build."""
        done = (shell or self.alice).run("create", "-", "--wait", text=make.text(name, *dependencies))
        return int(done.stdout)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    data = DataDirectory(tmp_path_factory.mktemp("d"))
    prefixes.ensure_data_directory(data, publish_links=False)
    with serve_channel(tiny_channel(tmp_path_factory.mktemp("channels") / "main")) as channel:
        rules = make.rules(channel_aliases={"main": channel}, allowed_channels=["main"], artifacts=[ArtifactType.YAML])
        with run_service(data, rules=rules, allow_anonymous=True) as service, service.building():
            shells = [Shell(service.url, token) for token in ("alice-token", "bob-token", None, "root-token")]
            yield Stack(service, *shells)


@pytest.fixture(scope="module")
def ml(stack: Stack) -> tuple[int, int]:
    """Two builds of alice/ml: the second is active."""
    return stack.build("ml", OLD), stack.build("ml", NEW)


# Who and what


def test_info_says_where_from_and_as_whom(stack: Stack) -> None:
    done = stack.alice.run("info")
    assert f"service    {stack.service.url}" in done.lines
    assert "namespace  alice" in done.lines
    assert "token      from the environment" in done.lines
    found = stack.alice.json("info")
    assert (found["namespace"], found["authenticated"], found["credentials_from"]) == ("alice", True, "the environment")
    assert found["roles"]["alice/*"] == ["admin"]
    assert "none: you are not logged in" in stack.nobody.run("info").stdout


def test_whoami_is_a_name_or_a_failure(stack: Stack) -> None:
    assert stack.alice.run("whoami").stdout == "alice\n"
    assert stack.alice.json("whoami")["primary_namespace"] == "alice"
    assert "conda-store login" in stack.nobody.fail(3, "whoami")


# Lists


def test_namespaces_are_listed(stack: Stack, ml: tuple[int, int]) -> None:
    assert stack.alice.run("list", "namespace").lines == ["alice\tuser", "group.physics\tgroup"]
    assert [each["name"] for each in stack.alice.json("list", "namespace")] == ["alice", "group.physics"]
    assert stack.alice.names("list", "namespace") == ["alice", "group.physics"]


def test_environments_are_listed_and_filtered(stack: Stack, ml: tuple[int, int]) -> None:
    (row,) = [line for line in stack.alice.run("list", "environment").lines if line.startswith("alice/ml\t")]
    assert row.split("\t")[1:3] == [str(ml[1]), "COMPLETED"]
    for found in (stack.alice.json, stack.alice.yaml):
        (each,) = found("list", "environment", "--search", "alice/ml", "--status", "completed")
        assert each["current_build_id"] == ml[1]
    assert "alice/ml" in stack.alice.names("list", "environment", "--package", "app>=2", "-n", "alice")
    assert stack.alice.names("list", "environment", "--package", "app<2", "-n", "alice") == []
    assert stack.bob.json("list", "environment") == []
    assert stack.bob.yaml("list", "environment") == []


def test_builds_are_listed_the_newest_first_and_filtered(stack: Stack, ml: tuple[int, int]) -> None:
    old, new = ml
    assert stack.alice.names("list", "build", "-e", "alice/ml") == [f"alice/ml:{new}", f"alice/ml:{old}"]
    assert stack.alice.names("list", "build", "-e", "ml", "--package", "app<2") == [f"alice/ml:{old}"]
    rows = [line.split("\t") for line in stack.alice.run("list", "build", "-n", "alice", "-e", "ml").lines]
    assert [(row[0], row[3]) for row in rows] == [(str(new), "active"), (str(old), "")]
    assert stack.alice.json("list", "build", "-e", "ml", "--status", "FAILED") == []
    assert "names a build" in stack.alice.fail(2, "list", "build", "-e", f"alice/ml:{old}")
    assert stack.root.names("list", "build", "-e", "ml") == [], "a name alone is one's own"
    assert stack.root.names("list", "build", "-n", "alice", "-e", "ml") == [f"alice/ml:{new}", f"alice/ml:{old}"]
    assert stack.alice.names("list", "build", "-e", "ml", "--artifact", "pixi", "--status", "FAILED") == []
    assert "two namespaces" in stack.alice.fail(2, "list", "build", "-n", "bob", "-e", "alice/ml")


def test_packages_are_listed_with_why_they_are_there(stack: Stack, ml: tuple[int, int]) -> None:
    old, _ = ml
    assert stack.alice.names("list", "package", "ml") == ["app=2.0=0", "base-lib=2.0=0"]
    rows = [line.split("\t") for line in stack.alice.run("list", "package", f"alice/ml:{old}").lines]
    assert [(row[0], row[1], row[4]) for row in rows] == [("app", "1.0", "asked"), ("base-lib", "1.0", "needed")]
    assert [each["name"] for each in stack.alice.json("list", "package", old, "--search", "base")] == ["base-lib"]


def test_channels_are_searched(stack: Stack) -> None:
    found = stack.alice.run("search", "base-lib")
    assert found.lines[0].split("\t")[:3] == ["base-lib", "2.0", "2"]
    assert stack.alice.names("search", "base-lib") == ["base-lib"]
    assert stack.alice.json("search", "base-lib")[0]["name"] == "base-lib"
    assert "of" in stack.alice.run("search", "a", "--limit", "1").stderr


# Specifications


def test_create_prints_the_number_and_waits(stack: Stack, tmp_path: Path) -> None:
    file = write(tmp_path / "environment.yaml", make.text("made", "app"))
    done = stack.alice.run("create", file, "--wait", "--description", "for a test")
    assert done.lines == [str(int(done.stdout))]
    assert f"alice/made:{done.stdout.strip()} can be used" in done.stderr
    assert stack.alice.json("list", "environment", "--search", "alice/made")[0]["description"] == "for a test"
    again = stack.alice.json("create", file, "--no-activate", "--wait")
    assert (again["status"], again["active"]) == ("COMPLETED", False)


def test_what_cannot_be_built_is_told_before_or_after(stack: Stack) -> None:
    assert "(line " in stack.alice.fail(2, "create", "-", text="dependencies: [a\n")
    said = stack.alice.fail(10, "create", "-", "--wait", text=make.text("bad", "needs-nothing-real"))
    assert "cannot be installed" in said
    assert "conda-store logs" in said
    assert stack.bob.fail(5, "create", "-", "-n", "alice", text=make.text("x", "app")).startswith("Error: ")
    assert "log in" in stack.nobody.fail(3, "create", "-", text=make.text("x", "app")).lower()


def test_apply_does_what_is_needed_and_nothing_else(stack: Stack, tmp_path: Path) -> None:
    alice, file = stack.alice, write(tmp_path / "environment.yaml", make.text("applied", OLD))
    dry = alice.run("apply", file, "--dry-run")
    assert "+- app <2" in dry.stderr.replace("  ", "")
    assert "would be built" in dry.stderr
    assert [line.split("\t")[0] for line in dry.lines] == ["app", "base-lib"]
    first = alice.run("apply", file, "--wait").stdout
    assert "unchanged" in alice.run("apply", file).stderr
    file.write_text(f"# a comment is no change\n{make.text('applied', OLD)}")
    assert alice.run("apply", file).stdout == first
    file.write_text(make.text("applied", NEW))
    dry = alice.run("apply", file, "--dry-run")
    assert dry.lines == ["~\tapp\t1.0 0\t2.0 0", "~\tbase-lib\t1.0 0\t2.0 0"]
    assert "-  - app <2\n+  - app >=2" in alice.run("apply", file, "--wait").stderr
    alice.run("rollback", "applied")
    assert "would have build" in alice.run("apply", file, "--dry-run").stderr
    assert "activated" in alice.run("apply", file).stderr
    file.write_text(f"description: of {first}{make.text('applied', NEW)}")
    assert "described" in alice.run("apply", file).stderr
    alice.run("rollback", "applied")
    file.write_text(f"description: anew\n{make.text('applied', NEW)}")
    planned = alice.json("apply", file, "--dry-run")
    assert (planned["step"], planned["description"], planned["solved"]) == ("activated", "anew", None)
    assert "another description" in alice.run("apply", file, "--dry-run").stderr
    alice.run("apply", file)
    assert "unchanged" in alice.run("apply", file).stderr
    assert alice.json("list", "environment", "--search", "alice/applied")[0]["description"] == "anew"
    file.write_text(make.text("applied", "base-lib"))
    planned = alice.json("apply", file, "--dry-run")
    assert (planned["step"], planned["environment"]) == ("submitted", "alice/applied")
    assert [each["name"] for each in planned["solved"]["diff"]["removed"]] == ["app"]
    assert len(alice.names("list", "build", "-e", "alice/applied")) == 2


@pytest.mark.parametrize("others", [OLD, NEW])
def test_two_that_apply_the_same_at_once_have_it_built_once(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, others: str
) -> None:
    name = f"raced-{len(others)}"
    submit = Client.submit

    def submit_second(*arguments: Any, **more: Any) -> int:
        monkeypatch.undo()
        stack.alice.run("create", "-", text=make.text(name, others))
        return submit(*arguments, **more)

    monkeypatch.setattr(Client, "submit", submit_second)
    done = stack.alice.ask("apply", "-", "--wait", text=make.text(name, OLD))
    (build,) = stack.alice.names("list", "build", "-e", f"alice/{name}")
    if others == OLD:
        assert (done.code, f"alice/{name}:{done.stdout}") == (0, f"{build}\n")
    else:
        assert (done.code, done.stdout) == (6, ""), "what they want is something else"


def test_a_lock_file_is_applied_by_name(stack: Stack, ml: tuple[int, int], tmp_path: Path) -> None:
    lock = tmp_path / "lock.yml"
    stack.alice.run("download", "ml", "--output-filename", lock)
    assert "--name" in stack.alice.fail(2, "apply", lock)
    stack.alice.run("apply", lock, "--name", "locked", "--wait")
    assert "unchanged" in stack.alice.run("apply", lock, "--name", "locked").stderr
    assert stack.alice.names("list", "package", "locked") == ["app=2.0=0", "base-lib=2.0=0"]


def test_edit_builds_what_an_editor_left(stack: Stack, tmp_path: Path) -> None:
    stack.build("edited", OLD)
    change = "sed -i 's/app <2/app >=2/'"
    done = stack.alice.run("edit", "edited", "--wait", EDITOR=change)
    assert stack.alice.names("list", "package", done.stdout.strip())[0] == "app=2.0=0"
    assert "Nothing was changed" in stack.alice.run("edit", "edited", EDITOR="true").stderr
    for code, editor, text in (
        (2, "sed -i 's/dependencies:/dependences:/'", "dependences"),
        (1, "sh -c 'echo mine >> $0; exit 7'", "mine"),  # an editor that crashed
        (2, "sh -c 'printf \"name: edited\\ndependencies: [app]\\n# \\377mine\" > $0'", "app"),
    ):
        said = stack.alice.fail(code, "edit", "edited", EDITOR=editor)
        kept = Path(re.search(r" kept in (\S+)\.\n", said)[1])  # type: ignore[index]
        assert text in kept.read_bytes().decode(errors="replace")
        kept.unlink()
    assert "names a build" in stack.alice.fail(2, "edit", "edited:1", EDITOR="true")


def test_edit_keeps_what_was_written_where_somebody_else_was_first(stack: Stack, tmp_path: Path) -> None:
    stack.build("contested", OLD)
    other = write(tmp_path / "other.yaml", make.text("contested", "base-lib"))
    script = write(tmp_path / "editor.py", _CONTEST.format(url=stack.service.url, file=other))
    said = stack.alice.fail(6, "edit", "contested", EDITOR=f"python3 {script}")
    kept = Path(said.rpartition(" kept in ")[2].strip().removesuffix("."))
    assert "mine" in kept.read_text()
    kept.unlink()
    assert len(stack.alice.names("list", "build", "-e", "alice/contested")) == 2


# An editor during which somebody else submits.
_CONTEST = """
import json, sys, urllib.request
from pathlib import Path
body = {{"specification": Path("{file}").read_text(), "namespace": "alice"}}
headers = {{"Authorization": "Bearer alice-token", "Content-Type": "application/json"}}
address = "{url}api/v1/specification/"
urllib.request.urlopen(urllib.request.Request(address, json.dumps(body).encode(), headers)).read()
path = Path(sys.argv[1])
path.write_text(path.read_text() + "# mine\\n  - has-prefix\\n")
"""


def test_solve_tells_the_packages_without_a_build(stack: Stack, tmp_path: Path) -> None:
    file = write(tmp_path / "environment.yaml", make.text("never-built", NEW))
    before = stack.alice.names("list", "build")
    rows = [line.split("\t") for line in stack.alice.run("solve", file).lines]
    assert [(row[0], row[1], row[4]) for row in rows] == [("app", "2.0", "asked"), ("base-lib", "2.0", "needed")]
    assert [each["name"] for each in stack.alice.json("solve", file)["packages"]] == ["app", "base-lib"]
    assert stack.alice.names("solve", file) == ["app=2.0=0", "base-lib=2.0=0"]
    lock = stack.alice.run("solve", file, "--output", "lock").lines
    assert lock[0] == "@EXPLICIT"
    assert all("://" in line and "#sha256:" in line for line in lock[1:])
    assert len(lock) == 3
    assert stack.alice.names("list", "build") == before
    assert "is not a platform" in stack.alice.fail(2, "solve", file, "--platform", "amiga")
    assert "cannot be installed" in stack.alice.fail(10, "solve", "-", text=make.text("x", "needs-nothing-real"))


# Builds


def test_wait_ends_with_what_became_of_the_build(stack: Stack, ml: tuple[int, int]) -> None:
    done = stack.alice.run("wait", "ml")
    assert (done.stdout, done.stderr) == ("", f"alice/ml:{ml[1]} can be used\n")
    assert stack.alice.json("wait", ml[0])["id"] == ml[0]
    stack.alice.run(
        "wait", "alice/ml", "--timeout", 600, "--interval", 10, "--artifact", "build"
    )  # as conda-store has it
    stack.alice.fail(5, "wait", "999999")
    stack.alice.fail(5, "wait", f"alice/made:{ml[0]}")
    assert "no environment and no build" in stack.alice.fail(2, "wait", "alice/ml:x")


def test_wait_has_a_file_made_and_does_not_wait_for_what_cannot_come(stack: Stack, ml: tuple[int, int]) -> None:
    assert stack.alice.json("wait", ml[0], "--artifact", "explicit")["status"] == "COMPLETED"
    stack.alice.run("wait", ml[0], "--artifact", "logs")
    failed = int(stack.alice.ask("create", "-", "--wait", text=make.text("bad", "needs-nothing-real")).stdout)
    assert "cannot be installed" in stack.alice.fail(10, "wait", failed, "--artifact", "archive")


def test_logs_are_those_of_the_newest_build(stack: Stack, ml: tuple[int, int]) -> None:
    assert stack.alice.run("logs", "ml").stdout == stack.alice.run("logs", ml[1], "--follow").stdout
    assert "app" in stack.alice.run("logs", f"alice/ml:{ml[0]}").stdout


@pytest.mark.parametrize(
    ("artifact", "name", "says"),
    [
        ("yaml", "environment.yaml", b"- app=2.0=0"),
        ("lockfile", "conda-lock.yml", b"package:"),
        ("explicit", "explicit.txt", b"@EXPLICIT"),
        ("pixi", "pixi.lock", b"base-lib"),
        ("sbom", "sbom.cdx.json", b'"bomFormat": "CycloneDX"'),
        ("logs", "log.txt", b"app"),
    ],
)
def test_every_file_is_downloaded(
    stack: Stack, ml: tuple[int, int], tmp_path: Path, artifact: str, name: str, says: bytes
) -> None:
    done = stack.alice.run("download", "ml", "--artifact", artifact, "--output-filename", tmp_path)
    path = tmp_path / f"ml-{ml[1]}-{name}"
    assert done.stdout == f"{path}\n"
    assert says in path.read_bytes()
    printed = stack.alice.run("download", ml[1], "--artifact", artifact, "--output-filename", "-").stdout
    kept = path.read_bytes()
    assert printed.encode()[: len(kept)] == kept
    assert artifact == "logs" or len(printed.encode()) == len(kept), "only a log grows"


def test_an_sbom_names_the_packages_of_its_build_and_is_told_to_scripts(
    stack: Stack, ml: tuple[int, int], tmp_path: Path
) -> None:
    told = stack.alice.json("download", f"alice/ml:{ml[0]}", "--artifact", "sbom", "--output-filename", tmp_path)
    path = tmp_path / f"ml-{ml[0]}-sbom.cdx.json"
    found = path.read_bytes()
    assert told == {
        "path": str(path),
        "build_id": ml[0],
        "artifact": "SBOM",
        "size": len(found),
        "sha256": hashlib.sha256(found).hexdigest(),
    }
    document = json.loads(found)
    root = document["metadata"]["component"]
    assert (root["group"], root["name"], root["version"]) == ("alice", "ml", str(ml[0]))
    assert [(one["name"], one["version"]) for one in document["components"]] == [("app", "1.0"), ("base-lib", "1.0")]
    assert f"alice/ml:{ml[0]}" in stack.alice.names("list", "build", "--artifact", "sbom")


def test_there_is_no_sbom_of_what_failed_or_of_what_one_may_not_read(
    stack: Stack, ml: tuple[int, int], tmp_path: Path
) -> None:
    failed = int(stack.alice.ask("create", "-", "--wait", text=make.text("bad", "needs-nothing-real")).stdout)
    said = stack.alice.fail(5, "download", failed, "--artifact", "sbom", "--output-filename", tmp_path)
    assert f"Build {failed} is FAILED and has no SBOM." in said
    stack.bob.fail(5, "download", ml[0], "--artifact", "sbom", "--output-filename", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_is_downloaded_whole(stack: Stack, ml: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "ml.tar.gz"
    stack.alice.run("download", "ml", "--artifact", "archive", "--output-filename", path)
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
        assert "bin/app" in archive.getnames()
    assert "alice/ml" in stack.alice.names("list", "environment", "--artifact", "archive")
    assert f"alice/ml:{ml[0]}" not in stack.alice.names("list", "build", "--artifact", "archive")
    told = {each["artifact_type"]: each["sha256"] for each in stack.alice.json("wait", ml[1])["build_artifacts"]}
    assert told["CONDA_PACK"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_download_that_cannot_be_leaves_nothing(stack: Stack, ml: tuple[int, int], tmp_path: Path) -> None:
    assert "cannot be written" in stack.alice.fail(1, "download", "ml", "--output-filename", tmp_path / "no" / "file")
    stack.bob.fail(5, "download", "alice/ml", "--output-filename", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_diff_tells_what_changed(stack: Stack, ml: tuple[int, int]) -> None:
    old, new = ml
    assert stack.alice.run("diff", old, "ml").lines == ["~\tapp\t1.0 0\t2.0 0", "~\tbase-lib\t1.0 0\t2.0 0"]
    assert [each["new"]["version"] for each in stack.alice.json("diff", old, new)["changed"]] == ["2.0", "2.0"]
    assert stack.alice.names("diff", new, old) == ["app", "base-lib"]
    same = stack.alice.run("diff", new, new)
    assert (same.stdout, same.stderr) == ("", "the same 2 packages\n")


def test_activate_and_rollback(stack: Stack) -> None:
    old, new = stack.build("turned", OLD), stack.build("turned", NEW)
    assert f"alice/turned:{old} is active" in stack.alice.run("rollback", "turned").stderr
    assert "no completed build before" in stack.alice.fail(6, "rollback", "turned")
    assert stack.alice.json("activate", f"turned:{new}")["current_build_id"] == new
    assert stack.alice.json("rollback", "alice/turned")["current_build_id"] == old
    assert "Say which build" in stack.alice.fail(2, "activate", "turned")
    stack.bob.fail(5, "activate", new)


def test_rebuild(stack: Stack, ml: tuple[int, int]) -> None:
    made = stack.build("again", OLD)
    rebuilt = stack.alice.json("rebuild", "again", "--exact", "--wait")
    assert (rebuilt["status"], rebuilt["lock_build_id"]) == ("COMPLETED", made)
    assert int(stack.alice.run("rebuild", made, "--no-activate", "--wait").stdout) > rebuilt["id"]


def test_delete_asks_or_is_told_and_restore_brings_back(stack: Stack) -> None:
    build = stack.build("gone", "app")
    assert "--yes" in stack.alice.fail(2, "delete", "gone")
    assert stack.alice.names("list", "environment", "--search", "alice/gone") == ["alice/gone"]
    deleted = stack.alice.run("delete", "gone", "--yes", "--output", "json")
    assert json.loads(deleted.stdout) == {"removed": "alice/gone"}
    assert "conda-store restore alice/gone" in deleted.stderr
    stack.alice.fail(5, "delete", "gone", "--yes")
    assert "alice/gone is back" in stack.alice.run("restore", "gone").stderr
    assert stack.alice.names("list", "environment", "--search", "alice/gone") == ["alice/gone"]
    assert "active" in stack.alice.fail(6, "delete", build, "--yes")
    with stack.service.client("alice") as http:
        http.put(f"api/v1/build/{build}/lease/", json={"holder": "a notebook"}).raise_for_status()
    assert "With --force it is deleted" in stack.alice.fail(6, "delete", "gone", "--yes")
    newer = stack.build("gone", NEW)
    assert f"alice/gone:{build} was deleted" in stack.alice.run("delete", f"gone:{build}", "-y", "--force").stderr
    assert "was deleted" in stack.alice.fail(5, "wait", build)
    assert stack.alice.run("list", "build", "-e", "alice/gone").lines[1].split("\t")[2] == "deleted"
    stack.alice.run("wait", newer)


def test_share_gives_lists_and_takes_back(stack: Stack, ml: tuple[int, int]) -> None:
    stack.bob.run("info")
    assert "user:bob is viewer of alice/ml" in stack.alice.run("share", "give", "ml", "bob", "viewer").stderr
    assert stack.bob.names("list", "environment") == ["alice/ml"]
    assert "user:bob\tviewer" in stack.alice.run("share", "list", "alice/ml").stdout
    stack.bob.fail(4, "rebuild", "alice/ml")
    assert stack.alice.json("share", "give", "ml", "bob", "developer", "--until", "1h")["role"] == "developer"
    (bob,) = stack.alice.json("share", "list", "ml")
    assert bob["expires_on"] is not None
    changed = stack.alice.json("share", "give", "ml", "bob", "viewer")
    assert (changed["role"], changed["expires_on"]) == ("viewer", bob["expires_on"]), "another role lasts no longer"
    endless = stack.alice.json("share", "give", "ml", "bob", "viewer", "--until", "never")
    assert endless["expires_on"] is None
    assert stack.alice.json("share", "remove", "ml", "user:bob") == {"removed": "user:bob"}
    assert stack.bob.names("list", "environment") == []
    stack.alice.fail(5, "share", "remove", "ml", "bob")
    assert "names nobody" in stack.alice.fail(2, "share", "give", "ml", "group:", "viewer")
    stack.alice.run("share", "give", "alice/", "anyone", "viewer")
    assert "alice/ml" in stack.nobody.names("list", "environment")
    assert stack.alice.names("share", "list", "alice/") == ["user:alice", "anyone"]
    stack.alice.run("share", "remove", "alice/", "anyone")
    assert "cannot be taken back" in stack.alice.fail(2, "share", "remove", "alice/", "alice")


def test_a_token_is_made_listed_used_and_revoked(stack: Stack, ml: tuple[int, int]) -> None:
    made = stack.alice.run("token", "make", "--label", "for CI", "--expiration", "60", "-n", "alice")
    limited = Shell(stack.service.url, made.stdout.strip())
    assert limited.run("whoami").stdout == "alice\n"
    assert "for CI" in stack.alice.run("token", "list").stdout
    (row,) = [each for each in stack.alice.json("token", "list") if each["label"] == "for CI"]
    assert row["scopes"] == [{"on": "alice/*", "role": "viewer"}]
    seconds = _seconds_between(row["created_on"], row["expires_on"])
    assert 55 <= seconds <= 65
    limited.fail(4, "rebuild", "ml")
    revoked = stack.alice.run("token", "revoke", row["id"], "--output", "name")
    assert (revoked.stdout, revoked.stderr) == (f"{row['id']}\n", f"token {row['id']} was revoked\n")
    assert "CONDA_STORE_TOKEN" in limited.fail(3, "list", "environment")
    wide = Shell(stack.service.url, stack.alice.run("token", "make", "--role", "developer").stdout.strip())
    stack.build("by-token", "app", shell=wide)
    narrow = stack.alice.json("token", "make", "--permission", "alice/ml:viewer,editor")
    assert narrow["id"] in {each["id"] for each in stack.alice.json("token", "list")}
    assert stack.alice.json("token", "revoke", narrow["id"]) == {"removed": str(narrow["id"])}
    assert narrow["id"] not in {each["id"] for each in stack.alice.json("token", "list")}
    assert "PLACE:ROLE" in stack.alice.fail(2, "token", "make", "--permission", "alice/ml:king")
    assert "no time" in stack.alice.fail(2, "token", "make", "--expiration", "soon")


def _seconds_between(one: str, other: str) -> float:
    from datetime import datetime

    return (datetime.fromisoformat(other) - datetime.fromisoformat(one)).total_seconds()


# Names


def test_a_name_alone_is_ones_own_and_nothing_is_guessed(stack: Stack, ml: tuple[int, int]) -> None:
    stack.bob.run("info")
    stack.alice.run("share", "give", "ml", "bob", "viewer")
    said = stack.bob.fail(5, "download", "ml")
    assert "There is no environment bob/ml. Do you mean alice/ml?" in said
    stack.alice.run("share", "remove", "ml", "bob")
    assert "Say NAMESPACE/ml" in stack.nobody.fail(2, "wait", "ml")


def test_a_number_that_is_a_build_and_an_environment_is_not_guessed(stack: Stack) -> None:
    number = stack.build("numbered", "app")
    stack.alice.run("create", "-", "--no-activate", text=make.text(str(number), "app"))
    said = stack.alice.fail(2, "delete", number, "--yes")
    assert f"say alice/{number} for that" in said
    assert stack.alice.names("list", "build", "-e", number)[0].startswith(f"alice/{number}:")
    stack.alice.run("delete", f"alice/{number}", "--yes", "--force")
    assert stack.alice.run("restore", number).stderr == f"alice/{number} is back\n"
    stack.alice.run("create", "-", "--no-activate", text=make.text("99999", "app"))
    assert "Do you mean alice/99999?" in stack.alice.fail(5, "wait", "99999")


@pytest.mark.parametrize("text", ["/ml", "alice/", "alice/ml:", "alice/ml:-1", "a b/ml", "../x", "alice/ml/x", ""])
def test_what_names_nothing_is_refused_in_words(stack: Stack, text: str) -> None:
    said = stack.alice.fail(2, "wait", text)
    assert "name" in said


def test_completion_offers_what_one_may_see(stack: Stack, ml: tuple[int, int]) -> None:
    def complete(*words: str) -> list[str]:
        line = " ".join(["conda-store", *words])
        done = stack.alice.ask(_CONDA_STORE_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words)))
        return [each.partition(",")[2] for each in done.lines]

    # On a machine that is busy an answer may come too late for once.
    until(lambda: "alice/ml" in complete("wait", "alice/m"))
    assert all(name.startswith("alice/m") for name in complete("wait", "alice/m"))
    until(lambda: "ml" in complete("wait", "m"))
    until(lambda: complete("logs", "alice/ml", ":") == [str(ml[1]), str(ml[0])])  # bash puts them behind the colon
    whole = [f"alice/ml:{ml[1]}", f"alice/ml:{ml[0]}"]  # where bash parts no words at colons
    until(lambda: complete("logs", "alice/ml:") == whole)
    until(lambda: complete("logs", "alice/ml", ":", f"{ml[0]}") == [str(ml[0])])
    until(lambda: complete("list", "environment", "-n", "al") == ["alice"])
    assert "rollback" in complete("ro")


def test_every_command_that_changes_something_answers_scripts(stack: Stack, tmp_path: Path) -> None:
    alice, file = stack.alice, write(tmp_path / "environment.yaml", make.text("scripted", OLD))
    first = alice.json("apply", file, "--wait")
    assert (first["environment"], first["status"]) == ("scripted", "COMPLETED")
    assert alice.yaml("apply", file)["id"] == first["id"]
    assert alice.names("apply", file) == [f"alice/scripted:{first['id']}"]
    edited = alice.run("edit", "scripted", "--wait", "-o", "json", EDITOR="sed -i 's/app <2/app >=2/'")
    second = json.loads(edited.stdout)
    assert second["status"] == "COMPLETED"
    assert alice.names("rollback", "scripted") == ["alice/scripted"]
    assert alice.yaml("diff", first["id"], second["id"])["changed"][0]["new"]["name"] == "app"
    assert alice.json("share", "list", "scripted") == []
    assert alice.json("delete", second["id"], "--yes") == {"removed": f"alice/scripted:{second['id']}"}
    assert alice.names("delete", "scripted", "--yes") == ["alice/scripted"]
    assert alice.json("restore", "scripted", "--as", "scripted-anew")["name"] == "scripted-anew"
    token = alice.json("token", "make", "--label", "x")["id"]
    assert alice.json("token", "revoke", token) == {"removed": str(token)}
    assert alice.json("kernels", "export", "--prefix", tmp_path) == []
    assert alice.yaml("search", "base-lib")[0]["name"] == "base-lib"
    alice.run("create", "-", text=make.text("late", "app"))  # one is built at a time
    later, latest = (int(alice.run("create", "-", text=make.text(each, "app")).stdout) for each in ("later", "latest"))
    assert alice.run("cancel", latest).stderr == f"alice/latest:{latest} is being cancelled\n"
    assert alice.json("cancel", later)["id"] == later


def test_json_is_what_the_service_says(stack: Stack, ml: tuple[int, int]) -> None:
    with stack.service.client("alice") as http:
        told = http.get(f"api/v1/build/{ml[1]}/").json()["data"]
    assert stack.alice.json("wait", ml[1]) == json.loads(json.dumps(told))
