"""HTTP requests and responses of the services, and faults."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """An HTTP request; `target` is path and query as sent."""

    host: str
    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """Return the values by name in lower case, as ARM ignores case."""
        values = parse_qs(urlsplit(self.target).query)
        return {name.lower(): found[0] for name, found in values.items()}

    @property
    def document(self) -> dict[str, Any]:
        """Return the JSON object in the body; empty without a body."""
        return json.loads(self.body) if self.body else {}


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Any, status: int = 200, **headers: str) -> Answer:
        """Return a response with a JSON document."""
        body = json.dumps(document).encode()
        return cls(status, body, {"Content-Type": "application/json; charset=utf-8", **headers})

    @classmethod
    def error(cls, status: int, code: str, message: str, **headers: str) -> Answer:
        """Return an error response of Azure Resource Manager."""
        return cls.of({"error": {"code": code, "message": message}}, status, **headers)


@dataclass
class Fault:
    """A response in place of the service's, a number of times; None closes the connection."""

    answer: Answer | None
    host: str = "*"
    method: str = "*"
    path: str = ""
    """Regular expression that the path must contain."""
    times: int = 1_000_000
    met: int = 0

    def meets(self, request: Request) -> bool:
        """Return whether the fault applies to a request, and count it."""
        hit = (
            self.met < self.times
            and fnmatch(request.host, self.host)
            and self.method in ("*", request.method)
            and re.search(self.path, request.path) is not None
        )
        self.met += hit
        return hit
