"""Load the project's configuration, for commands without a Kedro session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings

PATTERNS = {
    "azureml": ["azureml*"],
    "cloud": ["cloud*"],
    "mlflow": ["mlflow*"],
    "planning": ["planning*", "prices*"],
    "platform": ["platform*"],
}
"""Patterns of the plugin's files, by key of the configuration; a project can override them."""
ENVIRONMENT = "azureml"
"""Default environment of the plugin's commands: a folder of `conf`."""
SQLITE = "sqlite:///"


def loader(
    project: Path, environment: str | None, params: Mapping[str, Any] | None = None
) -> OmegaConfigLoader:
    """Return the loader that a run in the environment would use.

    Args:
        project: Root folder of the Kedro project.
        environment: Folder of `conf`; None for the default of `kedro run`.
        params: Nested runtime parameters of the run.
    """
    source = str(project / settings.CONF_SOURCE)
    arguments = dict(settings.CONFIG_LOADER_ARGS)
    arguments["config_patterns"] = {**PATTERNS, **arguments.get("config_patterns", {})}
    made: OmegaConfigLoader = settings.CONFIG_LOADER_CLASS(
        source, env=environment, runtime_params=dict(params or {}), **arguments
    )
    return made


def folders(loader: Any) -> list[Path]:
    """Return the folders that a loader reads; later ones override earlier ones.

    A loader that is not one of Kedro's may read no files, and has none.
    """
    if not isinstance(loader, OmegaConfigLoader):
        return []
    names = (loader.base_env, loader.env or loader.default_run_env)
    return [Path(loader.conf_source) / name for name in dict.fromkeys(names) if name]


def format_env_option(environment: str) -> str:
    """Return ` -e NAME` for a suggested command; an empty string for the default."""
    return "" if environment == ENVIRONMENT else f" -e {environment}"


def sqlite_file(uri: str, project: Path) -> Path | None:
    """Return the file of a SQLite URI, relative to the project; None for other URIs."""
    name = uri.removeprefix(SQLITE).partition("?")[0]
    return project / name if uri.startswith(SQLITE) and name not in ("", ":memory:") else None
