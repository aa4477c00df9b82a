"""Texts that no package has: those with the prefix in them are changed for an image, however large they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from conda_store_hub.builder import layers


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        (b"#!/srv/b/xyz/bin/python\n", True),
        (b"", False),
        (b"/srv/b/xy", False),
        (b"a\0/srv/b/xyz", False),
        (b"a" * 59 + b"/srv/b/xyz" + b"a" * 9, True),
        (b"a" * 64 + b"/srv/b/xyz", True),
        (b"a" * 200, False),
    ],
)
def test_the_prefix_is_found_wherever_a_piece_of_the_file_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, is_found: bool
) -> None:
    monkeypatch.setattr(layers, "COPY_BYTES", 64)
    path = tmp_path / "file"
    path.write_bytes(text)
    assert layers._is_text_with(path, b"/srv/b/xyz") is is_found
