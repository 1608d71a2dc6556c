"""`kedro cloud provision`: create and update the resources in cloud.yml."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kedro_cloud.cli.options import Command, dry_run_option, echo_lines, environment_option

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from kedro_cloud.core.cloud_settings import Cloud
    from kedro_cloud.workspace.changes import Change


@click.command(cls=Command)
@dry_run_option
@click.option("--yes", "-y", is_flag=True, help="Apply the changes without confirmation.")
@environment_option
@click.pass_obj
def provision(metadata: Any, dry_run: bool, yes: bool, env: str) -> None:
    """Create and update clusters, datastores, data assets and environments as in cloud.yml.

    The command first lists what it will create (+) and change (~), cannot change (!), and leaves
    unchanged (=). Other resources of the workspace are not touched. It continues after failures,
    can be interrupted and rerun, and a second run changes nothing. Machines that Azure retires, as
    in platform.yml, are reported.

    \b
    kedro cloud provision --dry-run
    kedro cloud provision --yes
    """
    from kedro_cloud.core.cloud_settings import cloud_settings
    from kedro_cloud.workspace import connection, faults
    from kedro_cloud.workspace.changes import apply_all, select_pending

    project = Path(metadata.project_path)
    cloud = cloud_settings(project, env)
    for message in _retirement_warnings(cloud, project, env, date.today()):
        click.echo(f"Warning: {message}", err=True)
    client = connection.connect(project, env)
    _check_region(client, cloud)
    changes = list(_changes(client, cloud, project, env))
    echo_lines(changes)
    todo = select_pending(changes)
    if not todo:
        click.echo(f"workspace '{client.workspace_name}' matches cloud.yml: nothing to change")
    elif dry_run:
        click.echo("nothing was changed: this was a dry run")
    else:
        _confirm(yes, len(todo))
        if failed := apply_all(todo, click.echo):
            for error in failed:
                click.echo(f"Error: {faults.summarize(error)}", err=True)
            click.echo("fix this and rerun; completed changes are skipped", err=True)
            sys.exit(1)


def _changes(client: MLClient, cloud: Cloud, project: Path, env: str) -> Iterator[Change]:
    from kedro_cloud.provisioning.assets import DataAssets, Datastores, Environments, data_account
    from kedro_cloud.provisioning.clusters import Clusters

    account = data_account(project, env)
    yield from Clusters(client, cloud).changes()
    yield from Datastores(client, cloud, account).changes()
    yield from DataAssets(client, cloud).changes()
    yield from Environments(client, cloud, project, env).changes()


def _retirement_warnings(cloud: Cloud, project: Path, env: str, today: date) -> Iterator[str]:
    """Yield a warning for each cluster and deployment whose machines Azure retires."""
    from kedro_cloud.core.retirements import Machines, format_warnings, load_retirements

    used = [
        *(Machines(f"cluster '{name}'", c.size, c.tier) for name, c in cloud.clusters.items()),
        *(Machines(f"deployment '{name}'", d.size) for name, d in cloud.deployments.items()),
    ]
    return format_warnings(load_retirements(project, env), used, today)


def _check_region(client: MLClient, cloud: Cloud) -> None:
    region = str(client.workspaces.get(client.workspace_name).location)
    if region != cloud.region:
        raise ValueError(
            f"workspace '{client.workspace_name}' is in {region}, but cloud.yml has "
            f"{cloud.region}: set region: {region} there, or another workspace in azureml.yml"
        )


def _confirm(yes: bool, count: int) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ValueError(f"{count} changes need confirmation; rerun with --yes")
    click.confirm(f"apply these {count} changes?", abort=True)
