"""What is asked of the services, what they answer, and what may go wrong in between."""

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
    """One HTTP request; `target` is path and query as they were sent."""

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
        """Values by name, in lower case: ARM does not care, and its clients are not of one mind."""
        values = parse_qs(urlsplit(self.target).query)
        return {name.lower(): found[0] for name, found in values.items()}

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body; empty if there is none."""
        return json.loads(self.body) if self.body else {}


@dataclass(frozen=True)
class Answer:
    """One HTTP response."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Any, status: int = 200, **headers: str) -> Answer:
        """A JSON document."""
        body = json.dumps(document).encode()
        return cls(status, body, {"Content-Type": "application/json; charset=utf-8", **headers})

    @classmethod
    def error(cls, status: int, code: str, message: str, **headers: str) -> Answer:
        """A refusal in the words of Azure Resource Manager."""
        return cls.of({"error": {"code": code, "message": message}}, status, **headers)


@dataclass
class Fault:
    """What meets a request instead of the service, so many times.

    `answer` None closes the connection without a word.
    """

    answer: Answer | None
    host: str = "*"
    method: str = "*"
    path: str = ""
    """A regular expression found in the path."""
    times: int = 1_000_000
    met: int = 0

    def meets(self, request: Request) -> bool:
        """Whether this request runs into the fault; counts it."""
        hit = (
            self.met < self.times
            and fnmatch(request.host, self.host)
            and self.method in ("*", request.method)
            and re.search(self.path, request.path) is not None
        )
        self.met += hit
        return hit
