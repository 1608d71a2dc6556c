"""A proxy in front of Azurite that injects faults."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Literal

from emulator import Azurite
from servers import QuietHandler, serve
from support import GUARD_S

Way = Literal["answer", "cut request", "cut answer", "lose answer", "silence", "meanwhile"]


@dataclass
class Fault:
    """A fault of requests whose line, such as `GET /account/raw/x?comp=list`, matches.

    Ways: `answer` with an error status; `cut request`: close the connection after half of the
    request; `cut answer`: after half of the response; `lose answer`: close it in place of the
    response; `silence`: do not respond; `meanwhile`: call a function, then forward the request.
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
    """Forwards requests to Azurite, except those with a fault."""

    def __init__(self, azurite: Azurite) -> None:
        self.target = azurite.port
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.over = threading.Event()
        self.connection_string = ""
        self._lock = threading.Lock()

    def fail(self, request: str, way: Way, **options: object) -> Fault:
        """Add a fault for requests that match an expression; the latest applies first."""
        fault = Fault(request, way, **options)  # type: ignore[arg-type]
        self.faults.insert(0, fault)
        return fault

    def fault_of(self, line: str) -> Fault | None:
        """Record a request, and return its fault."""
        with self._lock:
            self.requests.append(line)
            for fault in self.faults:
                if fault.happened < fault.times and re.search(fault.request, line):
                    fault.happened += 1
                    return fault
        return None


@contextmanager
def running(azurite: Azurite) -> Iterator[FaultyProxy]:
    """Run a proxy without faults."""
    proxy = FaultyProxy(azurite)
    with serve(_Handler) as server:
        server.proxy = proxy  # type: ignore[attr-defined]
        proxy.connection_string = azurite.connection_string.replace(
            f":{azurite.port}/", f":{server.server_port}/"
        )
        try:
            yield proxy
        finally:
            proxy.over.set()


class _Handler(QuietHandler):
    def _handle(self) -> None:
        proxy: FaultyProxy = self.server.proxy  # type: ignore[attr-defined]
        fault = proxy.fault_of(f"{self.command} {self.path}")
        way = fault.way if fault else None
        length = int(self.headers.get("Content-Length") or 0)
        if way == "cut request":
            self.rfile.read(length // 2)
            self.reset_connection()
            return
        body = self.rfile.read(length)
        if way == "silence":
            proxy.over.wait()
            self.reset_connection()
            return
        if fault is not None and way == "answer":
            headers = {"x-ms-error-code": fault.code, **fault.headers}
            self._reply(fault.status, headers, b"")
            return
        if fault is not None and way == "meanwhile":
            fault.meanwhile()
        status, headers, content = self._forward(proxy.target, body)
        if way == "lose answer":
            self.reset_connection()
        elif way == "cut answer":
            self._reply(status, headers, content, sent=len(content) // 2)
            self.reset_connection()
        else:
            self._reply(status, headers, content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _handle  # noqa: N815

    def _forward(self, port: int, body: bytes) -> tuple[int, dict[str, str], bytes]:
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
            size = length if self.command == "HEAD" and length else str(len(content))
            self.send_header("Content-Length", size)
            self.end_headers()
            self.wfile.write(content[:sent])
            self.wfile.flush()
