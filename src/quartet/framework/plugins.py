"""Keep Kedro's start-up fast by importing plugins only for their own commands.

Kedro imports the command module of every installed plugin before it parses the command line.
kedro-mlflow and kedro-azureml import MLflow and the Azure SDK, which takes three seconds that
`kedro registry list` does not need. Kedro's own commands are lazy; this `kedro.init` entry point
makes those of both plugins lazy, too.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.utils import ENTRY_POINT_GROUPS, LazyGroup

DEFERRED: dict[str, dict[str, str]] = {
    "kedro_mlflow": {"mlflow": "quartet.framework.mlflow_commands.mlflow_commands"},
    "kedro_azureml": {},  # `kedro_cloud` provides its command
}
"""Commands by top-level module of a plugin: name and import path."""
LAZY = {"kedro_cloud"}
"""Plugins whose commands are already lazy."""


def defer_heavy_plugins() -> None:
    """Replace the plugins' project commands by lazy groups.

    Does nothing without Kedro's command line, or when called again.
    """
    kedro_cli: Any = sys.modules.get("kedro.framework.cli.cli")
    if kedro_cli is None or hasattr(kedro_cli.load_entry_points, "__wrapped__"):
        return
    load_all = kedro_cli.load_entry_points

    @functools.wraps(load_all)
    def load_entry_points(name: str) -> Sequence[click.Group]:
        if name != "project":
            return load_all(name)
        points = entry_points(group=ENTRY_POINT_GROUPS[name])
        modules = {point.module.partition(".")[0] for point in points}
        if not modules <= DEFERRED.keys() | LAZY:  # any other plugin: Kedro's own loading
            return load_all(name)
        lazy = [point.load() for point in points if point.module.partition(".")[0] in LAZY]
        return lazy + [
            LazyGroup(name=module, lazy_subcommands=DEFERRED[module])
            for module in modules
            if DEFERRED.get(module)
        ]

    kedro_cli.load_entry_points = load_entry_points
    _explain_missing_project(kedro_cli.KedroCLI)


def _explain_missing_project(commands: Any) -> None:
    """Name the folder in Kedro's error: outside a project, `run` is an unknown command."""
    resolve = commands.resolve_command

    @functools.wraps(resolve)
    def resolve_command(self: Any, context: click.Context, arguments: list[str]) -> Any:
        try:
            return resolve(self, context, arguments)
        except click.UsageError as error:
            from quartet.compat import has_project

            if has_project(self):
                raise
            where = f"Kedro project not found in {Path.cwd()}; change to the project's folder."
            raise click.UsageError(f"{error.message} {where}", context) from error

    commands.resolve_command = resolve_command
