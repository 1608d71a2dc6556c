"""`kedro cloud watch`: start a run for each file that arrives in a container or folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click

from kedro_cloud.cli.options import (
    STOPPED,
    Command,
    echo_lines,
    environment_option,
    parameters_option,
)

if TYPE_CHECKING:
    from kedro_cloud.trigger.runs import Starter
    from kedro_cloud.trigger.settings import FileTrigger
    from kedro_cloud.trigger.watch import Watcher

LOCAL, REHEARSAL, JOB, ENDPOINT = "local", "rehearsal", "job", "endpoint"


@click.command(cls=Command)
@click.argument("location", metavar="[CONTAINER-OR-FOLDER]", required=False)
@click.option("--once", is_flag=True, help="Exit when no file is left to start a run for.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="Interval between scans. Files that change in between wait.",
)
@click.option(
    "--max-concurrent-runs",
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    help="Maximum number of concurrent runs. Default: 1 on this machine, on Azure ML as in "
    "cloud.yml.",
)
@click.option(
    "--start",
    type=click.Choice([LOCAL, REHEARSAL, JOB, ENDPOINT]),
    default=LOCAL,
    show_default=True,
    help="Start `kedro run` or a rehearsal here, or on Azure ML a job or the trigger's endpoint.",
)
@parameters_option("Parameters as for `kedro run` (a=1,b.c=2); for an endpoint, its inputs.")
@click.option(
    "--results",
    metavar="FOLDER",
    default=None,
    help="Folder of the results of local runs, a path or abfs://. Default: as in the catalog.",
)
@click.option(
    "--again",
    multiple=True,
    metavar="NAME",
    help="Process this file again, unless it is being processed. Repeatable.",
)
@click.option("--dry-run", is_flag=True, help="List the files and their states; start nothing.")
@environment_option
@click.pass_obj
def watch(metadata: Any, /, **options: Any) -> None:
    """Start a run for each new file of a container or folder, once.

    The trigger in cloud.yml names the pipeline, the suffixes of its files and the container;
    another one (abfs://NAME/FOLDER) or a folder of this machine can be watched instead. Several
    watchers, the Logic App included, may watch the same: markers record which one has claimed a
    file. A failed file is tried again, and finally skipped as poison. Ctrl-C stops the runs of
    this machine; the next watcher continues with them.

    \b
    kedro cloud watch ~/incoming --params NAME=VALUE
    kedro cloud watch --once
    kedro cloud watch abfs://CONTAINER --start endpoint --max-concurrent-runs 8
    """
    if options["start"] != LOCAL and options["results"]:
        raise click.UsageError("--results needs --start local; other runs write as in the catalog")
    if options["start"] == REHEARSAL and (options["max_concurrent_runs"] or 1) > 1:
        raise click.UsageError("--max-concurrent-runs: rehearsals run one after the other")
    sys.exit(_watch(metadata, SimpleNamespace(**options)))


def _watch(metadata: Any, given: Any) -> int:
    """Watch with the options; return the exit code."""
    from kedro_cloud.core.cloud_settings import cloud_settings
    from kedro_cloud.trigger import display, files
    from kedro_cloud.trigger.settings import FileTrigger
    from kedro_cloud.trigger.watch import Watcher

    project = Path(metadata.project_path)
    cloud = cloud_settings(project, given.env)
    trigger = FileTrigger(project, given.env, cloud, given.results, given.params)
    location = trigger.open_location(given.location)
    location.list_files()  # raises if the location cannot be read
    location.list_tags()  # or its markers
    is_local, is_blob = given.start in (LOCAL, REHEARSAL), "://" in location.address
    if given.start == REHEARSAL and is_blob:
        raise ValueError(f"{location.address}: a rehearsal cannot read it; watch a folder")
    if not is_local and not is_blob:
        raise ValueError(f"{location.address}: a cluster cannot read it; watch a container")
    starter = _make_starter(trigger, metadata, given)
    watcher = Watcher(location, starter, trigger.trigger.attempts, every=given.every)
    if given.dry_run:  # start no run, and do not wait for files that may still change
        watcher.max_concurrent_runs = watcher.every = 0
        watcher.scan()
        echo_lines(display.summarize(watcher.files, dry_run=True))
        return 0
    echo_lines(files.clear_markers(location, given.again, watcher.identity, datetime.now(UTC)))
    default = 1 if is_local else trigger.trigger.max_concurrent_runs
    watcher.max_concurrent_runs = given.max_concurrent_runs or default
    return _run(watcher, given.once)


def _make_starter(trigger: FileTrigger, metadata: Any, given: Any) -> Starter:
    """Return the way to start runs; raise ValueError if parameters or settings do not fit."""
    start, params = given.start, given.params
    if start in (LOCAL, REHEARSAL):
        from kedro_cloud.trigger import commands

        return commands.command_starter(trigger, params, rehearse=start == REHEARSAL)
    from kedro_cloud.jobs import snapshot
    from kedro_cloud.trigger import jobs
    from kedro_cloud.workspace import connection

    client = connection.connect(trigger.project, trigger.environment)
    if start == ENDPOINT:
        return jobs.endpoint_starter(trigger, params, client, given.every)
    from kedro_cloud.monitoring.step_variables import step_variables
    from kedro_cloud.publishing.component import CompiledPipeline

    project, env, pipeline = trigger.project, trigger.environment, trigger.endpoint.pipeline
    snapshot.check_size(snapshot.uploaded_files(project))
    connection.check_step_image(client, project, env)
    connection.check_storage(client)
    variables = step_variables(client, project, env)

    def compile_job(params: Mapping[str, Any]) -> Any:
        return (
            CompiledPipeline.from_pipeline(metadata, env, pipeline, params)
            .with_variables(variables)
            .job({})
        )

    return jobs.job_starter(trigger, params, client, given.every, compile_job)


def _run(watcher: Watcher, once: bool) -> int:
    """Watch until the end; return the exit code."""
    from kedro_cloud.core.processes import note_first_signal
    from kedro_cloud.trigger import display
    from kedro_cloud.workspace import faults

    reported: set[str] = set()

    def report(error: Exception) -> None:
        line = faults.summarize(error)
        if line not in reported:
            click.echo(line, err=True)
        reported.add(line)

    with note_first_signal() as signals:
        click.echo(f"watching {watcher.location.address}")
        with display.show_files(sys.stdout) as watcher.observer:
            watcher.run(once, signals, report)
        echo_lines(display.summarize(watcher.files))
    if signals:
        return STOPPED
    return int(any(file.state in ("poison", "refused") for file in watcher.files))
