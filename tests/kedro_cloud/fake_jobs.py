"""Jobs whose steps are shell commands."""

from __future__ import annotations

from kedro_cloud.jobs.job import Job, Step
from kedro_cloud.rehearsal import RehearsalDir, RehearsalResult

QUICK = {"processes": 2}


def job(*steps: Step) -> Job:
    return Job("fake", "tests", steps)


def states(report: RehearsalResult) -> dict[str, str]:
    """Return the state by step."""
    return {record.name: str(record.state) for record in report.steps}


def log(place: RehearsalDir, step: str) -> str:
    """Return the log of a step."""
    return (place.run("fake") / "steps" / step / "log.txt").read_text()
