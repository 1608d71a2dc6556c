"""`kedro cloud models`: list, compare and promote registered models."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from kedro_cloud.core.errors import one_line_errors
from kedro_cloud.models.registry import STAGES
from kedro_cloud.workspace import faults

if TYPE_CHECKING:
    from kedro_cloud.models.registry import Registry, Stage

_of_environment = click.option(
    "--env",
    "-e",
    default="azureml",
    show_default=True,
    help="Environment of the registry: azureml for the workspace, base for this machine.",
)


@click.group()
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
@_of_environment
@click.pass_obj
def list_(metadata: Any, name: str | None, env: str) -> None:
    """List all versions, or those of the model NAME.

    \b
    kedro cloud models list MODEL -e base
    """

    def work(registry: Registry) -> None:
        from kedro_cloud.models import report
        from kedro_cloud.models.registry import list_versions

        names = [name] if name else registry.models()
        found = [version for each in names for version in list_versions(registry, each)]
        if not found:
            click.echo(f"{registry.where} has no models yet")
            return
        _echo(report.format_table(found))

    _with_registry(metadata, env, work)


@models.command()
@click.argument("name")
@click.argument("version", default="")
@_of_environment
@click.pass_obj
def show(metadata: Any, name: str, version: str, env: str) -> None:
    """Show run, data, code, metrics and parameters of a version.

    The default of VERSION is the champion, or the latest version if there is none.

    \b
    kedro cloud models show MODEL 4
    """

    def work(registry: Registry) -> None:
        from kedro_cloud.models import report
        from kedro_cloud.models.registry import choose_version

        chosen = choose_version(registry, name, version)
        _echo(report.format_version(chosen, registry.commit(chosen)))

    _with_registry(metadata, env, work)


@models.command()
@click.argument("name")
@click.argument("one")
@click.argument("other")
@_of_environment
@click.pass_obj
def compare(metadata: Any, name: str, one: str, other: str, env: str) -> None:
    """Compare the metrics, parameters and sources of two versions.

    \b
    kedro cloud models compare MODEL 1 2 -e base
    """

    def work(registry: Registry) -> None:
        from kedro_cloud.models import report
        from kedro_cloud.models.registry import choose_version

        _echo(
            report.format_comparison(
                choose_version(registry, name, one), choose_version(registry, name, other)
            )
        )

    _with_registry(metadata, env, work)


@models.command()
@click.argument("name")
@click.argument("version")
@click.option(
    "--to", "stage", type=click.Choice(STAGES), required=True, help="Stage of the version."
)
@click.option("--dry-run", is_flag=True, help="Show the change without applying it.")
@_of_environment
@click.pass_obj
def promote(metadata: Any, name: str, version: str, stage: str, dry_run: bool, env: str) -> None:
    """Move a version to a stage, and replace the one in it.

    `kedro cloud deploy` deploys the champion by default. Promote the previous version to roll
    back.

    \b
    kedro cloud models promote MODEL 4 --to champion
    """

    def work(registry: Registry) -> None:
        from kedro_cloud.models.registry import plan_promotion

        planned = plan_promotion(registry, name, version, cast("Stage", stage))
        if planned.is_done:
            click.echo(planned.format_line("is"))
        elif dry_run:
            click.echo(planned.format_line("would become"))
        else:
            planned.apply(registry)
            click.echo(planned.format_line("is now"))

    _with_registry(metadata, env, work)


def _with_registry(metadata: Any, env: str, work: Callable[[Registry], None]) -> None:
    """Call a function with the registry of an environment; report user errors in one line."""

    def call() -> None:
        from kedro_cloud.models.environment_registry import open_registry

        quietly()
        work(open_registry(Path(metadata.project_path), env))

    with faults.short_errors():
        one_line_errors(call)()


def quietly() -> None:
    """Hide the log lines of MLflow and the SDK."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    for name in ("alembic", "mlflow", "azure.ai.ml"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _echo(lines: list[str]) -> None:
    for line in lines:
        click.echo(line)
