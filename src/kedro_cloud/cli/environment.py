"""`kedro cloud environment`: register an Azure ML environment in the workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kedro_cloud.cli.options import Command, dry_run_option, environment_option


@click.command(cls=Command)
@click.option("--gpu", "kind", flag_value="gpu", help="Register the environment for NVIDIA GPUs.")
@click.option(
    "--serving", "kind", flag_value="serving", help="Register the environment of online endpoints."
)
@dry_run_option
@environment_option
@click.pass_obj
def environment(metadata: Any, kind: str | None, dry_run: bool, env: str) -> None:
    """Register the Azure ML environment of steps or endpoints, named by the hash of the lock file.

    An environment that exists is not changed. Azure ML builds its image before the first use.

    \b
    kedro cloud environment
    kedro cloud environment --gpu --dry-run
    kedro cloud environment --serving
    """
    from kedro_cloud.provisioning.environment import Image, is_registered, register
    from kedro_cloud.workspace.connection import connect

    project = Path(metadata.project_path)
    image = Image.from_project(project, kind or "cpu")
    client = connect(project, env)
    if is_registered(client, image):
        click.echo(f"{image.reference} is registered already")
    elif dry_run:
        paths = (image.dockerfile, *image.locks, *image.sources)
        names = ", ".join(str(path.relative_to(project)) for path in paths)
        click.echo(f"{image.reference} would be made of {names}")
    else:
        register(client, image)
        first = "deployment" if kind == "serving" else "job"
        click.echo(
            f"{image.reference} is registered; Azure ML builds its image before the first {first}"
        )
