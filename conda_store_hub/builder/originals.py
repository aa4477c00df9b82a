"""Files of packages as they were before a prefix was written into them, and as they are in another prefix."""

from __future__ import annotations

import hashlib
from pathlib import Path

from conda_store_hub.builder.prefix import LinkedFile


def restore_file(prefix: Path, file: LinkedFile) -> bytes | None:
    """Return a file that has the prefix in it as its package has it; None where that cannot be told any more."""
    data = (prefix / file.path).read_bytes()
    take_out = restore_binary if file.is_binary else restore_text
    restored = take_out(data, str(prefix).encode(), file.placeholder.encode())
    if restored is None or (file.sha256 and hashlib.sha256(restored).hexdigest() != file.sha256):
        return None
    return restored


def restore_text(data: bytes, prefix: bytes, placeholder: bytes) -> bytes:
    """Return a text with the placeholder where the prefix is."""
    return data.replace(prefix, placeholder)


def restore_binary(data: bytes, prefix: bytes, placeholder: bytes) -> bytes | None:
    """Return binary data with the placeholder where the prefix is, and without the zeros that took up its length.

    The zeros stand behind the end of the text that the prefix is in. None if they do not.
    """
    pieces: list[bytes] = []
    at = 0
    while (start := data.find(prefix, at)) >= 0:
        end = data.find(b"\0", start)
        text = data[start : end if end >= 0 else len(data)]
        filled = (len(placeholder) - len(prefix)) * text.count(prefix)
        zeros = data[start + len(text) : start + len(text) + filled]
        if len(zeros) != filled or zeros.strip(b"\0"):
            return None
        pieces += [data[at:start], text.replace(prefix, placeholder)]
        at = start + len(text) + filled
    return b"".join([*pieces, data[at:]])
