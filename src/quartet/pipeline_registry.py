"""Register a pipeline per folder of `pipelines/`, and `__default__`."""

import warnings

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

from quartet.framework.scenarios import Scenarios

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
"""Pipelines of `__default__`, each on its committed sample, in the order that they run."""

SCENARIOS = {
    "mnist_training": "digits",
    "faq_ingestion": "faq",
    "faq_tuning": "faq",
    "faq_matching": "faq",
    "sensor_ingestion": "sensors",
    "anomaly_training": "sensors",
    "anomaly_scoring": "sensors",
    "style_training": "style",
    "style_transfer": "style",
}
"""Scenario by pipeline, after which the MLflow experiment of a run is named."""


def register_pipelines() -> dict[str, Pipeline]:
    """Return pipelines by name, which is their namespace; only the requested ones are imported."""
    try:
        pipelines = find_pipelines(raise_errors=True)
    except ImportError as error:
        if error.__cause__ is not None:
            raise
        # A requested name is unknown: Kedro itself reports it and suggests the closest one.
        with warnings.catch_warnings(action="ignore"):
            pipelines = find_pipelines()
    is_default = pipelines.pop("__default__", None) is not None
    for name in pipelines:
        pipelines[name] = Scenarios([pipelines[name]], namespace=name)
    if is_default:
        pipelines["__default__"] = Scenarios(pipelines[name] for name in SAMPLE_RUN)
    return dict(sorted(pipelines.items()))  # `find_pipelines` returns them in arbitrary order
