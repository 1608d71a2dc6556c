"""Access private names of the libraries, each where no public name does the same.

As `kedro_cloud.compat`, which has those that both packages need; sciences import neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# kedro-datasets 9.6: Kedro-Viz shows what `preview` returns by these types, which its own
# documentation imports from here.
from kedro_datasets._typing import (  # type: ignore[import-untyped]
    HTMLPreview,
    ImagePreview,
    TablePreview,
)

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from optuna.storages._heartbeat import BaseHeartbeat

__all__ = [
    "BaseHeartbeat",
    "HTMLPreview",
    "ImagePreview",
    "TablePreview",
    "has_project",
    "requested_pipelines",
    "validated_pipelines",
]


def validated_pipelines(context: KedroContext) -> list[str]:
    """Return the names of the pipelines whose parameters a context validates; empty for all.

    kedro 1.7: the session sets them, and nothing public returns them.
    """
    return context._pipelines_to_validate or []


def requested_pipelines() -> list[str]:
    """Return the names of the pipelines that a run asks for; empty for all.

    kedro 1.7: the session sets them before it loads the configuration.
    """
    from kedro.framework.project import pipelines

    return list(pipelines._requested_pipelines or [])


def has_project(commands: Any) -> bool:
    """Return whether Kedro's commands were started within a project.

    kedro 1.7: `KedroCLI` has no public attribute for it, and public functions import the project.
    """
    return commands._metadata is not None


def __getattr__(name: str) -> Any:
    """Import what is slow to import only when it is used.

    optuna 5.0: its callbacks recognise storages with heartbeats by this base class.
    """
    if name == "BaseHeartbeat":
        from optuna.storages._heartbeat import BaseHeartbeat

        return BaseHeartbeat
    raise AttributeError(name)
