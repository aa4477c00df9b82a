"""The archive's files: turned back into what their packages have, whatever their size and wherever they came from."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conda_pack.prefixes import replace_prefix

from conda_store_hub.builder.originals import restore_binary, restore_text
from conda_store_hub.core.protocol import ArtifactType, BuildRequest
from conda_store_hub.demo.channel import PREFIX_PLACEHOLDER, index, make_package, serve_channel
from tests.support.builder import Outcome, Workshop, make_wheel, run_builder, serve_index
from tests.support.bytecode import link_bytecode

PREFIX = b"/srv/data/b/abcdefghijklmnopqrstuv"
PLACEHOLDER = PREFIX_PLACEHOLDER.encode()
MB = 1 << 20


@pytest.mark.parametrize(
    "original",
    [
        PLACEHOLDER + b"\0",
        b"\x7fELF\0" + PLACEHOLDER + b"/lib\0\0more",
        b"-L" + PLACEHOLDER + b"/lib -I" + PLACEHOLDER + b"/include\0" + PLACEHOLDER + b"\0end",
        b"nothing of it",
        b"",
    ],
    ids=["alone", "with a tail", "twice in a text, and again", "not there", "empty"],
)
def test_a_binary_file_is_turned_back_to_what_it_was(original: bytes) -> None:
    written = replace_prefix(original, "binary", PLACEHOLDER.decode(), PREFIX.decode())
    assert len(written) == len(original)
    assert restore_binary(written, PREFIX, PLACEHOLDER) == original


@pytest.mark.parametrize("end", [b"", b"\0", b"\0abc" + bytes(300), bytes(3) + b"x" + bytes(300)])
def test_a_binary_file_with_no_room_for_what_was_there_is_left_alone(end: bytes) -> None:
    assert restore_binary(PREFIX + b"/lib" + end, PREFIX, PLACEHOLDER) is None


def test_random_binary_files_are_turned_back() -> None:
    chance = random.Random(5)
    for _ in range(200):
        pieces = [
            chance.choice([PLACEHOLDER, b"/lib", b":", b"\0", bytes(9), chance.randbytes(5).replace(b"/", b"")])
            for _ in range(12)
        ]
        original = b"".join([*pieces, b"\0"])
        written = replace_prefix(original, "binary", PLACEHOLDER.decode(), PREFIX.decode())
        assert restore_binary(written, PREFIX, PLACEHOLDER) == original
        assert restore_text(original.replace(PLACEHOLDER, PREFIX), PREFIX, PLACEHOLDER) == original


@contextmanager
def shop_of(tmp_path: Path, sample: str, **wheels: dict[str, str]) -> Generator[Workshop]:
    """A workshop with a package that has its prefix in all kinds of files, and with some wheels."""
    channel = tmp_path / "channel"
    library = b"\x7fELF" + PLACEHOLDER + b"/lib:" + PLACEHOLDER + b"/lib64\0\xff\xfe" + bytes(40)
    files: dict[str, bytes | str] = {
        "lib/libnamed.so": library,
        "share/named.txt": f"{PREFIX_PLACEHOLDER}/share\n",
        "bin/named": f"#!{PREFIX_PLACEHOLDER}/bin/python\nimport sys\nprint(sys.prefix, '{PREFIX_PLACEHOLDER}')\n",
        "bin/plain": f"#!{PREFIX_PLACEHOLDER}/bin/python\nimport sys\nprint(sys.prefix)\n",
    }
    make_package(channel, "names-itself", "1.0", files=files)
    index(channel)
    (tmp_path / "wheels").mkdir()
    for name, contents in wheels.items():
        make_wheel(tmp_path / "wheels", name, "1.0", contents)
    with serve_channel(channel) as address, serve_index(tmp_path / "wheels") as pip_index:
        workshop = Workshop(tmp_path / "w", [sample, address], pip_index=pip_index)
        link_bytecode(workshop.data)
        yield workshop


def pack(request: BuildRequest) -> Outcome:
    outcome = run_builder(request)
    assert outcome.succeeded, outcome.log
    assert outcome.artifacts[ArtifactType.CONDA_PACK].error == "", outcome.log
    return outcome


def unpack(outcome: Outcome, place: Path) -> None:
    place.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", outcome.artifacts[ArtifactType.CONDA_PACK].path, "-C", place], check=True)
    script = f'source "{place}/bin/activate" && conda-unpack'
    subprocess.run(["bash", "-c", script], check=True, env={"PATH": "/usr/bin:/bin"})


def test_an_archive_without_the_package_cache_is_the_same_and_works_at_a_longer_path(
    sample: str, tmp_path: Path
) -> None:
    with shop_of(tmp_path, sample) as shop:
        request = shop.request("python", "names-itself", artifacts=(ArtifactType.CONDA_PACK,))
        first = pack(request)
        shutil.rmtree(shop.data.packages)
        again = pack(request.model_copy(update={"prefix_ready": True}))
    assert again.artifacts[ArtifactType.CONDA_PACK].sha256 == first.artifacts[ArtifactType.CONDA_PACK].sha256
    place = tmp_path / ("longer-" * 8)
    assert len(str(place)) > len(request.directories.prefix)
    unpack(again, place)
    new = str(place).encode()
    library = (place / "lib" / "libnamed.so").read_bytes()
    assert library.startswith(b"\x7fELF" + new + b"/lib:" + new + b"/lib64\0")
    assert len(library) == (Path(request.directories.prefix) / "lib" / "libnamed.so").stat().st_size
    assert (place / "share" / "named.txt").read_text() == f"{place}/share\n"
    for name, said in {"named": f"{place} {place}\n", "plain": f"{place}\n"}.items():
        script = f'source "{place}/bin/activate" && {name}'
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, check=True
        )
        assert done.stdout == said


def test_a_file_that_is_not_as_its_package_has_it_is_packed_and_said_to_be(sample: str, tmp_path: Path) -> None:
    with shop_of(tmp_path, sample) as shop:
        request = shop.request("names-itself", "python", artifacts=(ArtifactType.CONDA_PACK,))
        pack(request)
        changed = Path(request.directories.prefix) / "share" / "named.txt"
        changed.chmod(0o644)
        changed.write_text(f"{request.directories.prefix}/changed\n")
        outcome = pack(request.model_copy(update={"prefix_ready": True}))
    assert "Warning: share/named.txt is not as its package has it" in outcome.log
    unpack(outcome, tmp_path / "e")
    assert (tmp_path / "e" / "share" / "named.txt").read_text() == f"{tmp_path}/e/changed\n"


def test_a_missing_file_is_named(sample: str, tmp_path: Path) -> None:
    with shop_of(tmp_path, sample) as shop:
        request = shop.request("names-itself", artifacts=(ArtifactType.CONDA_PACK, ArtifactType.YAML))
        pack(request)
        (Path(request.directories.prefix) / "share" / "named.txt").unlink()
        outcome = run_builder(request.model_copy(update={"prefix_ready": True}))
    assert outcome.artifacts[ArtifactType.CONDA_PACK].error == (
        "The environment lacks files of names-itself: share/named.txt."
    )
    assert not (Path(request.directories.work) / "environment.tar.gz").exists()
    assert outcome.artifacts[ArtifactType.YAML].error == ""


def test_a_wheel_with_a_large_file_takes_no_memory_for_it(sample: str, tmp_path: Path) -> None:
    """More than the builder may have, were it read as a whole."""
    with shop_of(tmp_path, sample, large={"large/data.bin": "x" * 300 * MB}) as shop:
        request = shop.request("python", pip=["large"], artifacts=(ArtifactType.CONDA_PACK,))
        pack(request)
        limits = request.limits.model_copy(update={"memory_bytes": 280 * MB})
        outcome = pack(request.model_copy(update={"prefix_ready": True, "limits": limits}))
    with tarfile.open(outcome.artifacts[ArtifactType.CONDA_PACK].path) as archive:
        (member,) = [each for each in archive.getmembers() if each.name.endswith("large/data.bin")]
        assert member.size == 300 * MB
        digest = hashlib.file_digest(archive.extractfile(member), "sha256").hexdigest()  # type: ignore[arg-type]
    assert digest == hashlib.sha256(b"x" * 300 * MB).hexdigest()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
def test_an_archive_for_which_the_disk_has_no_room_leaves_no_half_of_it(sample: str, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    with shop_of(tmp_path, sample) as shop:
        request = shop.request("python", artifacts=(ArtifactType.CONDA_PACK,))
        pack(request)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], check=True)
        try:
            directories = request.directories.model_copy(update={"work": str(small)})
            outcome = run_builder(request.model_copy(update={"prefix_ready": True, "directories": directories}))
            assert outcome.artifacts[ArtifactType.CONDA_PACK].error == "The disk filled up during the build."
            assert list(small.iterdir()) == []
        finally:
            subprocess.run(["umount", "--lazy", small], check=True)
