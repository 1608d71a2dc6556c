"""`kedro cloud rehearse`: run an Azure ML job step by step on this machine."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from kedro_cloud.cli.options import (
    STOPPED,
    Command,
    echo_lines,
    environment_option,
    parameters_option,
    pipeline_option,
)
from kedro_cloud.core.config import format_env_option
from kedro_cloud.core.processes import sigterm_as_interrupt
from kedro_cloud.core.run_command import VARIABLE as RUN_COMMAND


@click.command(cls=Command)
@pipeline_option
@parameters_option()
@environment_option
@click.option(
    "--max-processes",
    type=click.IntRange(min=1),
    default=None,
    help="Maximum number of processes at a time. Default: number of cores.",
)
@click.option("--resume", is_flag=True, help="Keep finished steps of the last rehearsal.")
@click.option("--fresh", is_flag=True, help="First delete the storage and all of rehearsals/.")
@click.option(
    "--upload",
    "uploads",
    multiple=True,
    metavar="FOLDER=CONTAINER/PATH",
    help="Upload a folder or file to the storage. Repeatable.",
)
@click.pass_obj
def rehearse(metadata: Any, /, **options: Any) -> None:
    """Run a pipeline on this machine as Azure ML would.

    kedro-azureml compiles the job. Each step is a process with the uploaded code only; Azurite
    provides blob storage, with the samples. All files are in rehearsals/.

    \b
    kedro cloud rehearse -p PIPELINE --params step_nodes.STEP=2
    kedro cloud rehearse -p PIPELINE --upload FOLDER=mine --params NAME=abfs://mine/FILE
    """
    if options["resume"] and options["fresh"]:
        raise click.UsageError("--fresh deletes what --resume needs; use one of them")
    command = _resume_command(options["pipeline"], options["params"], options["env"])
    with sigterm_as_interrupt():
        try:
            succeeded = _rehearse(metadata, **options)
        except KeyboardInterrupt:
            click.echo(f"stopped; resume with: {command}", err=True)
            sys.exit(STOPPED)
    if not succeeded:
        click.echo(f"fix this and resume with: {command}", err=True)
        sys.exit(1)


def _rehearse(
    metadata: Any,
    pipeline: str,
    params: dict[str, Any],
    env: str,
    max_processes: int | None,
    resume: bool,
    fresh: bool,
    uploads: tuple[str, ...],
) -> bool:
    """Rehearse a pipeline; return whether all steps are done."""
    from kedro_cloud.jobs.snapshot import take_snapshot
    from kedro_cloud.jobs.translation import check_local_paths, translate
    from kedro_cloud.rehearsal import RehearsalDir, account, table
    from kedro_cloud.rehearsal import rehearse as rehearse_job
    from kedro_cloud.rehearsal.cloud import LocalCloud

    project = Path(metadata.project_path)
    directory = RehearsalDir(project / "rehearsals")
    parsed_uploads = [account.Upload.parse(text) for text in uploads]
    with directory.lock():
        if fresh:
            directory.clear()
        snapshot = take_snapshot(project, directory.snapshot)
        check_local_paths(params, project, snapshot.folder)
        job = translate(metadata, env, pipeline, params)
        with LocalCloud.start(project, env, params, directory) as cloud:
            echo_lines(cloud.fill(parsed_uploads))
            command = f"kedro cloud rehearse -p {{}}{format_env_option(env)}"
            environment = {**cloud.environment(), RUN_COMMAND: command}
            echo_lines(table.format_start(job, directory, snapshot, resume))
            with table.show_progress(sys.stdout) as show:
                result = rehearse_job(
                    job,
                    snapshot.folder,
                    directory,
                    processes=max_processes,
                    resume=resume,
                    environment=environment,
                    show=show,
                )
            echo_lines(table.format_summary(result, Path.cwd()))
            echo_lines(cloud.fetch_reports(result))
    return result.succeeded


def _resume_command(pipeline: str, params: Mapping[str, Any], env: str) -> str:
    option = f" --params {shlex.quote(json.dumps(params))}" if params else ""
    return f"kedro cloud rehearse -p {pipeline}{format_env_option(env)}{option} --resume"
