"""Limit how long a client may keep a connection busy.

uvicorn limits neither the time for the headers of a request, nor that for its body, nor that in
which a client reads the response.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class TimedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen at run time
    """Close connections whose clients are too slow.

    uvicorn (0.54) keeps the latest request as `cycle`, which is None before the first.

    Attributes:
        headers_s: Seconds for the headers: from the connection, or from the first byte of a further
            request.
        body_s: Seconds for the complete body, whose size is limited elsewhere.
        response_s: Seconds in which a client must continue to read a response.
    """

    headers_s: float = 10
    body_s: float = 30
    response_s: float = 30
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
