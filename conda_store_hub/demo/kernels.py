"""Asking a user's Jupyter server which kernels it lists, and computing in one, as a notebook does."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self

import httpx
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from conda_store_hub.demo.errors import DemoError

MOST_BYTES = 1 << 26


class UserServer:
    """A running server of a user's.

    url: its address, with a slash at the end. token: a Hub token of somebody who may use it.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"token {token}"}
        self._http = httpx.Client(base_url=url, headers=self._headers, trust_env=False, timeout=60)

    def __enter__(self) -> Self:
        """Use as a context manager: connections are closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def list_kernels(self) -> list[str]:
        """List the names of the kernels that a notebook can choose."""
        return list(self._ask("GET", "api/kernelspecs")["kernelspecs"])

    def compute(self, kernel: str, code: str, patience: float = 120.0) -> str:
        """Start a kernel, run one cell in it, end the kernel; what the cell printed."""
        with self._started(kernel) as kernel_id:
            try:
                return asyncio.run(asyncio.wait_for(self._run_cell(kernel_id, code), patience))
            except TimeoutError as error:
                raise DemoError(f"The kernel {kernel} did not finish a cell in {patience:.0f} s.") from error
            except (HTTPClientError, OSError) as error:
                raise DemoError(f"The kernel {kernel} cannot be reached: {error}.") from error

    @contextmanager
    def _started(self, kernel: str) -> Generator[str]:
        kernel_id: str = self._ask("POST", "api/kernels", json={"name": kernel})["id"]
        try:
            yield kernel_id
        finally:
            self._ask("DELETE", f"api/kernels/{kernel_id}")

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        answer = self._http.request(method, path, **options)
        if answer.is_error:
            raise DemoError(f"The user's server refused {method} {path}: {answer.status_code} {answer.text[:1000]}")
        return answer.json() if answer.content else None

    async def _run_cell(self, kernel_id: str, code: str) -> str:
        session = uuid.uuid4().hex
        address = f"{self._url.replace('http', 'ws', 1)}api/kernels/{kernel_id}/channels?session_id={session}"
        request = HTTPRequest(address, headers=self._headers, request_timeout=60, connect_timeout=60)
        connection = await websocket_connect(request, max_message_size=MOST_BYTES)
        try:
            asked = _execute_request(session, code)
            await connection.write_message(json.dumps(asked))
            return await _read_output(connection, asked["header"]["msg_id"])
        finally:
            await _close(connection)


def _execute_request(session: str, code: str) -> dict[str, Any]:
    """Make the message (Jupyter's messaging protocol 5.3, "Execute")."""
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "session": session,
        "username": "demo",
        "date": datetime.now(UTC).isoformat(),
        "version": "5.3",
    }
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
    return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}


async def _close(connection: WebSocketClientConnection) -> None:
    """Close, and hear the other side close too; the socket stays open until then."""
    connection.close()
    while await connection.read_message() is not None:
        pass


async def _read_output(connection: WebSocketClientConnection, asked: str) -> str:
    printed: list[str] = []
    while (raw := await connection.read_message()) is not None:
        message = json.loads(raw)
        if message["parent_header"].get("msg_id") != asked:
            continue
        content = message["content"]
        match message["msg_type"]:
            case "stream":
                printed.append(content["text"])
            case "error":
                raise DemoError(f"The cell failed: {content['ename']}: {content['evalue']}")
            case "status" if content["execution_state"] == "idle":
                return "".join(printed)
            case _:
                pass
    raise DemoError("The kernel ended in the middle of a cell.")
