"""The pipeline `anomaly_training`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from kedro_cloud.core import ranks

from . import nodes, release


def create_pipeline(**kwargs: Any) -> Pipeline:
    """Windows of normal times → one model a sensor → false alarms → registered bank."""
    return Pipeline(
        [
            Node(
                nodes.select_windows,
                [
                    "sensor_windows",
                    "sensor_labels",
                    "params:training_windows",
                    "params:sensor_models",
                ],
                ["normal_windows", "training_period"],
                name="select_windows",
            ),
            Node(
                nodes.train_models,
                ["normal_windows", "training_period", "params:sensor_models"],
                ["trained_models", "untrained_sensors"],
                name="train_models",
                tags=ranks.TAG,
            ),
            Node(
                nodes.complete_bank,
                ["trained_models", "sensor_champion", "params:training_windows"],
                "model_bank",
                name="complete_bank",
                tags="step.release_bank",
            ),
            Node(
                nodes.report_models,
                ["model_bank", "untrained_sensors", "params:sensor_models"],
                ["anomaly_training_metrics", "sensor_models_table", "false_alarms_figure"],
                name="report_models",
                tags="step.release_bank",
            ),
            Node(
                release.make_release,
                [
                    "model_bank",
                    "anomaly_training_metrics",
                    "sensor_champion",
                    "normal_windows",
                    "params:sensor_models",
                    "params:sensor_release",
                ],
                "sensor_bank",
                name="make_sensor_release",
                tags="step.release_bank",
            ),
        ],
        tags="memory",
    )
