"""The pipeline `anomaly_training`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from kedro_cloud.core import ranks

from . import nodes, release


def create_pipeline(**kwargs: Any) -> Pipeline:
    """Windows of normal times → one model per sensor → false alarms → registered model set."""
    return Pipeline(
        [
            Node(
                func=nodes.select_windows,
                inputs=[
                    "sensor_windows",
                    "sensor_labels",
                    "params:training_windows",
                    "params:sensor_svm",
                ],
                outputs=["normal_windows", "training_period"],
                name="select_windows",
            ),
            Node(
                func=nodes.train_models,
                inputs=["normal_windows", "training_period", "params:sensor_svm"],
                outputs=["trained_models", "untrained_sensors"],
                name="train_models",
                tags=ranks.TAG,
            ),
            Node(
                func=nodes.merge_models,
                inputs=["trained_models", "sensor_champion", "params:training_windows"],
                outputs="merged_models",
                name="merge_models",
                tags="step.release_models",
            ),
            Node(
                func=nodes.report_models,
                inputs=["merged_models", "untrained_sensors", "params:sensor_svm"],
                outputs=["anomaly_training_metrics", "sensor_models_table", "false_alarms_figure"],
                name="report_models",
                tags="step.release_models",
            ),
            Node(
                func=release.make_release,
                inputs={
                    "merged_models": "merged_models",
                    "anomaly_training_metrics": "anomaly_training_metrics",
                    "sensor_champion": "sensor_champion",
                    "normal_windows": "normal_windows",
                    "sensor_svm": "params:sensor_svm",
                    "sensor_release": "params:sensor_release",
                },
                outputs="sensor_models",
                name="make_sensor_release",
                tags="step.release_models",
            ),
        ],
        tags="memory",
    )
