"""Requests that an online endpoint is asked: which of its deployments gets them, and its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from control_plane.messages import Answer, Request
from control_plane.resources import Document, Resources

PATH = "/invocations"


@dataclass
class Scoring:
    """Answers with a prediction a row, unless a deployment was told to answer otherwise."""

    resources: Resources
    answers: dict[str, Answer] = field(default_factory=dict)
    """By deployment: what it answers, whatever it is asked."""
    asked: list[tuple[str, Any]] = field(default_factory=list)
    """Deployment and batch of every request that reached one."""

    def __call__(self, request: Request, endpoint: Document) -> Answer:
        shares = endpoint["properties"].get("traffic") or {}
        told = request.headers.get("azureml-model-deployment")
        chosen = told or next((name for name, share in shares.items() if share), None)
        if self.resources.get(f"{endpoint['id']}/deployments/{chosen}") is None:
            return Answer.error(404, "NotFound", f"no deployment '{chosen}' gets this request")
        self.asked.append((str(chosen), request.document))
        (batch,) = request.document.values()
        rows = batch if isinstance(batch, list) else batch["data"]
        answer = Answer.of({"predictions": [{"label": 0} for _ in rows]})
        return self.answers.get(str(chosen), answer)


def refusal(resources: Resources, path: str, properties: Document) -> str:
    """Why an endpoint cannot be kept as it is put; empty if it can."""
    traffic = properties.get("traffic") or {}
    for name in traffic:
        if resources.get(f"{path}/deployments/{name}") is None:
            return f"Deployment '{name}' was not found under endpoint '{path.rpartition('/')[2]}'."
    if traffic and sum(traffic.values()) not in (0, 100):
        return "The traffic of an endpoint must add up to 0 or 100 percent."
    return ""
