"""The pipeline `sample_data`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Pipeline

from .digits import make_digits
from .faq import make_faq
from .sensors import make_sensors
from .style import make_style

PARTS = [
    make_digits,
    make_faq,
    make_sensors,
    make_style,
]
"""One for each scenario."""


def create_pipeline(**kwargs: Any) -> Pipeline:
    """The sample of each scenario, made of what comes with libraries or was written by hand."""
    samples = sum((make() for make in PARTS), Pipeline([]))
    return Pipeline(samples, tags="step.make_samples")
