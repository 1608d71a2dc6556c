"""The project's configuration, for commands that open no Kedro session."""

from __future__ import annotations

from pathlib import Path

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings

PATTERNS = {
    "azureml": ["azureml*"],
    "cloud": ["cloud*"],
    "mlflow": ["mlflow*"],
    "planning": ["planning*", "prices*"],
}
"""Files that the plugin reads, by key of the configuration; a project may name others."""
ENVIRONMENT = "azureml"
"""Folder of `conf` with what differs on Azure ML, unless a command names another."""
SQLITE = "sqlite:///"


def loader(project: Path, environment: str | None) -> OmegaConfigLoader:
    """What reads an environment's files as a run would.

    Args:
        project: Kedro's.
        environment: Folder of `conf`; None for that of runs which name none.
    """
    source = str(project / settings.CONF_SOURCE)
    arguments = dict(settings.CONFIG_LOADER_ARGS)
    arguments["config_patterns"] = {**PATTERNS, **arguments.get("config_patterns", {})}
    return OmegaConfigLoader(source, env=environment, **arguments)


def format_env_option(environment: str) -> str:
    """Return ` -e NAME` for a command that a message suggests; nothing for the default."""
    return "" if environment == ENVIRONMENT else f" -e {environment}"


def sqlite_file(uri: str, project: Path) -> Path | None:
    """The file of a SQLite address, which lies below the project; None for other addresses."""
    name = uri.removeprefix(SQLITE).partition("?")[0]
    return project / name if uri.startswith(SQLITE) and name not in ("", ":memory:") else None
