"""Options and exit codes that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from kedro_cloud.core.config import ENVIRONMENT

STOPPED = 130
"""Exit code after Ctrl-C."""
PARAMETERS_HELP = 'Parameters as for `kedro run`, a=1,b.c=2, or JSON, {"a": 1}.'

environment_option = click.option(
    "--env", "-e", default=ENVIRONMENT, show_default=True, help="Kedro environment for Azure ML."
)


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


def parameters_option(text: str) -> Callable[..., Any]:
    """Return the option `--params` with a help text."""
    return click.option("--params", default="", callback=nested_parameters, help=text)
