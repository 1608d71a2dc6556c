"""`kedro cloud status`: the last jobs, or how far one is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kedro_cloud.cli.options import STOPPED, environment_option
from kedro_cloud.core.config import format_env_option
from kedro_cloud.core.errors import one_line_errors
from kedro_cloud.workspace import faults

if TYPE_CHECKING:
    from kedro_cloud.jobs.progress import Status

_LOOK_EVERY_S = 5.0
_TOO_MANY = 429
_ITS_OWN_FAULT = 500


@click.command()
@click.argument("run", required=False)
@click.option("--rehearsal", is_flag=True, help="Of rehearsals here; RUN is then a pipeline.")
@click.option(
    "--follow/--no-follow",
    default=None,
    help="Stay until the job ends; in a terminal that is so anyway.",
)
@click.option(
    "--last",
    type=click.IntRange(1, 200),
    default=10,
    show_default=True,
    help="How many jobs are listed where no RUN is said.",
)
@environment_option
@click.pass_obj
def status(metadata: Any, /, **options: Any) -> None:
    """List the last jobs, or show how far RUN is: its steps and its primary metric.

    Ends with 0 if RUN finished, 1 if it failed, 3 if somebody stopped it, 4 if it still goes on.

    \b
    kedro cloud status
    kedro cloud status hungry_island_prwlz3djk5
    kedro cloud status hungry_island_prwlz3djk5 --follow > progress.txt
    kedro cloud status --rehearsal PIPELINE
    """
    with faults.short_errors():
        try:
            code = one_line_errors(_status)(Path(metadata.project_path), **options)
        except KeyboardInterrupt:
            click.echo(_look_again(options["run"], options["rehearsal"], options["env"]), err=True)
            code = STOPPED
    sys.exit(code)


def _look_again(run: str | None, rehearsal: bool, env: str) -> str:
    """The line for who has stopped looking."""
    goes_on, of_run = ("the job goes on; ", f" {run}") if run else ("", "")
    of_rehearsals = " --rehearsal" if rehearsal else ""
    return f"{goes_on}look again: kedro cloud status{of_run}{of_rehearsals}{format_env_option(env)}"


def _status(
    project: Path, run: str | None, rehearsal: bool, follow: bool | None, last: int, env: str
) -> int:
    """The exit code."""
    from kedro_cloud.monitoring import display

    several, one = _rehearsals(project, env) if rehearsal else _jobs(project, env)
    if run is None:
        found = several(last)
        for line in display.listing(found, datetime.now(UTC)) if found else ["no jobs yet"]:
            click.echo(line)
        for note in sorted({status.note for status in found if status.note}):
            click.echo(note, err=True)
        return 0
    return _show(lambda: one(run), sys.stdout.isatty() if follow is None else follow)


def _show(ask: Callable[[], Status], follow: bool) -> int:
    from kedro_cloud.jobs import progress
    from kedro_cloud.monitoring import display

    with display.shown(sys.stdout) as show:
        if follow:
            found = progress.follow(ask, show, lambda: time.sleep(_LOOK_EVERY_S), _passes)
        else:
            found = ask()
            show(found)
    for line in display.afterwards(found):
        click.echo(line)
    return found.exit_code


def _passes(error: Exception) -> bool:
    """Whether it is the network's, or a service's that has too much to do."""
    from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError

    if isinstance(error, HttpResponseError):
        return (error.status_code or 0) == _TOO_MANY or (error.status_code or 0) >= _ITS_OWN_FAULT
    return isinstance(error, ServiceRequestError | ServiceResponseError)


_Ways = tuple[Callable[[int], list["Status"]], Callable[[str], "Status"]]
"""How several jobs are found, and how one."""


def _jobs(project: Path, env: str) -> _Ways:
    from kedro_cloud.core.cloud_settings import cloud_settings
    from kedro_cloud.monitoring.workspace_jobs import WorkspaceJobs
    from kedro_cloud.workspace.connection import connect

    cloud = cloud_settings(project, env)
    own = faults.workspace_settings(project, env).get("experiment_name", "")
    client = connect(project, env)
    experiments = {name: endpoint.pipeline for name, endpoint in cloud.endpoints.items()}
    jobs = WorkspaceJobs(client, {**experiments, own: ""}, cloud.primary_metrics)
    return jobs.last, jobs.one


def _rehearsals(project: Path, env: str) -> _Ways:
    from kedro_cloud.core.cloud_settings import cloud_settings
    from kedro_cloud.monitoring import rehearsals
    from kedro_cloud.rehearsal.place import RehearsalDir

    metrics = cloud_settings(project, env).primary_metrics
    directory = RehearsalDir(project / "rehearsals")
    return (
        lambda most: rehearsals.rehearsed(directory, metrics)[:most],
        lambda pipeline: rehearsals.rehearsal(directory, pipeline, metrics),
    )
