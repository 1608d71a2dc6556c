"""An ingestion endpoint of Application Insights on this machine."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from control_plane.messages import Answer, Request
from servers import QuietHandler, serve

KEY = "12345678-1234-1234-1234-123456789012"
PROPERTIES = {"pipeline", "node", "step", "job", "seconds", "rows", "error"}
"""Properties that an item may have."""
HOST = "westeurope-5.in.applicationinsights.azure.com"


class Ingestion:
    """Store all items that are sent; `refusal` is the response to all requests if it is set."""

    def __init__(self, endpoint: str) -> None:
        self.connection_string = f"InstrumentationKey={KEY};IngestionEndpoint={endpoint}/"
        self.bodies: list[bytes] = []
        self.tokens: list[str] = []
        self.refusal: Answer | None = None
        self.wait: Callable[[], object] = lambda: None

    def __call__(self, request: Request) -> Answer:
        self.wait()
        if self.refusal is not None:
            return self.refusal
        assert request.method == "POST"
        assert request.path == "/v2.1/track"
        self.tokens.append(request.headers.get("Authorization", ""))
        body = request.body
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.bodies.append(body)
        count = len(json.loads(body))
        return Answer.of({"itemsReceived": count, "itemsAccepted": count, "errors": []})

    @property
    def items(self) -> list[dict[str, Any]]:
        """Return all items, each with the fields that the service requires."""
        found = [item for body in self.bodies for item in json.loads(body)]
        for item in found:
            assert item["iKey"] == KEY
            assert item["name"].startswith("Microsoft.ApplicationInsights.")
            assert item["time"].endswith("Z")
        return found

    def data_of(self, kind: str) -> list[dict[str, Any]]:
        """Return the data of all items of a kind: `RequestData`."""
        data = [item["data"] for item in self.items]
        return [each["baseData"] for each in data if each["baseType"] == kind]


@contextmanager
def running() -> Iterator[Ingestion]:
    """Run an endpoint on a free port, without TLS."""
    handler = type("Handler", (_Handler,), {})
    with serve(handler) as server:
        ingestion = Ingestion(f"http://127.0.0.1:{server.server_port}")
        handler.ingestion = ingestion  # type: ignore[attr-defined]
        yield ingestion


class _Handler(QuietHandler):
    ingestion: ClassVar[Ingestion]

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.ingestion(Request("", "POST", self.path, self.headers, body))
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)
