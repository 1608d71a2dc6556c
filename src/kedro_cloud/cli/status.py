"""`kedro cloud status`: list the last jobs, or show the progress of one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kedro_cloud.cli.options import STOPPED, Command, echo_lines, environment_option
from kedro_cloud.core.config import format_env_option

if TYPE_CHECKING:
    from kedro_cloud.jobs.progress import Status

_POLL_INTERVAL_S = 5.0
"""Interval between requests for the status of a job."""


@click.command(cls=Command)
@click.argument("run", required=False)
@click.option("--rehearsal", is_flag=True, help="Show local rehearsals; RUN is then a pipeline.")
@click.option(
    "--follow/--no-follow",
    default=None,
    help="Wait until the job ends. Default: only on a terminal.",
)
@click.option(
    "--last",
    type=click.IntRange(1, 200),
    default=10,
    show_default=True,
    help="Number of jobs to list without RUN.",
)
@environment_option
@click.pass_obj
def status(metadata: Any, /, **options: Any) -> None:
    """List the last jobs, or show the steps and the primary metric of RUN.

    The exit code is 0 if RUN has finished, 1 if it failed, 3 if it was stopped, 4 if it is running.

    \b
    kedro cloud status
    kedro cloud status hungry_island_prwlz3djk5
    kedro cloud status hungry_island_prwlz3djk5 --follow > progress.txt
    kedro cloud status --rehearsal PIPELINE
    """
    try:
        sys.exit(_status(Path(metadata.project_path), **options))
    except KeyboardInterrupt:
        click.echo(_format_hint(options["run"], options["rehearsal"], options["env"]), err=True)
        sys.exit(STOPPED)


def _format_hint(run: str | None, rehearsal: bool, env: str) -> str:
    """Return the line after Ctrl-C."""
    state, argument = ("the job continues; ", f" {run}") if run else ("", "")
    options = argument + (" --rehearsal" if rehearsal else "") + format_env_option(env)
    return f"{state}show it again: kedro cloud status{options}"


def _status(
    project: Path, run: str | None, rehearsal: bool, follow: bool | None, last: int, env: str
) -> int:
    """Show the status; return the exit code."""
    from kedro_cloud.monitoring import display

    make_queries = _make_rehearsal_queries if rehearsal else _make_job_queries
    list_last, read = make_queries(project, env)
    if run is None:
        found = list_last(last)
        echo_lines(display.format_list(found, datetime.now(UTC)) if found else ["no jobs yet"])
        for note in sorted({status.note for status in found if status.note}):
            click.echo(note, err=True)
        return 0
    return _show(lambda: read(run), sys.stdout.isatty() if follow is None else follow)


def _show(read: Callable[[], Status], follow: bool) -> int:
    """Show the status that `read` returns, with `follow` until the job ends.

    Returns:
        The exit code.
    """
    from kedro_cloud.jobs import progress
    from kedro_cloud.monitoring import display

    with display.show_status(sys.stdout) as show:
        if follow:
            found = progress.follow(read, show, lambda: time.sleep(_POLL_INTERVAL_S), _is_transient)
        else:
            found = read()
            show(found)
    echo_lines(display.format_end(found))
    return found.exit_code


def _is_transient(error: Exception) -> bool:
    """Return whether an error comes from the network or an overloaded service."""
    from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError

    if isinstance(error, HttpResponseError):
        status = error.status_code or 0
        return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, ServiceRequestError | ServiceResponseError)


_Queries = tuple[Callable[[int], list["Status"]], Callable[[str], "Status"]]
"""Functions that return the last jobs, and one job by name."""


def _make_job_queries(project: Path, env: str) -> _Queries:
    from kedro_cloud.core.cloud_settings import cloud_settings
    from kedro_cloud.monitoring.workspace_jobs import WorkspaceJobs
    from kedro_cloud.workspace import faults
    from kedro_cloud.workspace.connection import connect

    cloud = cloud_settings(project, env)
    experiment = faults.workspace_settings(project, env).get("experiment_name", "")
    client = connect(project, env)
    pipelines = {name: endpoint.pipeline for name, endpoint in cloud.endpoints.items()}
    # Empty: the display name of a job in the project's own experiment is its pipeline.
    jobs = WorkspaceJobs(client, {**pipelines, experiment: ""}, cloud.primary_metrics)
    return jobs.list_last, jobs.read


def _make_rehearsal_queries(project: Path, env: str) -> _Queries:
    from kedro_cloud.core.cloud_settings import cloud_settings
    from kedro_cloud.monitoring import rehearsals
    from kedro_cloud.rehearsal.place import RehearsalDir

    metrics = cloud_settings(project, env).primary_metrics
    directory = RehearsalDir(project / "rehearsals")
    return (
        lambda count: rehearsals.list_rehearsals(directory, metrics)[:count],
        lambda pipeline: rehearsals.read_rehearsal(directory, pipeline, metrics),
    )
