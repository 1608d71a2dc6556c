"""Add the commands `kedro azureml` and `kedro cloud`, which are imported on demand."""

from __future__ import annotations

from typing import Any

import click
from kedro.framework.cli.utils import LazyGroup

from kedro_cloud.blobs.storage import register
from kedro_cloud.core import extras

register()


class AzureGroup(LazyGroup):
    """Lazy commands that need the extra azure; without it, each of them says so."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or one that ends with a message if the extra is missing."""
        if cmd_name in self.lazy_subcommands and not extras.is_installed("kedro_azureml"):
            group = "kedro cloud" if self.name == "cloud" else "kedro"
            return _MissingExtra(cmd_name, f"{group} {cmd_name}")
        return super().get_command(ctx, cmd_name)


class _MissingExtra(click.Command):
    """Stand in for a command whose extra is not installed, with any arguments."""

    def __init__(self, name: str, command: str) -> None:
        super().__init__(name, help="Needs the extra azure.", add_help_option=False)
        self._command = command

    def parse_args(self, ctx: click.Context, args: list[str]) -> Any:
        """Raise the message before any argument is looked at."""
        raise click.ClickException(extras.format_missing(self._command, "azure"))


cloud = AzureGroup(
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
    cls=AzureGroup,
    lazy_subcommands={"azureml": "kedro_cloud.cli.azureml.azureml"},
)
def commands() -> None:
    """Run jobs and models on Azure ML."""


commands.add_command(cloud)
