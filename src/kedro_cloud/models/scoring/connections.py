"""Limit how long a client may keep a connection busy, and how many requests run at once.

uvicorn limits neither the time for the headers of a request, nor that for its body, nor that in
which a client reads the response; and its limit of concurrent requests counts idle connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEADERS_S = 10
"""Time for the headers: from the connection, or from the first byte of a further request."""
BODY_S = 30
"""Time for the body, 10 MB at most."""
RESPONSE_S = 30
"""Time in which a client must continue to read a response."""
_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_BUSY = b'{"error": "the server is busy; retry later"}'

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class TimedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen at run time
    """Close connections whose clients are too slow.

    `cycle` is the latest request in both of uvicorn's protocols (0.54), None before the first.
    """

    headers_s: float = HEADERS_S
    body_s: float = BODY_S
    response_s: float = RESPONSE_S
    _awaited = ""
    _timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the time for the headers."""
        super().connection_made(transport)
        self._await("headers", self.headers_s)

    def data_received(self, data: bytes) -> None:
        """Start or stop the times for headers and body."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._await("headers", self.headers_s)
        elif self.cycle.more_body:
            self._await("body", self.body_s)
        else:
            self._await("", 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all times."""
        self._await("", 0)
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the time for the response: the client reads more slowly than it is sent."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.response_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the time for the response."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _await(self, part: str, seconds: float) -> None:
        """Start the time for a part of a request unless it runs; stop that of the part before."""
        if part == self._awaited:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._awaited = part
        self._timer = self.loop.call_later(seconds, self._expire) if part else None

    def _expire(self) -> None:
        if not self.transport.is_closing():
            if self._awaited == "headers" or not self.cycle.response_started:
                self.transport.write(_TIMEOUT)
            self.transport.close()


class RequestLimit:
    """ASGI app that answers 503 to POST requests beyond a number at once.

    Without it, further ones would wait in memory. Idle connections and probes do not count.
    """

    def __init__(self, app: App, most: int) -> None:
        """Wrap an app, which then gets at most `most` requests at once."""
        self._app = app
        self._most = most
        self._running = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        if self._running >= self._most:
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(_BUSY)),
                (b"connection", b"close"),
                (b"retry-after", b"1"),
            ]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": _BUSY})
            return
        self._running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1
