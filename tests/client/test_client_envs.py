"""Environments on this machine: really made, of locks and archives of real builds, and never used half-made."""

from __future__ import annotations

import grp
import io
import json
import os
import pwd
import random
import re
import signal
import ssl
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

from conda_store_hub.client.api import Client
from conda_store_hub.client.atomic import discard
from conda_store_hub.client.cached import Hold, Made, Origin
from conda_store_hub.client.envcache import EnvironmentCache
from conda_store_hub.client.envs import ensure_environment
from conda_store_hub.client.filelocks import FileLock
from conda_store_hub.client.makers import MakerProcess
from conda_store_hub.client.making import MakePhase, Progress
from conda_store_hub.core import disk
from conda_store_hub.core.errors import (
    ConflictError,
    DamagedError,
    GoneError,
    LocalEnvironmentError,
    MakingCancelledError,
    NotFoundError,
    PackageCorruptError,
)
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.demo.channel import index, make_package
from tests.builder.conftest import Built
from tests.support.builder import REPOSITORY, Workshop
from tests.support.jupyter import wait_until
from tests.support.service_twin import TOKEN, ServiceTwin, make_build, run_twin

PLACE = "/srv/data/b/abcdefghijklmnopqrstuv"


def offer(twin: ServiceTwin, lock: bytes | None = None, archive: bytes | None = None, **more: Any) -> None:
    """Have the service tell of build 1, with these of its artifacts."""
    twin.state.builds = {1: make_build(1, prefix=PLACE, **more)}
    found = {"lockfile": lock, "archive": archive}
    twin.state.artifacts = {name: data for name, data in found.items() if data is not None}


def read(built: Built, kind: ArtifactType) -> bytes:
    return Path(built.outcome.artifacts[kind].path or "").read_bytes()


def ensure(twin: ServiceTwin, root: Path, **more: Any) -> Hold:
    with Client(twin.url, token=TOKEN, timeout=20) as client:
        return ensure_environment(EnvironmentCache(root), client, 1, **more)


def run(hold: Hold, *command: str) -> str:
    path = {"PATH": f"{hold.prefix}/bin:/usr/bin:/bin"}
    done = subprocess.run(
        [hold.prefix / "bin" / command[0], *command[1:]], capture_output=True, text=True, check=True, env=path
    )
    return done.stdout.strip()


def left(root: Path) -> set[str]:
    """Return what there is of environments, whole or not."""
    return {path.name for path in root.glob("envs/*/*") if path.suffix != ".lock"}


class Channel:
    """A channel over HTTP that can be told to wait with packages."""

    def __init__(self, directory: Path, secret: Path | None = None) -> None:
        """`secret`: a certificate with its key, for HTTPS."""
        self.directory = directory
        self.open = threading.Event()
        self.open.set()
        self.asked = threading.Event()
        self._server = _Server(("127.0.0.1", 0), partial(_Handler, channel=self, directory=str(directory)))
        self._server.daemon_threads = True
        if secret is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(secret)
            # A handshake in `accept` would hold the thread that others wait for.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http{'s' if secret else ''}://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing: who is killed does not take the answer."""


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, channel: Channel, directory: str) -> None:
        self._channel = channel
        super().__init__(*arguments, directory=directory)

    def do_GET(self) -> None:
        if self.path.endswith(".conda"):
            self._channel.asked.set()
            self._channel.open.wait(60)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Generator[Channel]:
    directory = tmp_path_factory.mktemp("channel")
    make_package(
        directory, "small", "1.0", files={"share/small.txt": "small\n", "bin/hello": "#!/bin/sh\necho hello\n"}
    )
    make_package(directory, "big", "1.0", files={"share/big.bin": "x" * 3_000_000})
    index(directory)
    channel = Channel(directory)
    yield channel
    channel.close()


