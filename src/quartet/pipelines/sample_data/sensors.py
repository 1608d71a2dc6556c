"""Simulate the sample of sensor readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader
from kedro.pipeline import Node, Pipeline

from quartet import sensors
from quartet.sensors.settings import Fleet

if TYPE_CHECKING:
    import pandas as pd
else:
    # Kedro resolves this annotation in a run; lazily, so that listing the pipelines stays fast.
    pd = lazy_loader.load("pandas")


def make_sensors() -> Pipeline:
    """Simulated fleet → capture files of Azure Event Hubs, and labels of its anomalies."""
    return Pipeline(
        [
            Node(
                func=make_sensor_sample,
                inputs="params:sensor_sample_fleet",
                outputs=["sensor_sample_captures", "sensor_sample_labels"],
                name="make_sensor_sample",
            ),
        ]
    )


def make_sensor_sample(sensor_sample_fleet: Fleet) -> tuple[dict[str, bytes], pd.DataFrame]:
    """Return a simulated fleet's Event Hubs Capture files, and labels of its anomalies."""
    captured = sensors.simulator.write_captures(sensor_sample_fleet)
    files = {name.removesuffix(".avro"): content for name, content in captured.files.items()}
    return files, captured.labels
