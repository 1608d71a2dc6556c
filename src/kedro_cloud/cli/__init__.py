"""Add the commands `kedro azureml` and `kedro cloud`, which are imported on demand."""

import click
from kedro.framework.cli.utils import LazyGroup

from kedro_cloud.blobs.storage import register

register()

cloud = LazyGroup(
    name="cloud",
    help="Azure ML: plan and rehearse jobs, provision what they need, publish and monitor them.",
    lazy_subcommands={
        name: f"kedro_cloud.cli.{name}.{name}"
        for name in (
            "deploy",
            "environment",
            "models",
            "plan",
            "provision",
            "publish",
            "rehearse",
            "schedule",
            "status",
            "watch",
        )
    },
)


@click.group(
    name="kedro_cloud",
    cls=LazyGroup,
    lazy_subcommands={"azureml": "kedro_cloud.cli.azureml.azureml"},
)
def commands() -> None:
    """Run jobs and models on Azure ML."""


commands.add_command(cloud)
