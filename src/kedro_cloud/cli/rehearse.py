"""`kedro cloud rehearse`: an Azure ML job, run step by step on this machine."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from kedro_cloud.cli.options import (
    PARAMETERS_HELP,
    STOPPED,
    environment_option,
    parameters_option,
)
from kedro_cloud.core.config import format_env_option
from kedro_cloud.core.errors import one_line_errors
from kedro_cloud.core.processes import sigterm_as_interrupt


@click.command()
@click.option("--pipeline", "-p", required=True, help="Which pipeline.")
@parameters_option(PARAMETERS_HELP)
@environment_option
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    help="Processes at a time; cores, if not said.",
)
@click.option("--resume", is_flag=True, help="Keep what finished the last time; do the rest.")
@click.option("--fresh", is_flag=True, help="First empty the storage and all else in rehearsals/.")
@click.option(
    "--upload",
    "uploads",
    multiple=True,
    metavar="FOLDER=CONTAINER/PATH",
    help="Put a folder or file of yours into the storage. Can be said several times.",
)
@click.pass_obj
def rehearse(metadata: Any, /, **options: Any) -> None:
    """Run a pipeline as Azure ML would, on this machine.

    The real plugin makes the job. Each step is a process with the uploaded code and nothing else,
    blob storage is Azurite, with the samples in it. All is kept in rehearsals/.

    \b
    kedro cloud rehearse -p PIPELINE --params step_nodes.STEP=2
    kedro cloud rehearse -p PIPELINE --upload FOLDER=mine --params NAME=abfs://mine/FILE
    """
    if options["resume"] and options["fresh"]:
        raise click.UsageError("--fresh removes what --resume would go on with: say one of them")
    from kedro_cloud.workspace import faults

    again = _again(options["pipeline"], options["params"], options["env"])
    with sigterm_as_interrupt(), faults.short_errors():
        try:
            succeeded = one_line_errors(_rehearse)(metadata, **options)
        except KeyboardInterrupt:
            click.echo(f"stopped; go on with: {again}", err=True)
            sys.exit(STOPPED)
    if not succeeded:
        click.echo(f"mend it and go on with: {again}", err=True)
        sys.exit(1)


def _rehearse(
    metadata: Any,
    pipeline: str,
    params: dict[str, Any],
    env: str,
    jobs: int | None,
    resume: bool,
    fresh: bool,
    uploads: tuple[str, ...],
) -> bool:
    """Whether all steps are done."""
    from kedro_cloud.jobs.snapshot import take_snapshot
    from kedro_cloud.jobs.translation import check_local_paths, translate
    from kedro_cloud.rehearsal import RehearsalDir, RehearsalSettings, account, table
    from kedro_cloud.rehearsal import rehearse as rehearse_job
    from kedro_cloud.rehearsal.cloud import Cloud

    project = Path(metadata.project_path)
    directory = RehearsalDir(project / "rehearsals")
    mine = [account.Upload.parse(text) for text in uploads]
    with directory.lock():
        if fresh:
            directory.clear()
        snapshot = take_snapshot(project, directory.snapshot)
        check_local_paths(params, project, snapshot.folder)
        job = translate(metadata, env, pipeline, params)
        with Cloud.start(project, env, directory) as cloud:
            for told in cloud.fill(mine):
                click.echo(told)
            settings = RehearsalSettings(jobs or os.cpu_count() or 1, resume, cloud.environment())
            for told in table.format_start(job, directory, snapshot, resume):
                click.echo(told)
            with table.shown(sys.stdout) as show:
                report = rehearse_job(job, snapshot.folder, directory, settings, show)
            for told in (*table.summary(report, Path.cwd()), *cloud.fetch_reports(report)):
                click.echo(told)
    return report.succeeded


def _again(pipeline: str, params: Mapping[str, Any], env: str) -> str:
    """The command that goes on."""
    said = f" --params {shlex.quote(json.dumps(params))}" if params else ""
    return f"kedro cloud rehearse -p {pipeline}{format_env_option(env)}{said} --resume"
