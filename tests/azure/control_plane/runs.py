"""*.api.azureml.ms: where the workspace's services are, how a run is going, its log."""

from __future__ import annotations

from dataclasses import dataclass

from azure.control_plane.messages import Answer, Request

HOST = "westeurope.api.azureml.ms"
DISCOVERY = f"https://{HOST}/discovery"
LOG = "logs/azureml/executionlogs.txt"


@dataclass(frozen=True)
class Stage:
    """How a run is doing when somebody asks: its state, and the log until then."""

    status: str
    log: str = ""
    error: str | None = None


FINE = (Stage("Running", "Step one has begun\n"), Stage("Completed", "Step one has begun\nDone\n"))


class Runs:
    """Run histories: each question for a run's details finds it one stage on."""

    def __init__(self) -> None:
        self.stages: tuple[Stage, ...] = FINE
        self._asked: dict[str, int] = {}

    def __call__(self, request: Request) -> Answer:
        if request.path == "/discovery":
            services = ("api", "history", "modelmanagement", "experimentation", "pipelines")
            return Answer.of(dict.fromkeys(services, f"https://{HOST}"))
        *_, runs, run, last = request.path.split("/")
        if runs == "runs" and last == "details":
            self._asked[run] = self._asked.get(run, -1) + 1
            return self._details(run)
        if request.path == f"/logs/{last}":
            return Answer(200, self.stage(last).log.encode(), {"Content-Type": "text/plain"})
        return Answer.error(404, "NotFound", f"no service at {request.path}")

    def stage(self, run: str) -> Stage:
        """Where the run is now."""
        return self.stages[min(self._asked.get(run, 0), len(self.stages) - 1)]

    def _details(self, run: str) -> Answer:
        stage = self.stage(run)
        details = {
            "runId": run,
            "status": stage.status,
            "logFiles": {LOG: f"https://{HOST}/logs/{run}"} if stage.log else {},
        }
        if stage.error:
            details["error"] = {"error": {"code": "UserError", "message": stage.error}}
        return Answer.of(details)
