"""Bytes on their way out: artifacts by ranges, logs; never whole in memory, never faster than the client takes them."""

from __future__ import annotations

import base64
import contextlib
import re
from dataclasses import dataclass

from tornado.iostream import StreamClosedError

from conda_store_hub.core.errors import CondaStoreHubError, RangeNotSatisfiableError
from conda_store_hub.services import logs
from conda_store_hub.services.artifacts import Location
from conda_store_hub.web.base import BaseHandler

_RANGE = re.compile(r"bytes=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class ByteRange:
    """Bytes from `start` up to, not including, `end`."""

    start: int
    end: int


def find_range(header: str, size: int) -> ByteRange | None:
    """Return the one range that is asked for (RFC 9110, 14.2); None means all.

    Several ranges at once and what cannot be read are answered with all, as the RFC allows. Raises
    RangeNotSatisfiableError for one that lies behind the end.
    """
    match = _RANGE.fullmatch(header)
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        found = ByteRange(start=max(0, size - int(match[2])), end=size)
    else:
        last = int(match[2]) if match[2] else size - 1
        if last < int(match[1]) and match[2]:
            return None
        found = ByteRange(start=int(match[1]), end=min(last + 1, size))
    if found.start >= found.end:
        raise RangeNotSatisfiableError(f"There are {size} bytes; the range asked for lies outside of them.")
    return found


def matches(header: str, etag: str) -> bool:
    """Tell whether an If-None-Match names `etag` (RFC 9110, 13.1.2: compared weakly)."""
    named = {item.strip().removeprefix("W/") for item in header.split(",")}
    return "*" in named or etag in named


async def send_artifact(handler: BaseHandler, location: Location) -> None:
    """Send an artifact, or a range of it; raises StreamClosedError when the client has left."""
    etag = f'"{location.sha256}"'
    handler.set_header("ETag", etag)
    handler.set_header("Repr-Digest", _make_digest(location.sha256))
    handler.set_header("Cache-Control", "private, no-cache")
    handler.set_header("Accept-Ranges", "bytes")
    if matches(handler.request.headers.get("If-None-Match", ""), etag):
        handler.set_status(304)
        await handler.finish()
        return
    handler.set_header("Content-Type", location.media_type)
    handler.set_header("Content-Disposition", f'attachment; filename="{location.filename}"')
    part = _choose(handler, location.size, etag)
    handler.set_header("Content-Length", str(part.end - part.start))
    if handler.request.method == "HEAD":
        await handler.finish()
        return
    await _stream(handler, location.key, part)


def _make_digest(sha256: str) -> str:
    """Return the header's value for all of the bytes, whichever part is sent (RFC 9530, 3)."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def _choose(handler: BaseHandler, size: int, etag: str) -> ByteRange:
    headers = handler.request.headers
    asked = headers.get("Range", "") if headers.get("If-Range", etag) == etag else ""
    part = find_range(asked, size)
    if part is None:
        return ByteRange(start=0, end=size)
    handler.set_status(206)
    handler.set_header("Content-Range", f"bytes {part.start}-{part.end - 1}/{size}")
    return part


async def _stream(handler: BaseHandler, key: str, part: ByteRange) -> None:
    """Send pieces, each when the one before is on its way; a storage that fails midway breaks the connection off."""
    sent = 0
    try:
        async with contextlib.aclosing(handler.services.store.read(key, part.start, part.end)) as pieces:
            async for piece in pieces:
                handler.write(piece)
                await handler.flush()
                sent += len(piece)
    except CondaStoreHubError as exc:
        if not sent:
            raise
        handler.log.warning("an artifact broke off: %s", exc.detail or exc.message)
        handler.detach().close()


async def send_log(handler: BaseHandler, build_id: int, offset: int) -> None:
    """Send the log from byte `offset` to where it ends now; X-Log-Offset is where to ask on."""
    db = handler.services.db
    part = await db.read(logs.read, handler.identity, build_id, offset)
    end = max(part.size, part.next_offset)
    handler.set_header("Content-Type", "text/plain; charset=utf-8")
    handler.set_header("X-Log-Offset", str(end))
    handler.set_header("X-Log-Complete", "true" if part.whole else "false")
    handler.set_header("Content-Length", str(end - part.next_offset + len(part.data)))
    if handler.request.method == "HEAD":
        return
    with contextlib.suppress(StreamClosedError):
        handler.write(part.data)
        while part.next_offset < end and part.data:
            await handler.flush()
            part = await db.read(logs.peek, build_id, part.next_offset)
            handler.write(part.data[: len(part.data) - max(0, part.next_offset - end)])
        await handler.flush()
