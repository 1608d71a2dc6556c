"""`kedro cloud models`: list, compare and promote registered models."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from kedro_cloud.cli.options import Group, dry_run_option, echo_lines
from kedro_cloud.models.registry import STAGES

if TYPE_CHECKING:
    from kedro_cloud.models.registry import Registry, Stage

_environment_option = click.option(
    "--env",
    "-e",
    default="azureml",
    show_default=True,
    help="Environment of the registry: azureml for the workspace, base for this machine.",
)


@click.group(cls=Group)
def models() -> None:
    """List, compare and promote registered models.

    \b
    kedro cloud models list -e base
    kedro cloud models show MODEL
    kedro cloud models compare MODEL 3 4
    kedro cloud models promote MODEL 4 --to champion --dry-run
    """


@models.command("list")
@click.argument("name", required=False)
@_environment_option
@click.pass_obj
def list_(metadata: Any, name: str | None, env: str) -> None:
    """List all versions, or those of the model NAME.

    \b
    kedro cloud models list MODEL -e base
    """
    from kedro_cloud.models import report
    from kedro_cloud.models.registry import list_versions

    registry = _open_registry(metadata, env)
    names = [name] if name else registry.models()
    found = [version for each in names for version in list_versions(registry, each)]
    echo_lines(report.format_table(found) if found else [f"{registry.where} has no models yet"])


@models.command()
@click.argument("name")
@click.argument("version", default="")
@_environment_option
@click.pass_obj
def show(metadata: Any, name: str, version: str, env: str) -> None:
    """Show run, data, code, metrics and parameters of a version.

    The default of VERSION is the champion, or the latest version if there is none.

    \b
    kedro cloud models show MODEL 4
    """
    from kedro_cloud.models import report
    from kedro_cloud.models.registry import choose_version

    registry = _open_registry(metadata, env)
    chosen = choose_version(registry, name, version)
    echo_lines(report.format_version(chosen, registry.commit(chosen)))


@models.command()
@click.argument("name")
@click.argument("one")
@click.argument("other")
@_environment_option
@click.pass_obj
def compare(metadata: Any, name: str, one: str, other: str, env: str) -> None:
    """Compare the metrics, parameters and sources of two versions.

    \b
    kedro cloud models compare MODEL 1 2 -e base
    """
    from kedro_cloud.models import report
    from kedro_cloud.models.registry import choose_version

    registry = _open_registry(metadata, env)
    versions = (choose_version(registry, name, each) for each in (one, other))
    echo_lines(report.format_comparison(*versions))


@models.command()
@click.argument("name")
@click.argument("version")
@click.option(
    "--to", "stage", type=click.Choice(STAGES), required=True, help="Stage of the version."
)
@dry_run_option
@_environment_option
@click.pass_obj
def promote(metadata: Any, name: str, version: str, stage: str, dry_run: bool, env: str) -> None:
    """Move a version to a stage, and replace the one in it.

    `kedro cloud deploy` deploys the champion by default. Promote the previous version to roll
    back.

    \b
    kedro cloud models promote MODEL 4 --to champion
    """
    from kedro_cloud.models.registry import plan_promotion

    registry = _open_registry(metadata, env)
    planned = plan_promotion(registry, name, version, cast("Stage", stage))
    if planned.is_done:
        click.echo(planned.format_line("is"))
    elif dry_run:
        click.echo(planned.format_line("would become"))
    else:
        planned.apply(registry)
        click.echo(planned.format_line("is now"))


def _open_registry(metadata: Any, env: str) -> Registry:
    from kedro_cloud.models.environment_registry import open_registry

    hide_log_lines()
    return open_registry(Path(metadata.project_path), env)


def hide_log_lines() -> None:
    """Hide the log lines of MLflow and the SDK."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    for name in ("alembic", "mlflow", "azure.ai.ml"):
        logging.getLogger(name).setLevel(logging.ERROR)
