"""What the engine takes of a lock, and what it says when an install fails, in words."""

from __future__ import annotations

import pytest

from conda_store_hub.core.engine import explain_install, make_record
from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.lockfiles import LockedPackage

CHANNEL = "https://conda.example.org/forge"


def package(name: str = "numpy", version: str = "2.0", build: str = "py312_3", **more: str) -> LockedPackage:
    url = f"{CHANNEL}/linux-64/{name}-{version}-{build}.conda"
    values = {"subdir": "linux-64", "channel": CHANNEL, "url": url, **more}
    return LockedPackage(manager="conda", name=name, version=version, build=build, **values)


def test_a_record_has_all_that_a_lock_tells() -> None:
    record = make_record(package(sha256="ab" * 32, md5="cd" * 16))
    assert (record.name.normalized, str(record.version), str(record.build)) == ("numpy", "2.0", "py312_3")
    assert (record.build_number, record.subdir) == (3, "linux-64")
    assert (record.sha256 and record.sha256.hex(), record.md5 and record.md5.hex()) == ("ab" * 32, "cd" * 16)
    assert (record.file_name, record.channel) == ("numpy-2.0-py312_3.conda", f"{CHANNEL}/")


def test_a_package_with_one_hash_or_none_is_a_record_too() -> None:
    assert make_record(package(md5="cd" * 16)).sha256 is None
    assert make_record(package()).md5 is None


@pytest.mark.parametrize(
    ("build", "place"),
    [("h_0_cp313t", "lib/python3.13t/site-packages"), ("h_0_cp313", None), ("h_0_cpython", None)],
)
def test_a_python_without_the_global_lock_keeps_its_packages_elsewhere(build: str, place: str | None) -> None:
    assert make_record(package("python", "3.13.1", build)).python_site_packages_path == place
    assert make_record(package("other", "3.13.1", build)).python_site_packages_path is None


def test_what_is_no_version_is_refused_in_words() -> None:
    with pytest.raises(InvalidRequestError, match="is no version"):
        make_record(package(version="1.0_!"))


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ("failed: No space left on device (os error 28)", "disk-full", "disk"),
        (
            "hash mismatch when extracting numpy-2.0-0.conda expected 0123456789, got abcdef0123",
            "package-corrupt",
            "expected sha256 0123456789, got abcdef0123",
        ),
        ("error https://u:secret@h/linux-64/numpy-2.0-0.conda\nCaused by: refused.", "install-failed", "refused"),
        ("failed to copy file", "install-failed", "could not be installed"),
    ],
)
def test_a_failed_install_is_told_in_words_without_secrets(said: str, code: str, words: str) -> None:
    error = explain_install(said)
    assert error.code == code
    assert words in error.message
    assert "secret" not in f"{error.message}{error.detail}"
