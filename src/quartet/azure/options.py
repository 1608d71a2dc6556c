"""Options that several commands have."""

from __future__ import annotations

import json
from typing import Any

import click


def nested_parameters(context: click.Context, option: click.Parameter, text: str) -> dict[str, Any]:
    """Nested parameters from JSON, as kedro-azureml takes them, or from `a=1,b.c=2`, as Kedro.

    Raises:
        click.BadParameter: It is neither.
    """
    from kedro.framework.cli.utils import _split_params

    if not text.strip().startswith("{"):
        given: dict[str, Any] = _split_params(context, option, text)
        return given
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"this is no JSON: {error}") from error
    return found
