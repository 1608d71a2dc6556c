"""The project's configuration, for commands that open no Kedro session."""

from __future__ import annotations

from pathlib import Path

from kedro.config import OmegaConfigLoader
from kedro.framework.project import settings


def loader(project: Path, environment: str | None) -> OmegaConfigLoader:
    """What reads an environment's files as a run would.

    Args:
        project: Kedro's.
        environment: Folder of `conf`; None for that of runs which name none.
    """
    source = str(project / settings.CONF_SOURCE)
    return OmegaConfigLoader(source, env=environment, **settings.CONFIG_LOADER_ARGS)
