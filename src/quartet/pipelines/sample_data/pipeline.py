"""The pipeline `sample_data`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Pipeline

from .digits import make_digits
from .faq import make_faq
from .sensors import make_sensors
from .style import make_style

_SAMPLES = [
    make_digits,
    make_faq,
    make_sensors,
    make_style,
]


def create_pipeline(**kwargs: Any) -> Pipeline:
    """Bundled data of libraries and files written by hand → the sample of each scenario."""
    samples = sum((make() for make in _SAMPLES), Pipeline([]))
    return Pipeline(samples, tags="step.make_samples")
