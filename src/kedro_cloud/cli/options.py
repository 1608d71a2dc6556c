"""Provide what several commands share: options, exit codes, and errors in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import click

from kedro_cloud.core.config import ENVIRONMENT

STOPPED = 130
"""Exit code after Ctrl-C."""
_PARAMETERS = 'Parameters as for `kedro run` (a=1,b.c=2) or as JSON ({"a": 1}).'

environment_option = click.option(
    "--env", "-e", default=ENVIRONMENT, show_default=True, help="Kedro environment for Azure ML."
)
pipeline_option = click.option("--pipeline", "-p", required=True, help="Name of the pipeline.")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show the changes without applying them."
)


class Command(click.Command):
    """A command that a user error ends in one line, with exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Call the function of the command."""
        from kedro_cloud.workspace.faults import short_errors  # imports the Azure SDK

        with short_errors():
            return super().invoke(ctx)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


def nested_parameters(context: click.Context, option: click.Parameter, text: str) -> dict[str, Any]:
    """Parse parameters from JSON, as in kedro-azureml, or from `a=1,b.c=2`, as in Kedro.

    Raises:
        click.BadParameter: The text has neither form.
    """
    from kedro.framework.cli.project import run

    if not text.strip().startswith("{"):
        parse: Any = next(known.callback for known in run.params if known.name == "params")
        given: dict[str, Any] = parse(context, option, text)
        return given
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"invalid JSON: {error}") from error
    return found


def parameters_option(text: str = _PARAMETERS) -> Callable[..., Any]:
    """Return the option `--params` with a help text."""
    return click.option("--params", default="", callback=nested_parameters, help=text)


def echo_lines(lines: Iterable[object]) -> None:
    """Print lines as they are made."""
    for line in lines:
        click.echo(line)
