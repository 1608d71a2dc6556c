"""The registered pipelines: one per folder of `pipelines/`, and `__default__`."""

import warnings

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

SAMPLE_RUN = [
    "mnist_training",
    "faq_ingestion",
    "faq_tuning",
    "faq_matching",
    "sensor_ingestion",
    "anomaly_training",
    "anomaly_scoring",
    "style_transfer",
]
"""Pipelines that make up `__default__`, each on its committed sample."""


def register_pipelines() -> dict[str, Pipeline]:
    """Pipelines by name; only the requested ones are imported."""
    try:
        pipelines = find_pipelines(raise_errors=True)
    except ImportError as error:
        if error.__cause__ is not None:
            raise
        # Nothing is broken, a name is unknown: Kedro says which, and suggests the nearest.
        with warnings.catch_warnings(action="ignore"):
            pipelines = find_pipelines()
    if "__default__" in pipelines:
        pipelines["__default__"] = sum((pipelines[name] for name in SAMPLE_RUN), Pipeline([]))
    return dict(sorted(pipelines.items()))  # found in any order; Kedro-Viz lists them in this one
