"""What is found in the layers of a base: a shell, an environment, and what later layers take away."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from conda_store_hub.builder import base_contents
from conda_store_hub.builder.base_contents import BaseContents, look_into
from conda_store_hub.builder.compression import Budget
from conda_store_hub.builder.oci_layout import BaseImage
from conda_store_hub.core.errors import ArtifactError
from conda_store_hub.core.oci import ImageConfig, Layer, RootFs


def write_base(folder: Path, *layers: str, pack: Callable[[bytes], bytes] = gzip.compress) -> BaseImage:
    """Write layers with files, links and folders: words such as `bin->usr/bin` and `etc/`."""
    return BaseImage(
        layers=tuple(_write_layer(folder, words.split(), pack) for words in layers),
        config=ImageConfig(architecture="amd64", rootfs=RootFs(diff_ids=())),
        blobs=folder,
        digest=f"sha256:{hashlib.sha256(repr(layers).encode()).hexdigest()}",
    )


def _write_layer(folder: Path, words: list[str], pack: Callable[[bytes], bytes]) -> Layer:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for word in words:
            name, _, link = word.partition("->")
            info = tarfile.TarInfo(name.rstrip("/") or name)
            info.type = tarfile.SYMTYPE if link else tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.linkname = link
            tar.addfile(info, io.BytesIO())
    data = pack(plain.getvalue())
    name = hashlib.sha256(data).hexdigest()
    (folder / name).write_bytes(data)
    diff_id = f"sha256:{hashlib.sha256(plain.getvalue()).hexdigest()}"
    return Layer(digest=f"sha256:{name}", size=len(data), diff_id=diff_id)


@pytest.mark.parametrize(
    ("layers", "shell", "has_prefix"),
    [
        ((), "", False),
        (("etc/passwd opt/other",), "", False),
        (("./bin/sh->dash",), "/bin/sh", False),
        (("usr/bin/sh",), "/usr/bin/sh", False),
        (("bin->usr/bin usr/bin/sh->dash",), "/bin/sh", False),
        (("bin/sh", "bin/.wh.sh"), "", False),
        (("usr/bin/sh", "usr/.wh..wh..opq usr/bin/python"), "", False),
        (("usr/bin/sh", "usr/.wh..wh..opq usr/bin/sh"), "/usr/bin/sh", False),
        (("bin/sh bin/.wh.she",), "/bin/sh", False),
        (("opt/conda/bin/python bin/sh",), "/bin/sh", True),
        (("/opt/conda->/srv/conda",), "", True),
        (("opt/condas/a",), "", False),
        (("opt/conda/a", "opt/.wh.conda"), "", False),
    ],
)
def test_a_shell_and_an_environment_are_found_unless_taken_away(
    tmp_path: Path, layers: tuple[str, ...], shell: str, has_prefix: bool
) -> None:
    base = write_base(tmp_path, *layers)
    assert look_into(base, "") == BaseContents(shell=shell, has_prefix=has_prefix)


def pack_twice(data: bytes) -> bytes:
    """Return two frames of zstd, as programs write them that want to find parts of a layer."""
    half = len(data) // 2
    return b"".join(zstandard.compress(each) for each in (data[:half], data[half:]))


def pack_behind_skipped(data: bytes) -> bytes:
    """Return zstd behind a frame that is skipped, as `pzstd` writes it."""
    return b"\x50\x2a\x4d\x18\x04\0\0\0size" + zstandard.compress(data)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress, pack_twice, pack_behind_skipped])
def test_layers_are_read_however_they_are_packed_and_held_against_what_they_unpack_to(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    base = write_base(tmp_path, "opt/conda/a bin/sh", pack=pack)
    assert look_into(base, "") == BaseContents(shell="/bin/sh", has_prefix=True)
    path = base.blobs / base.layers[0].digest.removeprefix("sha256:")
    whole = path.read_bytes()
    for damaged in (whole[:-9], whole[:20] + b"x" * 100, whole + b"junk"):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="The base image is damaged"):
            look_into(base, "")


def test_of_what_a_layer_takes_away_only_that_is_held_which_counts(tmp_path: Path) -> None:
    words = "etc/.wh.passwd .wh.optional bin/.wh.she opt/conda.d/.wh..wh..opq bin/.wh.sh usr/.wh..wh..opq .wh.opt"
    (layer,) = write_base(tmp_path, words).layers
    with tarfile.open(tmp_path / layer.digest.removeprefix("sha256:")) as tar:
        held = set(base_contents._choose(tar, Budget()))  # pyright: ignore[reportPrivateUsage]
    assert held == {"bin/.wh.sh", "usr/.wh..wh..opq", ".wh.opt"}, "a layer may take away millions"


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_names_and_attributes_that_would_fill_the_memory_are_refused(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = kind, 4 << 30
    base = write_base(tmp_path, "bin/sh", pack=lambda data: gzip.compress(header.tobuf() + bytes(8 << 20) + data))
    with pytest.raises(ArtifactError, match="has no end"):
        look_into(base, "")


def test_lists_of_holes_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    sparse = tarfile.TarInfo("bin/sh")
    numbers = b"9999999\n" + b"0\n" * (4 << 20)
    sparse.size = len(numbers)
    sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "0"}
    header = sparse.tobuf(tarfile.PAX_FORMAT)
    base = write_base(tmp_path, "bin/sh", pack=lambda data: gzip.compress(header + numbers + bytes(504) + data))
    with pytest.raises(ArtifactError, match="has no end"):
        look_into(base, "")


def make_header(kind: bytes, content: bytes) -> bytes:
    """Return what stands before a file, padded to whole blocks."""
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, len(content)
    return header.tobuf() + content + bytes(-len(content) % 512)


def test_headers_of_headers_that_would_fill_the_memory_together_are_refused(tmp_path: Path) -> None:
    record = b"1000000 comment=".ljust(999_999, b"x") + b"\n"
    headers = make_header(tarfile.XHDTYPE, record) * 6
    base = write_base(tmp_path, "bin/sh", pack=lambda data: gzip.compress(headers + data))
    with pytest.raises(ArtifactError, match="has no end"):
        look_into(base, "")


@pytest.mark.parametrize(
    "content",
    [
        b"3 x" * 300_000 + b"=",
        b"1000000 comment=".ljust(999_999, b"1") + b"\n",
        b"5 a=\n" * 10_001,
        b"12 a=12345\n",
        b"0 a=1\n",
        b"5 abc\n",
        b"words\n",
    ],
    ids=["all that follows", "digits", "many", "too long", "nothing", "no value", "no length"],
)
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_that_takes_time_and_memory_by_its_square_is_damage(
    tmp_path: Path, kind: bytes, content: bytes
) -> None:
    base = write_base(tmp_path, "bin/sh", pack=lambda data: make_header(kind, content) + data)
    with pytest.raises(ArtifactError, match="a layer cannot be unpacked"):
        look_into(base, "")


def test_long_names_and_attributes_are_read(tmp_path: Path) -> None:
    plain, deep = io.BytesIO(), "/".join(["opt/conda", *("deep" for _ in range(100))])
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "of all"}) as tar:
        info = tarfile.TarInfo("bin/sh")
        info.pax_headers = {"SCHILY.xattr.security.capability": "\x01\x02", "mtime": "1.5", "comment": "x" * 65_536}
        tar.addfile(info)
        tar.addfile(tarfile.TarInfo(deep))
    name = hashlib.sha256(plain.getvalue()).hexdigest()
    (tmp_path / name).write_bytes(plain.getvalue())
    digest = f"sha256:{name}"
    layers = (Layer(digest=digest, size=len(plain.getvalue()), diff_id=digest),)
    base = BaseImage(
        layers=layers, config=ImageConfig(architecture="amd64", rootfs=RootFs(diff_ids=())), blobs=tmp_path
    )
    assert look_into(base, "") == BaseContents(shell="/bin/sh", has_prefix=True)


def test_what_is_said_for_all_that_follow_is_not_held_for_all(tmp_path: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for number in range(9):
            plain.write(make_header(tarfile.XGLTYPE, f"20 number{number}=12345\n".encode()))
            tar.addfile(tarfile.TarInfo("bin/sh"))
    plain.seek(0)
    with tarfile.open(fileobj=plain) as tar:
        held = [len(tar.pax_headers) for _ in base_contents._choose(tar, Budget())]  # pyright: ignore[reportPrivateUsage]
    assert held == [0] * 9, "there may be as many as there are files"


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ({"entries": 10_002}, ""),
        ({"entries": 10_001}, "has more than 10,001 files and folders"),
        ({"most": 1 << 20}, "unpacks to more than 0 GB"),
        ({"seconds": 0}, "takes longer than 0.0 s to look through"),
    ],
)
def test_what_would_take_all_time_and_memory_to_look_into_is_refused_with_what_to_do(
    tmp_path: Path, budget: dict[str, int], says: str
) -> None:
    many = " ".join(map(str, range(5_000)))
    base = write_base(tmp_path, f"{many} bin/sh", f"{many} opt/conda/a")  # what counts is all of its layers together
    if not says:
        assert look_into(base, "", Budget(**budget)) == BaseContents(shell="/bin/sh", has_prefix=True)
        return
    with pytest.raises(ArtifactError, match=says) as refused:
        look_into(base, str(tmp_path / "bases"), Budget(**budget))
    assert "An administrator can name a smaller one in `c.CondaStore.image_base`." in refused.value.message
    assert not (tmp_path / "bases").exists()


def test_headers_of_headers_without_an_end_are_damage(tmp_path: Path) -> None:
    header = tarfile.TarInfo("again")
    header.type = tarfile.XHDTYPE
    base = write_base(tmp_path, "bin/sh", pack=lambda data: gzip.compress(header.tobuf() * 5000 + data))
    with pytest.raises(ArtifactError, match="cannot be unpacked"):
        look_into(base, "")


def test_attributes_that_make_no_sense_are_damage(tmp_path: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("bin/sh")
        info.pax_headers = {"GNU.sparse.map": "0|5"}
        tar.addfile(info)
    base = write_base(tmp_path, "bin/sh", pack=lambda _: plain.getvalue())
    with pytest.raises(ArtifactError, match="The base image is damaged"):
        look_into(base, "")


def test_it_is_looked_at_once_and_what_cannot_be_read_is_not_remembered(tmp_path: Path) -> None:
    base = write_base(tmp_path, "bin/sh")
    found = look_into(base, str(tmp_path / "bases"))
    layer = tmp_path / base.layers[0].digest.removeprefix("sha256:")
    layer.unlink()
    assert look_into(base, str(tmp_path / "bases")) == found
    layer.write_bytes(gzip.compress(b"no tar"))
    with pytest.raises(ArtifactError, match="cannot be unpacked"):
        look_into(base, str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_what_is_remembered_of_a_base_on_disk_goes_when_no_image_was_put_on_it_for_long(tmp_path: Path) -> None:
    unused, used, new = (write_base(tmp_path, words) for words in ("a", "b", "c"))
    for base in (unused, used):
        look_into(base, str(tmp_path / "bases"))
    for path in (tmp_path / "bases").iterdir():
        os.utime(path, (0, 0))
    for base in (used, new):
        look_into(base, str(tmp_path / "bases"))
    kept = {f"{base.digest.removeprefix('sha256:')}.contents" for base in (used, new)}
    assert {path.name for path in (tmp_path / "bases").iterdir()} == kept


def test_what_is_remembered_goes_also_where_no_other_base_is_brought(tmp_path: Path) -> None:
    unused, used = (write_base(tmp_path, words) for words in ("a", "b"))
    for base in (unused, used):
        look_into(base, str(tmp_path / "bases"))
    for path in (tmp_path / "bases").iterdir():
        os.utime(path, (0, 0))
    look_into(used, str(tmp_path / "bases"))
    (kept,) = (tmp_path / "bases").iterdir()
    assert kept.name == f"{used.digest.removeprefix('sha256:')}.contents"
    os.utime(kept, (0, 0))
    nothing = BaseImage(layers=(), config=used.config, blobs=tmp_path)
    look_into(nothing, str(tmp_path / "bases"))
    assert not kept.exists(), "where images are put on nothing any more"