@pytest.fixture(scope="module")
def small(channel: Channel, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The lock of a build of two packages."""
    outcome = Workshop(tmp_path_factory.mktemp("s"), [channel.url]).build(
        "small", "big", artifacts=(ArtifactType.LOCKFILE,)
    )
    assert outcome.succeeded, outcome.log
    return Path(outcome.artifacts[ArtifactType.LOCKFILE].path or "").read_bytes()


@contextmanager
def closed(channel: Channel) -> Generator[None]:
    channel.open.clear()
    channel.asked.clear()
    try:
        yield
    finally:
        channel.open.set()


# What is made


@pytest.fixture(scope="module")
def made(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Hold, list[Progress]]]:
    """An environment made of a lock that has packages of both kinds."""
    told: list[Progress] = []
    with run_twin() as twin:
        variables = {"GREETING": "good day", "NUMBER": 1}
        specification = {**make_build(1)["specification"], "spec": {"name": "ml", "variables": variables}}
        offer(twin, read(built, ArtifactType.LOCKFILE), specification=specification)
        with ensure(twin, tmp_path_factory.mktemp("made") / "cache", on_progress=told.append) as hold:
            yield hold, told


def test_an_environment_is_made_of_its_lock_with_packages_of_conda_and_pip(
    made: tuple[Hold, list[Progress]], built: Built
) -> None:
    hold, told = made
    code = "import sys, numpy, flask, tiny_pip; print(sys.prefix, tiny_pip.ANSWER)"
    assert run(hold, "python", "-c", code) == f"{hold.prefix} 42"
    assert run(hold, "tiny-pip") == str(hold.prefix)

    def names(prefix: Path) -> set[str]:
        return {path.name for path in (prefix / "conda-meta").glob("*.json")}

    assert names(hold.prefix) == names(built.prefix)
    assert {progress.phase for progress in told} == set(MakePhase) - {MakePhase.ARCHIVE, MakePhase.UNPACK}
    linked = [progress for progress in told if progress.phase is MakePhase.LINK]
    assert linked[-1].done == linked[-1].total == len(names(hold.prefix))
    assert hold.made.origin is Origin.LOCK


def test_an_environment_is_on_disk_before_its_record(
    twin: ServiceTwin, small: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(twin, small)
    there: list[set[str]] = []
    monkeypatch.setattr(disk, "force", lambda _: there.append(left(tmp_path)))
    with ensure(twin, tmp_path) as hold:
        (before,) = there
        assert hold.prefix.name in before
        assert f"{hold.prefix.name}.json" not in before
        assert f"{hold.prefix.name}.json" in left(tmp_path)


def test_its_variables_are_where_activation_reads_them(made: tuple[Hold, list[Progress]]) -> None:
    state = json.loads((made[0].prefix / "conda-meta" / "state").read_text())
    assert state["env_vars"] == {"GREETING": "good day", "NUMBER": "1"}


def test_its_files_are_read_only_and_pip_says_where_to_add_a_package(made: tuple[Hold, list[Progress]]) -> None:
    prefix = made[0].prefix
    files = [path for path in prefix.rglob("*") if path.is_file() and not path.is_symlink() and path.suffix != ".pyc"]
    writable = [path for path in files if path.stat().st_mode & 0o222]
    assert writable == []
    marker = next(prefix.glob("lib/python3.*/EXTERNALLY-MANAGED")).read_text()
    assert "specification" in marker
    folder = run(made[0], "python", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))")
    assert (Path(folder) / "EXTERNALLY-MANAGED").exists()


def test_what_pip_is_told_is_not_written_into_the_package_cache(twin: ServiceTwin, tmp_path: Path) -> None:
    directory = tmp_path / "channel"
    marker = "lib/python3.11/EXTERNALLY-MANAGED"
    make_package(directory, "python", "3.11.0", files={marker: "theirs\n"})
    index(directory)
    with closing(Channel(directory)) as served:
        own = Workshop(tmp_path / "s", [served.url]).build("python", artifacts=(ArtifactType.LOCKFILE,))
        assert own.succeeded, own.log
        offer(twin, Path(own.artifacts[ArtifactType.LOCKFILE].path or "").read_bytes())
        with ensure(twin, tmp_path / "cache") as hold:
            assert "build it again" in (hold.prefix / marker).read_text()
    (cached,) = (tmp_path / "cache" / "pkgs").glob(f"python-*/{marker}")
    assert cached.read_text() == "theirs\n"


def test_it_says_where_its_metadata_of_pip_comes_from(made: tuple[Hold, list[Progress]]) -> None:
    code = "import importlib.metadata as m; d = m.distribution('tiny-pip'); print(d.version, d.read_text('INSTALLER'))"
    assert run(made[0], "python", "-c", code) == "1.2 conda-store-hub"


def test_the_second_time_the_service_is_not_asked(twin: ServiceTwin, small: bytes, tmp_path: Path) -> None:
    offer(twin, small)
    ensure(twin, tmp_path).close()
    url = twin.url
    twin.stop()
    with Client(url, token=TOKEN) as client, ensure_environment(EnvironmentCache(tmp_path), client, 1) as hold:
        assert run(hold, "hello") == "hello"
    with EnvironmentCache(tmp_path).hold(url, 1, place=PLACE) or pytest.fail("it is not here") as hold:
        assert hold.made.build_id == 1


def test_a_build_of_another_database_with_the_same_id_is_another_one(
    twin: ServiceTwin, small: bytes, tmp_path: Path
) -> None:
    offer(twin, small)
    ensure(twin, tmp_path).close()
    cache = EnvironmentCache(tmp_path)
    assert cache.hold(twin.url, 1, place="/srv/data/b/another") is None
    assert cache.hold(twin.url.replace("127.0.0.1", "localhost"), 1, place=PLACE) is None
    assert cache.hold(twin.url, 2) is None
    offer(twin, small)
    twin.state.builds[1]["prefix"] = "/srv/data/b/another"
    with ensure(twin, tmp_path, place="/srv/data/b/another") as hold:
        assert hold.prefix.name.startswith("1-")
    assert len(cache.list_environments()) == 2


# Where the lock does not do


def test_where_a_package_cannot_be_had_any_more_the_archive_is_taken(
    built: Built, twin: ServiceTwin, tmp_path: Path
) -> None:
    lock = re.sub(rb"http://127\.0\.0\.1:\d+", b"http://127.0.0.1:9", read(built, ArtifactType.LOCKFILE))
    archive = read(built, ArtifactType.CONDA_PACK)
    offer(twin, lock, archive)
    told: list[Progress] = []
    with ensure(twin, tmp_path, on_progress=told.append) as hold:
        code = "import sys, numpy, tiny_pip; print(sys.prefix)"
        assert run(hold, "python", "-c", code) == str(hold.prefix)
        assert run(hold, "tiny-pip") == str(hold.prefix)
        assert hold.made.origin is Origin.ARCHIVE
    assert {MakePhase.ARCHIVE, MakePhase.UNPACK} <= {progress.phase for progress in told}

    twin.state.false_digests["archive"] = bytes(32)
    with pytest.raises(DamagedError, match="was changed on the way"):
        ensure(twin, tmp_path / "other", origin=Origin.ARCHIVE)


def test_without_an_archive_it_is_said_what_stood_in_the_way_of_the_lock(
    twin: ServiceTwin, small: bytes, tmp_path: Path
) -> None:
    offer(twin, re.sub(rb"http://127\.0\.0\.1:\d+", b"http://127.0.0.1:9", small))
    with pytest.raises(Exception, match=r"The package \S+ could not be downloaded") as caught:
        ensure(twin, tmp_path)
    assert str(tmp_path) not in str(caught.value)
    assert left(tmp_path) == set()


def test_a_package_that_is_not_what_the_lock_says_is_refused(
    twin: ServiceTwin, channel: Channel, small: bytes, tmp_path: Path
) -> None:
    offer(twin, re.sub(rb"sha256: [0-9a-f]{64}", b"sha256: " + b"0" * 64, small))
    with pytest.raises(PackageCorruptError, match="is not what its channel says it is"):
        ensure(twin, tmp_path)
    assert left(tmp_path) == set()


def test_a_lock_for_other_machines_is_refused_in_words(twin: ServiceTwin, small: bytes, tmp_path: Path) -> None:
    text = small.decode().replace("linux-64", "osx-arm64").replace("linux-aarch64", "osx-arm64")
    offer(twin, text.encode())
    with pytest.raises(Exception, match=r"no packages for linux-\S+; it is for osx-arm64"):
        ensure(twin, tmp_path)


def test_a_damaged_package_in_the_cache_is_fetched_again(twin: ServiceTwin, small: bytes, tmp_path: Path) -> None:
    offer(twin, small)
    ensure(twin, tmp_path).close()
    (found,) = tmp_path.glob("pkgs/big-1.0-*/share/big.bin")
    found.chmod(0o644)
    found.write_text("cut short")
    twin.state.builds[1]["prefix"] = "/srv/data/b/another"
    with ensure(twin, tmp_path, place="/srv/data/b/another") as hold:
        assert (hold.prefix / "share" / "big.bin").stat().st_size == 3_000_000


def _pack(data: bytes) -> bytes:
    """Return an archive with one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("share/big")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_full_disk_is_said_so_and_leaves_nothing(twin: ServiceTwin, small: bytes, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", disk], check=True)
    try:
        offer(twin, small)
        with pytest.raises(LocalEnvironmentError, match=r"is full.*CONDA_STORE_CACHE"):
            ensure(twin, disk)
        assert left(disk) == set()
        # While an archive comes, and while one is unpacked that has room itself.
        for is_small, data in ((False, random.Random(1).randbytes(3_000_000)), (True, bytes(3_000_000))):
            offer(twin, archive=_pack(data))
            assert (len(twin.state.artifacts["archive"]) < 100_000) is is_small
            with pytest.raises(LocalEnvironmentError, match=r"is full.*CONDA_STORE_CACHE"):
                ensure(twin, disk, origin=Origin.ARCHIVE)
            assert left(disk) == set()
            assert list(disk.rglob("*.part")) == []
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        ({"status": "BUILDING"}, ConflictError, "is BUILDING, not completed"),
        ({"deleted_on": "2026-01-02T03:04:05Z"}, GoneError, "Build 1 of alice/ml was deleted"),
    ],
)
def test_a_build_that_cannot_be_used_is_refused_in_words(
    twin: ServiceTwin, tmp_path: Path, more: dict[str, Any], error: type[Exception], says: str
) -> None:
    offer(twin, b"", **more)
    with pytest.raises(error, match=says):
        ensure(twin, tmp_path)


