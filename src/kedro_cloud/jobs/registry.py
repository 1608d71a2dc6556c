"""The registered pipelines as steps, where the environment wants that.

`azureml.yml` says so with `steps: {merged: true}`, which the plugin takes no notice of.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module

from kedro.framework import project
from kedro.pipeline import Pipeline

from kedro_cloud import compat
from kedro_cloud.jobs.steps import Steps

_compute: frozenset[str] = frozenset()


def use_steps(compute: Collection[str]) -> None:
    """Let Kedro, and whatever asks it, see steps; `compute` are the tags that choose a cluster."""
    global _compute  # noqa: PLW0603  # Kedro calls the registry without arguments
    _compute = frozenset(compute)
    compat.configure_pipelines(__name__)


def use_nodes() -> None:
    """Let Kedro see the pipelines as they are written."""
    compat.configure_pipelines(_of_project())


def register_pipelines() -> dict[str, Pipeline]:
    """Pipelines by name, each as steps."""
    plain = import_module(_of_project()).register_pipelines()
    return {name: Steps(pipeline, _compute) for name, pipeline in plain.items()}


def _of_project() -> str:
    """Return the name of the project's own registry."""
    return f"{project.PACKAGE_NAME}.pipeline_registry"
