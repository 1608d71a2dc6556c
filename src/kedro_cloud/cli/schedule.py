"""`kedro cloud schedule`: schedule pipelines on Azure ML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kedro_cloud.cli.options import (
    Group,
    dry_run_option,
    echo_lines,
    environment_option,
    parameters_option,
    pipeline_option,
)
from kedro_cloud.cli.publish import compile_pipeline
from kedro_cloud.core.console import align_columns

if TYPE_CHECKING:
    from kedro_cloud.publishing.schedule import Schedules, ScheduleSummary
    from kedro_cloud.workspace.changes import Change

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,254}")


@click.group(cls=Group)
def schedule() -> None:
    """Schedule pipelines on Azure ML.

    \b
    kedro cloud schedule create -p PIPELINE --cron "0 * * * *"
    kedro cloud schedule list
    """


@schedule.command()
@pipeline_option
@click.option(
    "--cron",
    required=True,
    help="Cron expression: minutes, hours, *, *, days of the week; hourly is '0 * * * *'.",
)
@click.option(
    "--time-zone", default="UTC", show_default=True, help="Time zone, by its name in Windows."
)
@click.option("--name", default="", help="Name of the schedule. Default: that of the pipeline.")
@parameters_option()
@dry_run_option
@environment_option
@click.pass_obj
def create(
    metadata: Any,
    pipeline: str,
    cron: str,
    time_zone: str,
    name: str,
    params: dict[str, Any],
    dry_run: bool,
    env: str,
) -> None:
    """Schedule a pipeline, with the current code.

    Calling this again with other times, parameters or code updates the schedule, and does nothing
    otherwise. A pipeline has one schedule. If a job is still running when the next one starts,
    both run: a pipeline that must not overlap has to claim its data.

    \b
    kedro cloud schedule create -p PIPELINE --cron "0 * * * *"
    kedro cloud schedule create -p PIPELINE --cron "30 2 * * sun" --time-zone "UTC"
    """
    from kedro_cloud.publishing.cron import normalize_cron, normalize_time_zone
    from kedro_cloud.publishing.schedule import Schedules
    from kedro_cloud.workspace.connection import check_storage

    name = name or re.sub(r"[^A-Za-z0-9-]", "-", pipeline)
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"--name '{name}' is not a valid name; expected 2 to 255 letters, digits, - and _"
        )
    cron, zone = normalize_cron(cron), normalize_time_zone(time_zone)
    client, compiled = compile_pipeline(metadata, env, pipeline, params)
    schedules = Schedules(client)
    change = schedules.plan_update(name, compiled, cron, zone)
    if change.apply is not None and not dry_run:
        check_storage(client)
    _apply(change, dry_run)
    if any(each.name == name and not each.enabled for each in schedules.list_summaries()):
        click.echo(f"the schedule is paused; resume it: kedro cloud schedule resume {name}")


@schedule.command("list")
@environment_option
@click.pass_obj
def list_(metadata: Any, env: str) -> None:
    """List all schedules of the workspace, and their problems.

    \b
    kedro cloud schedule list
    """
    rows = [_format_row(each) for each in _schedules(metadata, env).list_summaries()]
    if rows:
        echo_lines(align_columns([("NAME", "PIPELINE", "CRON", "TIME ZONE", "STATE"), *rows]))
    else:
        click.echo(
            'no schedules; create one: kedro cloud schedule create -p NAME --cron "0 * * * *"'
        )


@schedule.command()
@click.argument("name")
@dry_run_option
@environment_option
@click.pass_obj
def pause(metadata: Any, name: str, dry_run: bool, env: str) -> None:
    """Pause a schedule until `resume`; a running job is not stopped.

    \b
    kedro cloud schedule pause NAME
    """
    _apply(_schedules(metadata, env).plan_switch(name, enabled=False), dry_run)


@schedule.command()
@click.argument("name")
@dry_run_option
@environment_option
@click.pass_obj
def resume(metadata: Any, name: str, dry_run: bool, env: str) -> None:
    """Resume a paused schedule; missed jobs are not started later.

    \b
    kedro cloud schedule resume NAME
    """
    _apply(_schedules(metadata, env).plan_switch(name, enabled=True), dry_run)


@schedule.command()
@click.argument("name")
@dry_run_option
@environment_option
@click.pass_obj
def remove(metadata: Any, name: str, dry_run: bool, env: str) -> None:
    """Remove a schedule; its jobs and their outputs are kept.

    \b
    kedro cloud schedule remove NAME
    """
    change = _schedules(metadata, env).plan_removal(name)
    if change is None:
        click.echo(f"there is no schedule '{name}': nothing to remove")
    else:
        _apply(change, dry_run)


def _format_row(found: ScheduleSummary) -> tuple[str, str, str, str, str]:
    state = "on" if found.enabled else "paused"
    if found.missing_clusters:
        missing = ", ".join(found.missing_clusters)
        state += f"; its jobs will fail: no cluster {missing} (kedro cloud provision)"
    pipeline, cron = found.pipeline or "not by kedro cloud", found.cron or "no cron"
    return found.name, pipeline, cron, found.time_zone, state


def _schedules(metadata: Any, env: str) -> Schedules:
    from kedro_cloud.publishing.schedule import Schedules
    from kedro_cloud.workspace.connection import connect

    return Schedules(connect(Path(metadata.project_path), env))


def _apply(change: Change, dry_run: bool) -> None:
    click.echo(str(change))
    if change.apply is None:
        click.echo("nothing to change")
    elif dry_run:
        click.echo("nothing was changed: this was a dry run")
    else:
        change.apply()
        click.echo("done")