def test_a_build_without_a_lock_and_an_archive_is_refused(twin: ServiceTwin, tmp_path: Path) -> None:
    offer(twin)
    with pytest.raises(NotFoundError):
        ensure(twin, tmp_path)
    assert left(tmp_path) == set()


def test_a_cache_that_others_can_write_is_refused(twin: ServiceTwin, small: bytes, tmp_path: Path) -> None:
    offer(twin, small)
    ensure(twin, tmp_path / "cache").close()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(LocalEnvironmentError, match="could put into it what you would run"):
        EnvironmentCache(tmp_path / "cache").hold(twin.url, 1)
    with pytest.raises(LocalEnvironmentError, match="could put into it what you would run"):
        ensure(twin, tmp_path / "cache")


@pytest.mark.root
def test_a_cache_in_whose_place_others_could_put_another_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a link, by a folder of theirs on the way, or by one that they can write; each is told with its name."""

    def refused(root: Path) -> str:
        with pytest.raises(LocalEnvironmentError, match="could put into it what you would run") as caught:
            EnvironmentCache(root).make_place("https://hub.example.org/", 1, PLACE)
        return caught.value.public_message.partition(" belongs")[0]

    everybody, own, theirs, link = (tmp_path / name for name in ("everybody", "own", "theirs", "link"))
    everybody.mkdir()
    everybody.chmod(0o1777)
    own.mkdir(mode=0o700)
    planted = everybody / "planted"
    planted.symlink_to(own)
    EnvironmentCache(planted / "cache").make_place("https://hub.example.org/", 1, PLACE)
    os.chown(planted, 65534, 65534, follow_symlinks=False)
    assert refused(planted) == refused(planted / "cache") == str(planted)
    link.symlink_to("everybody/planted/cache")
    assert refused(link) == str(planted), "whatever leads there"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    assert refused(theirs / "cache") == str(theirs)
    assert not (theirs / "cache").exists()
    everybody.chmod(0o777)
    assert refused(everybody / "cache") == str(everybody / "cache")
    assert not (everybody / "cache").exists()
    monkeypatch.setenv("HOME", str(theirs))  # made for another number than one runs as
    EnvironmentCache(theirs / ".cache" / "cache").make_place("https://hub.example.org/", 1, PLACE)


def test_a_cache_that_others_can_enter_has_no_folder_that_they_can_write(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cache = EnvironmentCache(tmp_path / "cache")
        place = cache.make_place("https://hub.example.org/", 1, PLACE)
    finally:
        os.umask(before)
    inside = (place.prefix.parent, place.prefix.parent.parent, cache.root)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in inside] == [0o700] * 3
    cache.root.chmod(0o755)
    cache.require_own()
    for folder in inside[:2]:
        folder.chmod(0o777)
        with pytest.raises(LocalEnvironmentError, match=f"{folder} belongs to somebody else or can be written"):
            cache.require_own()
        cache.root.chmod(0o700)
        cache.require_own()
        cache.root.chmod(0o755)
        folder.chmod(0o700)


def test_a_record_that_vanishes_while_records_are_listed_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = EnvironmentCache(tmp_path / "cache")
    places = [cache.make_place("https://hub.example.org/", 1, f"{PLACE}{number}") for number in range(2)]
    for place in places:
        (place.prefix / "conda-meta").mkdir(parents=True)
        made = Made(server="s", build_id=1, namespace="alice", environment="ml", origin=Origin.LOCK, size=1)
        place.record.write_text(made.dump())
    glob = Path.glob

    def list_and_remove(folder: Path, pattern: str) -> Iterator[Path]:
        found = list(glob(folder, pattern))
        places[0].record.unlink(missing_ok=True)
        return iter(found)

    monkeypatch.setattr(Path, "glob", list_and_remove)
    hold = cache.hold("https://hub.example.org/", 1)
    assert hold is not None
    with hold:
        assert hold.prefix == places[1].prefix


def test_what_was_written_is_forced_to_disk_and_what_cannot_be_is_told(tmp_path: Path) -> None:
    disk.force(tmp_path)
    with pytest.raises(FileNotFoundError):
        disk.force(tmp_path / "none")


@pytest.mark.parametrize(
    ("mode", "members", "is_used"),
    [(0o2770, [], True), (0o2775, [], True), (0o2770, ["bob"], False), (0o770, [], False), (0o2777, [], False)],
)
def test_a_cache_that_a_mount_has_opened_to_a_group_of_nobody_is_closed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, members: list[str], is_used: bool
) -> None:
    root = tmp_path / "cache"
    cache = EnvironmentCache(root)
    cache.make_place("https://hub.example.org/", 1, PLACE)
    group = grp.struct_group(("pod", "x", root.stat().st_gid, members))
    monkeypatch.setattr(grp, "getgrgid", lambda _: group)
    monkeypatch.setattr(pwd, "getpwall", list)
    root.chmod(mode)
    if is_used:
        cache.make_place("https://hub.example.org/", 1, PLACE)
        assert root.stat().st_mode & 0o7777 == 0o700
    else:
        with pytest.raises(LocalEnvironmentError, match="could put into it what you would run"):
            cache.make_place("https://hub.example.org/", 1, PLACE)
        assert root.stat().st_mode & 0o7777 == mode


def test_a_group_that_is_somebody_elses_first_one_has_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "cache"
    root.mkdir()
    root.chmod(0o2770)
    bob = pwd.struct_passwd(("bob", "x", os.geteuid() + 1, root.stat().st_gid, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [bob])
    with pytest.raises(LocalEnvironmentError, match="belongs to somebody else or can be written by others"):
        EnvironmentCache(root).make_place("https://hub.example.org/", 1, PLACE)


def pack(*members: tuple[str, bytes, str]) -> bytes:
    """Return an archive of members: name, type, and where a link leads."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return stream.getvalue()


