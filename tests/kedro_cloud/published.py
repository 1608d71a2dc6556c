"""Run commands in this process; read their errors, requests and jobs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import click
from click.testing import CliRunner, Result

from control_plane import ControlPlane
from control_plane.resources import Document
from kedro_cloud.jobs.job import Job, Step
from submitted import component, read_submitted

_PARENT_INPUT = re.compile(r"\$\{\{parent\.inputs\.(\w+)\}\}")


def call(project: Path, command: click.Command, *arguments: str) -> Result:
    """Run a command in a project; the SDK reads the environment variables."""
    with contextlib.chdir(project):
        return CliRunner().invoke(command, arguments, obj=SimpleNamespace(project_path=project))


def succeed(project: Path, command: click.Command, *arguments: str) -> str:
    """Run a command that must succeed; return what it prints."""
    result = call(project, command, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def error_of(result: Result) -> str:
    """Return the one line of the error that a command must end in."""
    assert result.exit_code in (1, 2), result.output
    assert "Traceback" not in result.output
    (line,) = error_lines(result)
    return line


def error_lines(result: Result) -> list[str]:
    """Return the lines of errors."""
    return [line for line in result.stderr.splitlines() if line.startswith("Error: ")]


def puts(plane: ControlPlane, since: int = 0) -> list[str]:
    """Return method and path of each request that changes something."""
    return [
        f"{request.method} {request.path.rpartition('/workspaces/')[2]}"
        for request in plane.requests[since:]
        if request.method in ("PUT", "PATCH", "DELETE", "POST")
        and request.host == "management.azure.com"
    ]


def read_invoked(plane: ControlPlane, document: Document) -> Job:
    """Return the job of an invocation: the component's steps, with the given inputs."""
    properties = document["properties"]
    spec = component(plane, {"componentId": properties["componentId"]})
    job = read_submitted(
        plane,
        {
            "properties": {
                "displayName": spec["display_name"],
                "experimentName": properties["experimentName"],
                "jobs": spec["jobs"],
            }
        },
    )
    given = {name: found["value"] for name, found in properties["inputs"].items()}
    return replace(job, steps=tuple(_fill(step, given) for step in job.steps))


def _fill(step: Step, given: Mapping[str, str]) -> Step:
    def fill(value: Any) -> Any:
        found = _PARENT_INPUT.fullmatch(value) if isinstance(value, str) else None
        return given[found[1]] if found else value

    inputs = {name: fill(value) for name, value in step.inputs.items()}
    return replace(step, inputs=MappingProxyType(inputs))
