"""The project's configuration, for commands that open no Kedro session."""

from __future__ import annotations

from pathlib import Path

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings

SQLITE = "sqlite:///"


def loader(project: Path, environment: str | None) -> OmegaConfigLoader:
    """What reads an environment's files as a run would.

    Args:
        project: Kedro's.
        environment: Folder of `conf`; None for that of runs which name none.
    """
    source = str(project / settings.CONF_SOURCE)
    return OmegaConfigLoader(source, env=environment, **settings.CONFIG_LOADER_ARGS)


def sqlite_file(uri: str, project: Path) -> Path | None:
    """The file of a SQLite address, which lies below the project; None for other addresses."""
    name = uri.removeprefix(SQLITE).partition("?")[0]
    return project / name if uri.startswith(SQLITE) and name not in ("", ":memory:") else None
