"""`kedro cloud schedule`: schedule pipelines on Azure ML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kedro_cloud.cli.options import PARAMETERS_HELP, environment_option, parameters_option
from kedro_cloud.core.console import align_columns
from kedro_cloud.core.errors import one_line_errors
from kedro_cloud.workspace import faults

if TYPE_CHECKING:
    from kedro_cloud.publishing.schedule import Schedules, ScheduleSummary
    from kedro_cloud.workspace.changes import Change

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,254}")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Show the change without applying it.")


@click.group()
def schedule() -> None:
    """Schedule pipelines on Azure ML.

    \b
    kedro cloud schedule create -p PIPELINE --cron "0 * * * *"
    kedro cloud schedule list
    """


@schedule.command()
@click.option("--pipeline", "-p", required=True, help="Name of the pipeline.")
@click.option(
    "--cron",
    required=True,
    help="Cron expression: minutes, hours, *, *, days of the week; hourly is '0 * * * *'.",
)
@click.option(
    "--time-zone", default="UTC", show_default=True, help="Time zone, by its name in Windows."
)
@click.option("--name", default="", help="Name of the schedule. Default: that of the pipeline.")
@parameters_option(PARAMETERS_HELP)
@_DRY_RUN
@environment_option
@click.pass_obj
def create(metadata: Any, /, **options: Any) -> None:
    """Schedule a pipeline, with the current code.

    Calling this again with other times, parameters or code updates the schedule, and does nothing
    otherwise. A pipeline has one schedule. If a job is still running when the next one starts,
    both run: a pipeline that must not overlap has to claim its data.

    \b
    kedro cloud schedule create -p PIPELINE --cron "0 * * * *"
    kedro cloud schedule create -p PIPELINE --cron "30 2 * * sun" --time-zone "UTC"
    """
    with faults.short_errors():
        one_line_errors(_create)(metadata, **options)


@schedule.command("list")
@environment_option
@click.pass_obj
def list_(metadata: Any, env: str) -> None:
    """List all schedules of the workspace, and their problems.

    \b
    kedro cloud schedule list
    """
    with faults.short_errors():
        one_line_errors(_list)(Path(metadata.project_path), env)


@schedule.command()
@click.argument("name")
@_DRY_RUN
@environment_option
@click.pass_obj
def pause(metadata: Any, name: str, dry_run: bool, env: str) -> None:
    """Pause a schedule until `resume`; a running job is not stopped.

    \b
    kedro cloud schedule pause NAME
    """
    with faults.short_errors():
        one_line_errors(_switch)(Path(metadata.project_path), name, dry_run, env, enabled=False)


@schedule.command()
@click.argument("name")
@_DRY_RUN
@environment_option
@click.pass_obj
def resume(metadata: Any, name: str, dry_run: bool, env: str) -> None:
    """Resume a paused schedule; missed jobs are not started later.

    \b
    kedro cloud schedule resume NAME
    """
    with faults.short_errors():
        one_line_errors(_switch)(Path(metadata.project_path), name, dry_run, env, enabled=True)


@schedule.command()
@click.argument("name")
@_DRY_RUN
@environment_option
@click.pass_obj
def remove(metadata: Any, name: str, dry_run: bool, env: str) -> None:
    """Remove a schedule; its jobs and their outputs are kept.

    \b
    kedro cloud schedule remove NAME
    """
    with faults.short_errors():
        one_line_errors(_remove)(Path(metadata.project_path), name, dry_run, env)


def _create(
    metadata: Any,
    pipeline: str,
    cron: str,
    time_zone: str,
    name: str,
    params: dict[str, Any],
    dry_run: bool,
    env: str,
) -> None:
    from kedro_cloud.monitoring.step_variables import step_variables
    from kedro_cloud.publishing.component import Compiled
    from kedro_cloud.publishing.cron import normalize_cron, normalize_time_zone
    from kedro_cloud.publishing.schedule import Schedules
    from kedro_cloud.workspace import connection

    project = Path(metadata.project_path)
    name = name or re.sub(r"[^A-Za-z0-9-]", "-", pipeline)
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"--name '{name}' is not a valid name; expected 2 to 255 letters, digits, - and _"
        )
    cron, zone = normalize_cron(cron), normalize_time_zone(time_zone)
    faults.check_snapshot(project)
    compiled = Compiled.from_pipeline(metadata, env, pipeline, params)
    client = connection.connect(project, env)
    connection.check_image(client, project, env)
    connection.check_clusters(client, compiled.clusters)
    compiled = compiled.with_variables(step_variables(client, project, env))
    schedules = Schedules(client)
    change = schedules.plan_update(name, compiled, cron, zone)
    if change.apply is not None and not dry_run:
        connection.check_storage(client)
    _do(change, dry_run)
    if any(each.name == name and not each.enabled for each in schedules.list_summaries()):
        click.echo(f"the schedule is paused; resume it: kedro cloud schedule resume {name}")


def _list(project: Path, env: str) -> None:
    found = list(_schedules(project, env).list_summaries())
    if not found:
        click.echo(
            'no schedules; create one: kedro cloud schedule create -p NAME --cron "0 * * * *"'
        )
        return
    rows = [("NAME", "PIPELINE", "CRON", "TIME ZONE", "STATE"), *map(_row, found)]
    for line in align_columns(rows):
        click.echo(line)


def _row(found: ScheduleSummary) -> tuple[str, str, str, str, str]:
    state = "on" if found.enabled else "paused"
    if found.missing_clusters:
        missing = ", ".join(found.missing_clusters)
        state += f"; its jobs will fail: no cluster {missing} (kedro cloud provision)"
    return (
        found.name,
        found.pipeline or "not by kedro cloud",
        found.cron or "no cron",
        found.time_zone,
        state,
    )


def _switch(project: Path, name: str, dry_run: bool, env: str, enabled: bool) -> None:
    _do(_schedules(project, env).plan_switch(name, enabled), dry_run)


def _remove(project: Path, name: str, dry_run: bool, env: str) -> None:
    change = _schedules(project, env).plan_removal(name)
    if change is None:
        click.echo(f"there is no schedule '{name}': nothing to remove")
    else:
        _do(change, dry_run)


def _schedules(project: Path, env: str) -> Schedules:
    from kedro_cloud.publishing.schedule import Schedules
    from kedro_cloud.workspace.connection import connect

    return Schedules(connect(project, env))


def _do(change: Change, dry_run: bool) -> None:
    click.echo(str(change))
    if change.apply is None:
        click.echo("nothing to change")
    elif dry_run:
        click.echo("nothing was changed: this was a dry run")
    else:
        change.apply()
        click.echo("done")
