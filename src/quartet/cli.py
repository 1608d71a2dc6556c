"""`kedro run`, with faults that a user can mend reported in one line."""

from __future__ import annotations

import copy
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import LazyGroup

from kedro_cloud.cli import commands as plugin_commands
from kedro_cloud.core import ranks
from kedro_cloud.core.errors import one_line_errors
from kedro_cloud.core.startup import without_collecting


@click.group(name="quartet", cls=LazyGroup)
def cli() -> None:
    """Commands of this project."""


def _run(**options: Any) -> Any:
    with without_collecting():
        return _tracked_run(**options)


def _tracked_run(**options: Any) -> Any:
    if ranks.size() > 1:
        options["runner"] = _runner_of_ranks(options.get("runner"))
    assert kedro_run.callback is not None
    try:
        return kedro_run.callback(**options)
    except KeyboardInterrupt:
        _end_tracked_runs()
        raise


def _runner_of_ranks(asked: str | None) -> str:
    if asked is not None:
        raise ValueError(
            f"several MPI ranks share a run in a way of their own: leave out --runner {asked}"
        )
    return "quartet.framework.rank_runner.RankRunner"


def _end_tracked_runs() -> None:
    """Mark what was stopped by hand as killed.

    kedro-mlflow ends its run on errors only, and MLflow calls what is left at
    exit finished. The plugin opens the same run again for each node.
    """
    mlflow = import_module("mlflow")
    while mlflow.active_run() is not None:
        mlflow.end_run("KILLED")


run = copy.copy(kedro_run)
run.callback = one_line_errors(_run)
cli.add_command(run)

# Where the project is not installed, as on a cluster, no entry point brings the plugin's commands.
if not entry_points(group="kedro.project_commands", name="kedro_cloud"):
    cli.lazy_subcommands.update(plugin_commands.lazy_subcommands)
    cli.add_command(plugin_commands.commands["cloud"])


@cli.command()
@click.argument("name")
@click.option("--env", "-e", default=None, help="Configuration environment.")
@click.pass_obj
def fetch(metadata: Any, name: str, env: str | None) -> None:
    """Fetch public data, such as `mnist`, and check it."""
    one_line_errors(_fetch)(metadata.project_path, name, env)


def _fetch(project_path: Path, name: str, env: str | None) -> None:
    from pydantic import ValidationError

    from kedro_cloud.core import config
    from kedro_cloud.core.validation_errors import format_errors
    from quartet.framework.downloads import Download
    from quartet.framework.downloads import fetch as fetch_files

    known = config.loader(project_path, env)["downloads"]
    if name not in known:
        raise ValueError(
            f"there is nothing to fetch by the name '{name}'; known: {', '.join(known)}"
        )
    try:
        download = Download(**known[name])
    except ValidationError as error:
        raise ValueError(f"downloads.yml: {name}: {format_errors(error)}") from error
    download = download.model_copy(update={"folder": project_path / download.folder})
    for path in fetch_files(download):
        click.echo(path)
