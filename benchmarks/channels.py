"""A channel of records that have no packages behind them, as large as conda-forge's, in the forms that it has."""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import zstandard

_WORDS = [
    "abs",
    "arrow",
    "astro",
    "audio",
    "base",
    "bio",
    "blas",
    "block",
    "boost",
    "cell",
    "chem",
    "cli",
    "cloud",
    "code",
    "core",
    "cuda",
    "dask",
    "data",
    "deep",
    "django",
    "doc",
    "fast",
    "file",
    "flask",
    "flow",
    "font",
    "geo",
    "git",
    "graph",
    "grid",
    "gtk",
    "http",
    "image",
    "io",
    "json",
    "jupyter",
    "kernel",
    "lang",
    "lib",
    "linear",
    "llvm",
    "log",
    "mark",
    "math",
    "mesh",
    "meta",
    "mpi",
    "net",
    "node",
    "num",
    "odd",
    "open",
    "opt",
    "pack",
    "pandas",
    "parse",
    "pipe",
    "plot",
    "proto",
    "py",
    "python",
    "qt",
    "query",
    "r",
    "ray",
    "rust",
    "scikit",
    "seq",
    "sim",
    "spark",
    "sphinx",
    "sql",
    "stat",
    "sys",
    "tensor",
    "test",
    "text",
    "time",
    "tool",
    "torch",
    "tree",
    "type",
    "util",
    "vec",
    "video",
    "web",
    "xml",
    "yaml",
    "zip",
]
_LICENSES = ("MIT", "BSD-3-Clause", "Apache-2.0", "GPL-3.0-or-later", "LicenseRef-Own")
_FIRST = 1_500_000_000_000  # a timestamp of 2017
_FEW, _MANY = 8, 400  # records of most names, and of one in a hundred


def make_records(count: int, subdir: str, *, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield file names with records; most names have some versions, a few have hundreds."""
    chance = random.Random(seed)
    made = number = 0
    while made < count:
        name = "-".join(chance.choices(_WORDS, k=chance.choice((1, 2, 2, 3)))) + (f"-{number}" if number % 3 else "")
        number += 1
        records = _MANY if number % 100 == 0 else chance.randrange(1, 2 * _FEW)
        for at in range(min(records, count - made)):
            yield _make_record(name, at, subdir, made, chance)
            made += 1


def _make_record(name: str, at: int, subdir: str, number: int, chance: random.Random) -> tuple[str, dict[str, Any]]:
    version = f"{at // 40}.{at // 4 % 10}.{at % 4}"
    build = f"{'py' if subdir == 'noarch' else 'h'}{chance.getrandbits(28):07x}_{at % 3}"
    digest = hashlib.sha256(f"{subdir}{number}".encode())
    record = {
        "build": build,
        "build_number": at % 3,
        "constrains": [],
        "depends": ["python >=3.11,<3.12.0a0", "libgcc >=13", f"{chance.choice(_WORDS)} >=1.2,<2.0a0"],
        "license": chance.choice(_LICENSES),
        "md5": digest.hexdigest()[:32],
        "name": name,
        "sha256": digest.hexdigest(),
        "size": chance.randrange(10_000, 50_000_000),
        "subdir": subdir,
        "timestamp": _FIRST + number * 400_000,
        "version": version,
    }
    if subdir == "noarch":
        record["noarch"] = "python"
    return f"{name}-{version}-{build}{'.tar.bz2' if at < 2 else '.conda'}", record


def write_subdir(directory: Path, subdir: str, records: dict[str, dict[str, Any]], *, sharded: bool) -> None:
    """Write the index of a folder: as one file, packed, and `sharded`, as a file for each name."""
    folder = directory / subdir
    folder.mkdir(parents=True)
    packed = zstandard.ZstdCompressor(level=3)
    (folder / "repodata.json.zst").write_bytes(packed.compress(json.dumps(_index(records, subdir)).encode()))
    if sharded:
        _write_shards(folder, subdir, records, packed)


def _index(records: dict[str, dict[str, Any]], subdir: str) -> dict[str, Any]:
    return {"info": {"subdir": subdir}, **_split(records), "removed": [], "repodata_version": 1}


def _split(records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    old = {file: record for file, record in records.items() if file.endswith(".tar.bz2")}
    return {"packages": old, "packages.conda": {file: records[file] for file in records if file not in old}}


def _write_shards(
    folder: Path, subdir: str, records: dict[str, dict[str, Any]], packed: zstandard.ZstdCompressor
) -> None:
    by_name: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for file, record in records.items():
        hashes = {key: bytes.fromhex(record[key]) for key in ("md5", "sha256")}
        by_name[record["name"]][file] = record | hashes
    (folder / "shards").mkdir()
    digests: dict[str, bytes] = {}
    for name, files in by_name.items():
        shard = packed.compress(msgpack.packb({**_split(files), "removed": []}))
        digest = hashlib.sha256(shard)
        (folder / "shards" / f"{digest.hexdigest()}.msgpack.zst").write_bytes(shard)
        digests[name] = digest.digest()
    info = {"subdir": subdir, "base_url": "", "shards_base_url": "./shards/", "created_at": "2026-01-01T00:00:00Z"}
    index = msgpack.packb({"info": info, "shards": digests})
    (folder / "repodata_shards.msgpack.zst").write_bytes(packed.compress(index))
