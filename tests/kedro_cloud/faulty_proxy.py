"""A proxy in front of Azurite that fails chosen requests in chosen ways."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from emulator import Azurite
from support import GUARD_S

Way = Literal["answer", "cut request", "cut answer", "lose answer", "silence", "meanwhile"]


@dataclass
class Fault:
    """What happens to requests whose line, such as `GET /account/raw/x?comp=list`, matches.

    Ways: `answer` with a status instead of the server; `cut request` when half of it has come;
    `cut answer` when half of it has gone; `lose answer`, so that the server did what it was
    asked; `silence`, until the client gives up; `meanwhile` something else happens first.
    """

    request: str
    way: Way
    status: int = 503
    code: str = "ServerBusy"
    headers: dict[str, str] = field(default_factory=dict)
    meanwhile: Callable[[], object] = lambda: None
    times: int = 1_000_000
    happened: int = 0


class FaultyProxy:
    """Passes requests on to Azurite, less those that are to fail."""

    def __init__(self, azurite: Azurite) -> None:
        self.target = azurite.port
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.proxy = self  # type: ignore[attr-defined]
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.connection_string = azurite.connection_string.replace(
            f":{azurite.port}/", f":{self.port}/"
        )

    def fail(self, request: str, way: Way, **options: object) -> Fault:
        """Let requests fail that match an expression; the latest such wish counts first."""
        fault = Fault(request, way, **options)  # type: ignore[arg-type]
        self.faults.insert(0, fault)
        return fault

    def fault_of(self, line: str) -> Fault | None:
        """What is to happen to a request, which is noted."""
        with self._lock:
            self.requests.append(line)
            for fault in self.faults:
                if fault.happened < fault.times and re.search(fault.request, line):
                    fault.happened += 1
                    return fault
        return None

    def serve(self) -> None:
        """Take requests until `close`."""
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """Take no more."""
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def running(azurite: Azurite) -> Iterator[FaultyProxy]:
    """A proxy that so far fails nothing, for as long as the block lasts."""
    proxy = FaultyProxy(azurite)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        proxy: FaultyProxy = self.server.proxy  # type: ignore[attr-defined]
        fault = proxy.fault_of(f"{self.command} {self.path}")
        way = fault.way if fault else None
        length = int(self.headers.get("Content-Length") or 0)
        if way == "cut request":
            self.rfile.read(length // 2)
            self._cut()
            return
        body = self.rfile.read(length)
        if way == "silence":
            proxy.over.wait()
            self._cut()
            return
        if fault is not None and way == "answer":
            headers = {"x-ms-error-code": fault.code, **fault.headers}
            self._reply(fault.status, headers, b"")
            return
        if fault is not None and way == "meanwhile":
            fault.meanwhile()
        status, headers, content = self._passed_on(proxy.target, body)
        if way == "lose answer":
            self._cut()
        elif way == "cut answer":
            self._reply(status, headers, content, sent=len(content) // 2)
            self._cut()
        else:
            self._reply(status, headers, content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _handle  # noqa: N815

    def _passed_on(self, port: int, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", port, timeout=GUARD_S)
        try:
            kept = {name: value for name, value in self.headers.items() if name != "Connection"}
            connection.request(self.command, self.path, body, kept)
            response = connection.getresponse()
            content = response.read()
            return response.status, dict(response.getheaders()), content
        finally:
            connection.close()

    def _reply(
        self, status: int, headers: dict[str, str], content: bytes, sent: int | None = None
    ) -> None:
        with suppress(OSError):
            self.send_response_only(status)
            dropped = {"transfer-encoding", "connection", "content-length", "keep-alive"}
            for name, value in headers.items():
                if name.lower() not in dropped:
                    self.send_header(name, value)
            length = headers.get("content-length", headers.get("Content-Length"))
            whole = length if self.command == "HEAD" and length else str(len(content))
            self.send_header("Content-Length", whole)
            self.end_headers()
            self.wfile.write(content[:sent])
            self.wfile.flush()

    def _cut(self) -> None:
        """End the connection as a router does that has lost it."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing."""
