"""Requests to an online endpoint: the deployment that receives them, and its response."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from control_plane.messages import Answer, Request
from control_plane.resources import Document, Resources

PATH = "/invocations"


@dataclass
class Scoring:
    """Responds with one prediction per row, or with the answer set for a deployment."""

    resources: Resources
    answers: dict[str, Answer] = field(default_factory=dict)
    """Response by deployment, to all requests."""
    asked: list[tuple[str, Any]] = field(default_factory=list)
    """Deployment and batch of each request."""

    def __call__(self, request: Request, endpoint: Document) -> Answer:
        shares = endpoint["properties"].get("traffic") or {}
        requested = request.headers.get("azureml-model-deployment")
        chosen = requested or next((name for name, share in shares.items() if share), None)
        if self.resources.get(f"{endpoint['id']}/deployments/{chosen}") is None:
            return Answer.error(404, "NotFound", f"no deployment '{chosen}' gets this request")
        self.asked.append((str(chosen), request.document))
        (batch,) = request.document.values()
        rows = batch if isinstance(batch, list) else batch["data"]
        answer = Answer.of({"predictions": [{"label": 0} for _ in rows]})
        return self.answers.get(str(chosen), answer)


def refusal(resources: Resources, path: str, properties: Document) -> str:
    """Return the error for an endpoint; empty if it is valid."""
    traffic = properties.get("traffic") or {}
    for name in traffic:
        if resources.get(f"{path}/deployments/{name}") is None:
            return f"Deployment '{name}' was not found under endpoint '{path.rpartition('/')[2]}'."
    if traffic and sum(traffic.values()) not in (0, 100):
        return "The traffic of an endpoint must add up to 0 or 100 percent."
    return ""
