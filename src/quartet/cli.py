"""Extend `kedro run` with one-line messages for user errors; add `kedro fetch` and `kedro try`."""

from __future__ import annotations

import copy
import json
import os
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import LazyGroup

from kedro_cloud.cli import commands as plugin_commands
from kedro_cloud.core import extras, ranks
from kedro_cloud.core.errors import one_line_errors
from kedro_cloud.core.startup import paused_garbage_collection


@click.group(name="quartet", cls=LazyGroup)
def cli() -> None:
    """Commands of this project."""


@paused_garbage_collection()
def _run(**options: Any) -> Any:
    if ranks.size() > 1:
        extras.check_installed("a run with several MPI ranks", "mpi4py")
        if requested := options.get("runner"):
            raise ValueError(f"MPI ranks need their own runner; remove --runner {requested}")
        options["runner"] = "quartet.framework.rank_runner.RankRunner"
    assert kedro_run.callback is not None
    try:
        return kedro_run.callback(**options)
    except KeyboardInterrupt:
        _end_tracked_runs()
        raise


def _end_tracked_runs() -> None:
    """Mark interrupted runs as KILLED.

    kedro-mlflow ends its run on errors only, and at exit MLflow marks remaining runs as FINISHED.
    The plugin reopens the same run for each node, hence the loop.
    """
    mlflow = import_module("mlflow")
    while mlflow.active_run() is not None:
        mlflow.end_run("KILLED")


def _check_encoding(option: click.Parameter) -> click.Parameter:
    """Return Kedro's option `--params` with a check of its text, which Kedro parses as YAML."""
    if option.name != "params":
        return option
    checked, parse = copy.copy(option), option.callback
    assert parse is not None

    def check_and_parse(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        text = str(value or "")
        escaped = text.encode("utf-8", "backslashreplace").decode()
        if escaped != text:
            raise click.ClickException(
                f"--params {escaped}: is not UTF-8; set LC_ALL=C.UTF-8 and type it again, or "
                "rename the file"
            )
        return parse(context, parameter, value)

    checked.callback = check_and_parse
    return checked


run = copy.copy(kedro_run)
run.callback = one_line_errors(_run)
run.params = [_check_encoding(option) for option in kedro_run.params]
cli.add_command(run)

# Where the project is not installed, as on a cluster, no entry point adds the plugin's commands.
if not entry_points(group="kedro.project_commands", name="kedro_cloud"):
    cli.lazy_subcommands.update(plugin_commands.lazy_subcommands)
    cli.add_command(plugin_commands.commands["cloud"])


@cli.command()
@click.argument("name")
@click.option("--env", "-e", default=None, help="Kedro configuration environment.")
@click.pass_obj
def fetch(metadata: Any, name: str, env: str | None) -> None:
    """Download a public dataset, such as `mnist`, and verify its checksums."""
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
            f"there is no download '{name}' in downloads.yml; expected one of {', '.join(known)}"
        )
    try:
        download = Download(**known[name])
    except ValidationError as error:
        raise ValueError(f"downloads.yml: {name}: {format_errors(error)}") from error
    download = download.model_copy(update={"folder": project_path / download.folder})
    for path in fetch_files(download):
        click.echo(path)


_PAGE = Path(__file__).parent / "try_page" / "page.py"
_PAGE_OPTIONS = {
    "global.developmentMode": "false",  # guessed from the folder of the installation
    "runner.magicEnabled": "false",
    "server.address": "127.0.0.1",
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": "100",  # MB
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": "true",  # `kedro try` prints the address
    "theme.primaryColor": "#e8590c",
}
"""Options of Streamlit; nothing listens beyond this machine, and nothing is sent from it."""


@cli.command(name="try")
@click.option(
    "--port",
    default=8501,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port of the page.",
)
@click.option("--env", "-e", default=None, help="Kedro configuration environment.")
@click.pass_obj
def try_(metadata: Any, port: int, env: str | None, params: dict[str, Any]) -> None:
    """Try the registered models on a local page.

    \b
    kedro try
    kedro try --params dataset_name=NAME
    """
    one_line_errors(_serve_page)(metadata.project_path, port, env, params)


try_.params.append(next(option for option in run.params if option.name == "params"))


def _serve_page(project_path: Path, port: int, env: str | None, params: dict[str, Any]) -> None:
    """Replace this process by Streamlit's, which a signal stops like any server."""
    from kedro_cloud.core.ports import check_port

    extras.check_installed("kedro try", "streamlit")
    check_port(port)
    options = (_PAGE_OPTIONS | {"server.port": str(port)}).items()
    command = ["streamlit", "run", str(_PAGE), *(f"--{name}={value}" for name, value in options)]
    if env is not None:
        os.environ["KEDRO_ENV"] = env
    os.chdir(project_path)
    click.echo(f"The page is at http://127.0.0.1:{port}; stop it with Ctrl-C.")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", *command, "--", json.dumps(params)])
