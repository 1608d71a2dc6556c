"""Options that several commands have, and what they end with."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from kedro_cloud.core.config import ENVIRONMENT

STOPPED = 130
"""Exit code of a program that Ctrl-C ended."""
PARAMETERS_HELP = 'As for `kedro run`: a=1,b.c=2. Or JSON: {"a": 1}.'

environment_option = click.option(
    "--env", "-e", default=ENVIRONMENT, show_default=True, help="Environment of Azure ML."
)


def nested_parameters(context: click.Context, option: click.Parameter, text: str) -> dict[str, Any]:
    """Nested parameters from JSON, as kedro-azureml takes them, or from `a=1,b.c=2`, as Kedro.

    Raises:
        click.BadParameter: It is neither.
    """
    from kedro.framework.cli.project import run

    if not text.strip().startswith("{"):
        parse: Any = next(known.callback for known in run.params if known.name == "params")
        given: dict[str, Any] = parse(context, option, text)
        return given
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"this is no JSON: {error}") from error
    return found


def parameters_option(told: str) -> Callable[..., Any]:
    """The option `--params`, whose help is what is told."""
    return click.option("--params", default="", callback=nested_parameters, help=told)
