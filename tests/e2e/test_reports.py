"""A run of all scenarios ends in figures and in the documented metrics."""

import json

import pytest
from kedro.framework.project import pipelines
from PIL import Image

from quartet.pipeline_registry import SAMPLE_RUN
from support import bootstrap

bootstrap()
DOCUMENTED = {
    "mnist_training": {
        *("logistic_test_accuracy", "convnet_test_accuracy", "best_regularisation_strength"),
        *("sweep_seconds", "convnet_seconds"),
    },
    "faq_tuning": {
        *("test_gain_at_1", "test_gain_at_3", "test_mean_rank", "trials", "seconds_per_trial"),
        *("baseline_cosine_gain_at_1", "baseline_nearest_duplicate_gain_at_1"),
        "baseline_reference_gain_at_1",
    },
    "anomaly_scoring": {
        *("readings_scored", "windows_scored", "alarm_rate", "windows_per_s"),
        *("sensors_without_model", "event_precision", "event_recall", "event_f1"),
    },
}


@pytest.mark.parametrize("pipeline", SAMPLE_RUN)
def test_metrics_are_flat_numbers_with_all_documented_keys(trained_workspace, pipeline):
    path = trained_workspace / f"data/08_reporting/{pipeline}/metrics.json"
    metrics = json.loads(path.read_text())
    assert all(isinstance(value, int | float) for value in metrics.values())
    assert metrics.keys() >= DOCUMENTED.get(pipeline, set())


@pytest.mark.parametrize("pipeline", SAMPLE_RUN)
def test_every_figure_is_an_image(trained_workspace, pipeline):
    folder = trained_workspace / "data/08_reporting" / pipeline
    names = [name for name in pipelines[pipeline].all_outputs() if name.endswith("_figure")]
    paths = list(folder.glob("*.png"))
    assert len(paths) == len(names) > 0
    for path in paths:
        with Image.open(path) as image:
            image.load()
        assert path.stat().st_size > 5_000