@pytest.mark.parametrize(
    "members",
    [
        [("evil", tarfile.LNKTYPE, "../../../victim")],
        [("away", tarfile.SYMTYPE, "../../.."), ("evil", tarfile.LNKTYPE, "away/victim")],
        [("away", tarfile.SYMTYPE, "../../.."), ("away/evil", tarfile.REGTYPE, "")],
        [("evil", tarfile.FIFOTYPE, "")],
        [("evil", tarfile.CHRTYPE, "")],
    ],
)
def test_an_archive_that_reaches_out_of_its_environment_is_refused(
    twin: ServiceTwin, tmp_path: Path, members: list[tuple[str, bytes, str]]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    offer(twin, archive=pack(*members))
    with pytest.raises(LocalEnvironmentError, match="does not belong into an environment"):
        ensure(twin, tmp_path, origin=Origin.ARCHIVE)
    assert (victim.read_text(), victim.stat().st_nlink, (tmp_path / "evil").exists()) == ("mine", 1, False)
    assert left(tmp_path) == set()


# Several at once, and what is stopped in the middle

MAKE = """
import sys
from pathlib import Path
from conda_store_hub.client.api import Client
from conda_store_hub.client.envcache import EnvironmentCache
from conda_store_hub.client.envs import ensure_environment
url, root, token = sys.argv[1:]
with Client(url, token=token) as client:
    hold = ensure_environment(
        EnvironmentCache(Path(root)), client, 1, on_progress=lambda each: print(each.phase, flush=True)
    )
print("made", hold.prefix, flush=True)
sys.stdin.read()
"""


@contextmanager
def making(twin: ServiceTwin, root: Path) -> Generator[subprocess.Popen[str]]:
    """Have another process make it."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE, twin.url, str(root), TOKEN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_of_two_at_once_one_makes_it_and_the_other_is_told_how_far_it_is(
    twin: ServiceTwin, channel: Channel, small: bytes, tmp_path: Path
) -> None:
    offer(twin, small)
    with closed(channel), making(twin, tmp_path) as first:
        wait_until(channel.asked.is_set, "the first one to fetch packages")
        told: list[Progress] = []
        second: list[Hold] = []
        thread = threading.Thread(target=lambda: second.append(ensure(twin, tmp_path, on_progress=told.append)))
        thread.start()
        wait_until(lambda: told, "the second one to be told")
        assert second == []
        channel.open.set()
        thread.join(60)
        assert first.stdout is not None
        lines = iter(first.stdout.readline, "")
        assert next(line for line in lines if line.startswith("made")).split()[1] == str(second[0].prefix)
        second[0].close()
    assert len(twin.asked("build/1/lockfile/")) == 1


def test_who_is_killed_while_making_leaves_nothing_that_is_used(
    twin: ServiceTwin, channel: Channel, small: bytes, tmp_path: Path
) -> None:
    offer(twin, small)
    with closed(channel), making(twin, tmp_path) as first:
        wait_until(channel.asked.is_set, "packages to be fetched")
        (child,) = psutil.Process(first.pid).children()
        first.send_signal(signal.SIGKILL)
        assert psutil.wait_procs([child], timeout=20)[1] == []
    assert left(tmp_path) != set()
    assert EnvironmentCache(tmp_path).hold(twin.url, 1) is None
    assert EnvironmentCache(tmp_path).list_environments() == []
    with ensure(twin, tmp_path) as hold:
        assert run(hold, "hello") == "hello"


def test_when_the_process_that_installs_is_killed_the_other_says_so(
    twin: ServiceTwin, channel: Channel, small: bytes, tmp_path: Path
) -> None:
    offer(twin, small)
    with closed(channel):
        failed: list[BaseException] = []

        def make() -> None:
            try:
                ensure(twin, tmp_path)
            except LocalEnvironmentError as exc:
                failed.append(exc)

        thread = threading.Thread(target=make)
        thread.start()
        wait_until(channel.asked.is_set, "packages to be fetched")
        (child,) = (each for each in psutil.Process().children() if "conda_store_hub.client.maker" in each.cmdline())
        child.kill()
        thread.join(30)
    assert "The process that makes it was killed: is there too little memory?" in str(failed[0])
    assert left(tmp_path) == set()


def list_makers(process: psutil.Process) -> list[psutil.Process]:
    return [each for each in process.children() if "conda_store_hub.client.maker" in each.cmdline()]


def test_what_was_started_for_nothing_ends_at_once_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with MakerProcess():
        assert len(list_makers(psutil.Process())) == 1
    assert list_makers(psutil.Process()) == []
    assert [*tmp_path.iterdir()] == []


def test_what_was_started_for_nothing_ends_with_who_started_it(tmp_path: Path) -> None:
    code = "from conda_store_hub.client.makers import MakerProcess; maker = MakerProcess(); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as starter:
        assert starter.stdout is not None
        starter.stdout.readline()
        (child,) = list_makers(psutil.Process(starter.pid))
        starter.kill()
        assert psutil.wait_procs([child], timeout=20)[1] == []
    assert [*tmp_path.iterdir()] == []


def test_an_interpreter_that_cannot_be_run_is_said_to_be_the_reason(
    twin: ServiceTwin, small: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(twin, small)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(LocalEnvironmentError, match=f"^{python} cannot be run: Permission denied.$"):
        ensure(twin, tmp_path / "cache")
    assert left(tmp_path / "cache") == set()


def test_what_makes_it_is_not_told_the_servers_secrets(
    twin: ServiceTwin, channel: Channel, small: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    monkeypatch.setenv("CONDA_STORE_TOKEN", "secret")
    offer(twin, small)
    with closed(channel), making(twin, tmp_path) as first:
        wait_until(channel.asked.is_set, "packages to be fetched")
        (child,) = psutil.Process(first.pid).children()
        assert "secret" not in child.environ().values()
        assert TOKEN not in " ".join(child.cmdline())


def test_giving_up_ends_the_making_at_once(twin: ServiceTwin, channel: Channel, small: bytes, tmp_path: Path) -> None:
    offer(twin, small)
    with closed(channel):
        cancelled = threading.Event()
        threading.Thread(target=lambda: (channel.asked.wait(60), cancelled.set())).start()
        with pytest.raises(MakingCancelledError):
            ensure(twin, tmp_path, cancelled=cancelled)
    assert left(tmp_path) == set()
    assert [each for each in psutil.Process().children() if "conda_store_hub.client.maker" in each.cmdline()] == []


def test_one_can_give_up_while_another_tidies_the_packages(twin: ServiceTwin, small: bytes, tmp_path: Path) -> None:
    offer(twin, small)
    (tmp_path / "cache").mkdir(mode=0o700)
    cancelled = threading.Event()
    with FileLock(tmp_path / "cache" / "pkgs.lock") as tidying:
        assert tidying.try_lock()
        with pytest.raises(MakingCancelledError):
            # After this there is only the wait for packages.
            ensure(twin, tmp_path / "cache", on_progress=lambda _: cancelled.set(), cancelled=cancelled)
    assert len(twin.asked("build/1/lockfile/")) == 1
    assert left(tmp_path / "cache") == set()


def test_while_the_lock_is_still_being_written_one_waits(twin: ServiceTwin, small: bytes, tmp_path: Path) -> None:
    offer(twin, small)
    body = {"status": "error", "code": "being-made", "message": "The LOCKFILE of build 1 is being made."}
    told: list[Progress] = []
    with Client(twin.url, token=TOKEN) as client:
        client.get_build(1)

        def tell(progress: Progress) -> None:
            told.append(progress)
            twin.state.instead = None if len(told) > 1 else (503, {}, json.dumps(body).encode())

        with ensure_environment(EnvironmentCache(tmp_path), client, 1, on_progress=tell) as hold:
            assert run(hold, "hello") == "hello"
    assert len(twin.asked("build/1/lockfile/")) == 2


# What goes


def age(cache: EnvironmentCache, days: float) -> None:
    for each in cache.root.glob("envs/*/*.json"):
        status = each.stat()
        os.utime(each, (status.st_atime, status.st_mtime - days * 86400))
    for each in cache.root.glob("pkgs/*"):
        os.utime(each, (0, 0))


def test_what_is_not_used_for_long_goes_with_its_packages(twin: ServiceTwin, small: bytes, tmp_path: Path) -> None:
    offer(twin, small)
    ensure(twin, tmp_path).close()
    cache = EnvironmentCache(tmp_path)
    assert cache.trim(keep_days=30) == []
    assert [*tmp_path.glob("pkgs/big-1.0-*/share")] != []
    age(cache, 31)
    (gone,) = cache.trim(keep_days=30)
    assert gone.made.environment == "ml"
    assert left(tmp_path) == set()
    assert [*tmp_path.glob("envs/*/*")] == []
    assert [*tmp_path.glob("pkgs/big-1.0-*/share")] == []
    with ensure(twin, tmp_path) as hold:
        assert run(hold, "hello") == "hello"


def test_what_was_used_least_lately_goes_first_when_there_is_too_much(
    twin: ServiceTwin, small: bytes, tmp_path: Path
) -> None:
    cache = EnvironmentCache(tmp_path)
    offer(twin, small)
    ensure(twin, tmp_path).close()
    age(cache, 1)
    twin.state.builds[1]["prefix"] = "/srv/data/b/another"
    ensure(twin, tmp_path, place="/srv/data/b/another").close()
    newest, oldest = cache.list_environments()
    assert newest.made.size > 3_000_000
    assert [each.prefix for each in cache.trim(keep_bytes=newest.made.size + 1)] == [oldest.prefix]
    assert [each.prefix for each in cache.list_environments()] == [newest.prefix]


def test_what_is_in_use_stays_even_by_a_process_that_only_inherited_it(
    twin: ServiceTwin, small: bytes, tmp_path: Path
) -> None:
    offer(twin, small)
    cache = EnvironmentCache(tmp_path)
    hold = ensure(twin, tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(hold.fileno(),))
    hold.close()
    age(cache, 100)
    try:
        assert cache.trim(keep_days=1, keep_bytes=0) == []
        assert not cache.remove(cache.list_environments()[0])
    finally:
        child.communicate(b"\n")
    assert len(cache.trim(keep_days=1, keep_bytes=0)) == 1


_DAMAGED = b'{"server": "", "build_id": 1, "namespace": "", "environment": "", "origin": "lock", "size": "big"}'


@pytest.mark.parametrize("left", [None, b"\0" * 100, b"[]", _DAMAGED])
def test_what_was_left_half_made_or_is_damaged_goes(
    twin: ServiceTwin, small: bytes, tmp_path: Path, left: bytes | None
) -> None:
    offer(twin, small)
    ensure(twin, tmp_path).close()
    (record,) = tmp_path.glob("envs/*/*.json")
    record.unlink()
    if left is not None:
        record.write_bytes(left)
    EnvironmentCache(tmp_path).trim()
    assert [*tmp_path.glob("envs/*/*")] == []


DIE_WITHIN_A_STEP = """
import os, signal, sys
from pathlib import Path
from conda_store_hub.client.atomic import replace_text

Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
replace_text(Path(sys.argv[1]), "{}")
"""


def test_what_a_process_leaves_that_is_killed_within_a_step_goes(
    twin: ServiceTwin, small: bytes, tmp_path: Path
) -> None:
    """Between the writing of a file and its name; what is being written just now stays."""
    offer(twin, small)
    ensure(twin, tmp_path).close()
    (record,) = tmp_path.glob("envs/*/*.json")
    known = tmp_path / "known" / "0123456789abcdef"
    known.mkdir(parents=True)
    cache = EnvironmentCache(tmp_path)
    for path in (record, known / "1-active.json"):
        done = subprocess.run([sys.executable, "-c", DIE_WITHIN_A_STEP, path], cwd=REPOSITORY, check=False)
        assert done.returncode == -signal.SIGKILL
    stages = [*record.parent.glob(".*"), *known.iterdir()]
    assert len(stages) == 2
    cache.trim()
    assert all(path.exists() for path in stages)
    for path in stages:
        os.utime(path, (0, 0))
    cache.trim()
    assert not any(path.exists() for path in stages)
    assert record.exists()


@contextmanager
def as_somebody(folder: Path) -> Generator[None]:
    """Be nobody special, whom a mode can keep out, in a folder of their own."""
    uid = os.geteuid()
    if uid == 0:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(uid)


def test_folders_that_nobody_may_write_go_too() -> None:
    with TemporaryDirectory() as name:
        root = Path(name)
        with as_somebody(root):
            deep = root / "1-a" / "deep" / "deeper"
            deep.mkdir(parents=True)
            (deep / "file").write_text("x")
            deep.chmod(0o500)
            deep.parent.chmod(0)
            discard(root / "1-a")
            assert [*root.iterdir()] == []
