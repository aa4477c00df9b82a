"""A build's log as it grows: server-sent events (WHATWG HTML, 9.2) that resume at any byte."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time

from pydantic import BaseModel
from tornado.iostream import StreamClosedError

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import CondaStoreHubError, InvalidRequestError
from conda_store_hub.services import changes, logs
from conda_store_hub.services.changes import build_topic
from conda_store_hub.services.logs import LogSlice
from conda_store_hub.services.tokens import rights_topics
from conda_store_hub.web.base import BaseHandler

_QUIET_SECONDS = 12.0  # after which an event says that the line is alive: scripts of a browser are not told of comments
_LONGEST_SECONDS = 900.0  # after which the reader comes again, and is asked again who they are
_LINE_END = re.compile(r"\r\n|\n|\r")


def are_asked_for(handler: BaseHandler) -> bool:
    """Tell whether events are what the Accept header names, and not as what is unwanted (RFC 9110, 12.5.1)."""
    ranges = [item.split(";") for item in handler.request.headers.get("Accept", "").lower().split(",")]
    return any(kind.strip() == "text/event-stream" and _weigh(parameters) > 0 for kind, *parameters in ranges)


def _weigh(parameters: list[str]) -> float:
    found = [value for name, _, value in (item.strip().partition("=") for item in parameters) if name == "q"]
    try:
        return float(found[0]) if found else 1.0
    except ValueError:
        return math.nan


def find_last_event_id(handler: BaseHandler) -> int | None:
    """Return the byte that a reader who was cut off goes on from."""
    text = handler.request.headers.get("Last-Event-ID")
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise InvalidRequestError("Last-Event-ID must be the id of an event of this log.")
    return int(text)


def make_event(name: str, data: str, identifier: int | None = None) -> str:
    """Return an event; each line of its data stands in a field of its own."""
    fields = [f"event: {name}", *(f"data: {line}" for line in _LINE_END.split(data))]
    if identifier is not None:
        fields.append(f"id: {identifier}")
    return "\n".join(fields) + "\n\n"


class LiveLog:
    """One reader of a live log; leaves when the reader does, or when the log is whole."""

    def __init__(self, handler: BaseHandler, build_id: int) -> None:
        self._handler = handler
        self._build_id = build_id
        self._left = False
        self._news: asyncio.Event | None = None
        self._shown: dict[str, BaseModel | None] = {}
        self._until = time.monotonic() + _LONGEST_SECONDS

    def leave(self) -> None:
        """Stop: the reader has gone."""
        self._left = True
        if self._news is not None:
            self._news.set()

    async def send(self, offset: int) -> None:
        """Send the log from byte `offset` on, and what else happens, until its end."""
        services = self._handler.services
        # Watched before it is read, so that nothing is missed between the two.
        topics = (build_topic(self._build_id), *rights_topics(self._handler.identity))
        with services.changes.watch(*topics) as self._news:
            part = await services.db.read(logs.read, self._handler.identity, self._build_id, offset)
            self._begin()
            with contextlib.suppress(StreamClosedError):
                await self._follow(part)

    def _begin(self) -> None:
        self._handler.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self._handler.set_header("Cache-Control", "no-cache, no-transform")
        self._handler.set_header("X-Accel-Buffering", "no")
        self._handler.write("retry: 1000\n\n")

    async def _follow(self, part: LogSlice) -> None:
        while not self._left:
            self._write(part)
            await self._handler.flush()
            if part.complete:
                return
            if part.next_offset >= part.size:
                await self._wait()
            next_part = await self._read(part.next_offset)
            if next_part is None:
                return
            part = next_part

    def _write(self, part: LogSlice) -> None:
        if part.data:
            self._handler.write(make_event("log", part.data.decode(errors="replace"), part.next_offset))
        self._show("state", schemas.LogState(status=part.status, status_info=part.status_info))
        self._show("phases", part.phases if part.phases.phases else None)
        self._show("progress", part.progress)
        if part.complete:
            self._handler.write(make_event("end", "", part.next_offset))

    def _show(self, name: str, value: BaseModel | None) -> None:
        if value is not None and value != self._shown.get(name):
            self._handler.write(make_event(name, value.model_dump_json()))
        self._shown[name] = value

    async def _wait(self) -> None:
        """Wait for news, or for the end of the reader's time."""
        news = self._news
        while news is not None and (left := self._until - time.monotonic()) > 0:
            if await changes.wait(news, min(left, _QUIET_SECONDS)) or left <= _QUIET_SECONDS:
                return
            self._handler.write(make_event("alive", ""))
            await self._handler.flush()

    async def _read(self, offset: int) -> LogSlice | None:
        """Return what follows byte `offset`; None when there is nobody to read it for any more."""
        if self._left or self._news is None or time.monotonic() >= self._until:
            return None
        self._news.clear()
        try:
            await self._handler.stay()
            return await self._handler.services.db.read(logs.follow, self._handler.identity, self._build_id, offset)
        except CondaStoreHubError as exc:
            self._handler.log.warning("a live log broke off: %s", exc.detail or exc.message)
            return None
