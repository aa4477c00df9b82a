"""Bytes on their way out: artifacts by ranges, logs; never whole in memory, never faster than the client takes them."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
from collections.abc import Generator
from dataclasses import dataclass

from tornado.http1connection import HTTP1Connection
from tornado.iostream import IOStream, StreamClosedError

from conda_store_hub.core.errors import (
    CondaStoreHubError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    TooManyDownloadsError,
)
from conda_store_hub.services import logs
from conda_store_hub.services.artifacts import Location
from conda_store_hub.web.auth import find_source
from conda_store_hub.web.base import BaseHandler

MOST_AT_ONCE = 50
_SILENT_SECONDS = 60
_RANGE = re.compile(r"bytes=[\s,]*([0-9]*)\s*-\s*([0-9]*)[\s,]*", re.IGNORECASE)
_MOST_DIGITS = 18


@dataclass(frozen=True, kw_only=True, slots=True)
class ByteRange:
    """Bytes from `start` up to, not including, `end`."""

    start: int
    end: int


def find_range(header: str, size: int) -> ByteRange | None:
    """Return the one range that is asked for (RFC 9110, 14.2); None means all.

    Several ranges at once and what cannot be read are answered with all, as the RFC allows; empty members of the list
    count for nothing (5.6.1). Raises RangeNotSatisfiableError for one that lies behind the end.
    """
    match = _RANGE.fullmatch(header)
    if match is None or match[1] == match[2] == "":
        return None
    first, last = (_read_number(digits) for digits in match.groups())
    if first is None:
        found = ByteRange(start=max(0, size - (last or 0)), end=size)
    elif last is not None and last < first:
        return None
    else:
        found = ByteRange(start=first, end=size if last is None else min(last + 1, size))
    if found.start >= found.end:
        raise RangeNotSatisfiableError.behind(size)
    return found


def _read_number(digits: str) -> int | None:
    """Return a number of any length; what is larger than all files is as large as can be."""
    digits = digits.lstrip("0") or digits[:1]
    return int(digits) if 0 < len(digits) <= _MOST_DIGITS else (10**_MOST_DIGITS if digits else None)


def matches(header: str, etag: str) -> bool:
    """Tell whether an If-None-Match names `etag` (RFC 9110, 13.1.2: compared weakly)."""
    named = {item.strip().removeprefix("W/") for item in header.split(",")}
    return "*" in named or etag in named


def find_person(handler: BaseHandler) -> str:
    """Return to whom something is counted: who asks, or the address of who does not say who they are."""
    who = handler.identity
    return who.name if who.authenticated and who.name else f"@{find_source(handler.request)}"


@contextlib.contextmanager
def counted(handler: BaseHandler, images: int | None = None) -> Generator[None]:
    """Count a download to who asks while it lasts; raise TooManyDownloadsError when they have as many as one may.

    `images`: it is of images, which are counted apart, and of which one may have so many: a person can be a cluster.
    """
    name, under_way = find_person(handler), handler.services.downloading
    name, most = (name, MOST_AT_ONCE) if images is None else (f"images of {name}", images)
    if under_way[name] >= most:
        raise TooManyDownloadsError
    under_way[name] += 1
    try:
        yield
    finally:
        under_way[name] -= 1
        if not under_way[name]:
            del under_way[name]


def _expect_reader(handler: BaseHandler) -> None:
    """Have the system end the connection when nothing that is sent is taken for a minute (tcp(7)).

    It counts what is taken; here one knows only when a whole piece is, which a slow reader may need long for.
    """
    connection = handler.request.connection
    stream = connection.stream if isinstance(connection, HTTP1Connection) else None
    if isinstance(stream, IOStream) and stream.socket is not None:  # None: the reader has left
        stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENT_SECONDS * 1000)


def require_match(header: str | None, etag: str) -> None:
    """Raise PreconditionFailedError when an If-Match names other bytes (RFC 9110, 13.1.1: compared strongly)."""
    if header is not None and not {"*", etag} & {item.strip() for item in header.split(",")}:
        raise PreconditionFailedError


async def send_artifact(handler: BaseHandler, location: Location) -> None:
    """Send an artifact, or a range of it; raises StreamClosedError when the client has left."""
    handler.set_header("Content-Type", location.media_type)
    handler.set_header("Content-Disposition", f'attachment; filename="{location.filename}"')
    handler.set_header("Repr-Digest", _make_digest(location.sha256))
    part = _agree(handler, location.size, f'"{location.sha256}"')
    if part is not None:
        await _stream(handler, location.key, part)


def _make_digest(sha256: str) -> str:
    """Return the header's value for all of the bytes, whichever part is sent (RFC 9530, 3)."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def _agree(handler: BaseHandler, size: int, etag: str) -> ByteRange | None:
    """Tell what is sent, and return it; None when that is all (RFC 9110, 13.2.2, gives the order)."""
    require_match(handler.request.headers.get("If-Match"), etag)
    handler.set_header("ETag", etag)
    handler.set_header("Cache-Control", "private, no-cache")
    handler.set_header("Accept-Ranges", "bytes")
    if matches(handler.request.headers.get("If-None-Match", ""), etag):
        handler.set_status(304)
        return None
    part = _choose(handler, size, etag)
    handler.set_header("Content-Length", str(part.end - part.start))
    return None if handler.request.method == "HEAD" else part


def _choose(handler: BaseHandler, size: int, etag: str) -> ByteRange:
    headers = handler.request.headers
    is_asked = handler.request.method == "GET" and headers.get("If-Range", etag) == etag  # of no other (14.2)
    asked = headers.get("Range", "") if is_asked else ""
    part = find_range(asked, size)
    if part is None:
        return ByteRange(start=0, end=size)
    handler.set_status(206)
    handler.set_header("Content-Range", f"bytes {part.start}-{part.end - 1}/{size}")
    return part


async def _stream(handler: BaseHandler, key: str, part: ByteRange) -> None:
    """Send pieces, each when the one before is on its way; a storage that fails midway breaks the connection off."""
    _expect_reader(handler)
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
    """Send the log from byte `offset` to where it ends now; X-Log-Offset is where to ask on.

    One that will not grow is sent as files are, with ranges of bytes.
    """
    part = await handler.services.db.read(logs.read, handler.identity, build_id, offset)
    end = max(part.size, part.next_offset)
    handler.set_header("Content-Type", "text/plain; charset=utf-8")
    handler.set_header("X-Log-Offset", str(end))
    handler.set_header("X-Log-Complete", "true" if part.whole else "false")
    if part.whole and not offset:
        # It may be opened again while more is made of the build; then it is longer after that.
        chosen = _agree(handler, part.size, f'"log-{build_id}-{part.size}"')
        if chosen is not None:
            await _stream_log(handler, build_id, chosen, part.data[chosen.start : chosen.end])
        return
    start = part.next_offset - len(part.data)
    handler.set_header("Content-Length", str(end - start))
    if handler.request.method != "HEAD":
        await _stream_log(handler, build_id, ByteRange(start=start, end=end), part.data)


async def _stream_log(handler: BaseHandler, build_id: int, part: ByteRange, data: bytes) -> None:
    """Send a part of a log of which `data`, its beginning, was read already."""
    _expect_reader(handler)
    at = part.start
    with contextlib.suppress(StreamClosedError):
        while at < part.end:
            data = data or await handler.services.db.read(logs.peek_bytes, build_id, at, part.end)
            if not data:
                break
            handler.write(data)
            await handler.flush()
            at, data = at + len(data), b""
