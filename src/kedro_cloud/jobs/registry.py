"""Register the project's pipelines as steps.

`azureml.yml` selects this with `steps: {merged: true}`, which kedro-azureml ignores.
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
    """Register pipelines as steps; `compute` are the tags that select a cluster."""
    global _compute  # noqa: PLW0603  # Kedro calls the registry without arguments
    _compute = frozenset(compute)
    compat.configure_pipelines(__name__)


def use_nodes() -> None:
    """Register pipelines as nodes, as the project defines them."""
    compat.configure_pipelines(_project_registry())


def register_pipelines() -> dict[str, Pipeline]:
    """Return the project's pipelines by name, each as steps."""
    plain = import_module(_project_registry()).register_pipelines()
    return {name: Steps(pipeline, _compute) for name, pipeline in plain.items()}


def _project_registry() -> str:
    """Return the name of the project's own registry."""
    return f"{project.PACKAGE_NAME}.pipeline_registry"
