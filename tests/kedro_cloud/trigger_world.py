"""Simulate the services of the Logic App: queue, container of markers, endpoint and jobs."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from logic_app import Response, Run
from support import ROOT

WORKFLOW = json.loads((ROOT / "infra/trigger/workflow.json").read_text())
PREFIX = "/blobServices/default/containers/"
PARAMETERS = {
    "identity": "/subscriptions/1/identities/trigger",
    "queue": "https://account.queue.core.windows.net/new-videos",
    "markers": "https://account.blob.core.windows.net/triggers",
    "endpoint": "https://style-transfer.westeurope.inference.ml.azure.com/jobs",
    "workspace": "https://management.azure.com/subscriptions/1/workspaces/quartet",
    "manager": "https://management.azure.com/",
    "container": "videos",
    "suffixes": [".mp4", ".mov"],
    "attempts": 3,
    "fileInput": "video",
    "inputs": {"style": {"jobInputType": "Literal", "value": "wave"}},
}
HIDDEN_MINUTES = 360


def actions_in(actions: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield all actions of a workflow, nested ones included, by name."""
    for name, action in actions.items():
        yield name, action
        yield from actions_in(action.get("actions", {}))
        yield from actions_in(action.get("else", {}).get("actions", {}))


@dataclass
class Message:
    """A message of the queue; hidden until `visible_at`."""

    id: str
    text: str
    visible_at: int = 0


@dataclass
class World:
    """Store what the workflow writes; `refuse` returns an error status for a request, or None."""

    minutes: int = 0
    requests: int = 0
    messages: list[Message] = field(default_factory=list)
    blobs: dict[str, Any] = field(default_factory=dict)
    started: dict[str, Any] = field(default_factory=dict)
    ends: list[str] = field(default_factory=list)
    """Final statuses of jobs, in order; later jobs are completed."""
    running_minutes: int = 3
    refuse: Callable[[str, str], int | None] = lambda method, host: None
    names_jobs: bool = True
    """Whether a job gets the requested name."""

    def upload(self, name: str, number: int = 1, container: str = "videos", **event: Any) -> None:
        """Add the event of a new blob, as Event Grid does."""
        content = {
            "id": f"event-{number}",
            "eventType": "Microsoft.Storage.BlobCreated",
            "subject": f"{PREFIX}{container}/blobs/{name}",
            "data": {"contentLength": 5},
            **event,
        }
        text = base64.b64encode(json.dumps(content).encode()).decode()
        self.messages.append(Message(f"message-{len(self.messages)}-{number}", text))

    def run(self) -> str:
        """Fire the trigger once; return the status of the run."""
        return Run(WORKFLOW, dict(PARAMETERS), self).go()

    def marker(self, name: str) -> Any:
        """Return the marker of a video; None if there is none."""
        return self.blobs.get(f"/triggers/.started/videos/{name}.json")

    def reports(self) -> list[Any]:
        """Return the reports of poison, which are not markers."""
        return [blob for path, blob in self.blobs.items() if "/.poison/" in path]

    def request(self, method: str, uri: str, headers: dict[str, str], body: Any) -> Response:
        """Return the response of the service that the request is for."""
        self.requests += 1
        parts = urlsplit(uri)
        service = (parts.hostname or "").split(".")[1]
        if parts.hostname == "management.azure.com":
            service = "management"
        code = self.refuse(method, service)
        if code == 0:
            raise TimeoutError
        if code is not None:
            return Response(code, {"error": {"code": str(code)}})
        answers = {"queue": self._queue, "blob": self._blob, "management": self._job}
        return answers.get(service, self._endpoint)(method, parts, headers, body)

    def _queue(self, method: str, parts: Any, headers: dict[str, str], body: Any) -> Response:
        if method == "DELETE":
            assert parse_qs(parts.query)["popreceipt"] == ["receipt+1/="]
            self.messages = [m for m in self.messages if not parts.path.endswith(f"/{m.id}")]
            return Response(204)
        seen = next((m for m in self.messages if m.visible_at <= self.minutes), None)
        if seen is None:
            return Response(200, "<QueueMessagesList />")
        hidden = int(parse_qs(parts.query)["visibilitytimeout"][0]) // 60
        assert hidden == HIDDEN_MINUTES
        seen.visible_at = self.minutes + hidden
        fields = {"MessageId": seen.id, "PopReceipt": "receipt+1/=", "MessageText": seen.text}
        inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields.items())
        return Response(
            200, f"<QueueMessagesList><QueueMessage>{inner}</QueueMessage></QueueMessagesList>"
        )

    def _blob(self, method: str, parts: Any, headers: dict[str, str], body: Any) -> Response:
        path = unquote(parts.path)
        if method == "GET":
            found = self.blobs.get(path)
            return (
                Response(404, {"error": "BlobNotFound"}) if found is None else Response(200, found)
            )
        assert headers["x-ms-blob-type"] == "BlockBlob"
        if headers.get("If-None-Match") == "*" and path in self.blobs:
            return Response(409, {"error": "BlobAlreadyExists"})
        self.blobs[path] = body
        return Response(201)

    def _endpoint(self, method: str, parts: Any, headers: dict[str, str], body: Any) -> Response:
        asked = body["properties"]
        name = asked["name"] if self.names_jobs else f"chosen-{len(self.started)}"
        if name in self.started:
            return Response(409, {"error": {"code": "Conflict"}})
        end = self.ends.pop(0) if self.ends else "Completed"
        ready = self.minutes + self.running_minutes
        self.started[name] = {"inputs": asked["inputData"], "end": end, "ready": ready}
        return Response(201, {"name": name})

    def _job(self, method: str, parts: Any, headers: dict[str, str], body: Any) -> Response:
        assert parse_qs(parts.query)["api-version"]
        job = self.started.get(parts.path.rpartition("/")[2])
        if job is None:
            return Response(404, {"error": {"code": "NotFound"}})
        status = job["end"] if self.minutes >= job["ready"] else "Running"
        return Response(200, {"properties": {"status": status}})
