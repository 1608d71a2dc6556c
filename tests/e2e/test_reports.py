"""A run of all scenarios ends in figures and in metrics that are flat numbers."""

import json

import pytest
from kedro.framework.project import pipelines

from quartet.pipeline_registry import SAMPLE_RUN
from support import bootstrap

bootstrap()


@pytest.mark.parametrize("pipeline", SAMPLE_RUN)
def test_metrics_are_flat_numbers(trained_workspace, pipeline):
    path = trained_workspace / f"data/08_reporting/{pipeline}/metrics.json"
    metrics = json.loads(path.read_text())
    assert metrics
    assert all(isinstance(value, int | float) for value in metrics.values())


@pytest.mark.parametrize("pipeline", SAMPLE_RUN)
def test_every_figure_is_an_image(trained_workspace, pipeline):
    folder = trained_workspace / "data/08_reporting" / pipeline
    names = [
        name
        for name in pipelines[pipeline].all_outputs()
        if name.endswith("_figure") and not name.endswith("_interactive_figure")
    ]
    paths = list(folder.glob("*.png"))
    assert len(paths) == len(names) > 0
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 5_000
