"""The pipeline `anomaly_scoring`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from kedro_cloud.core import ranks

from . import nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """New windows → scores → predictions and anomalies → reports → cursor, moved last."""
    return create_scoring() + create_reporting() + create_cursor_move()


def create_scoring() -> Pipeline:
    """Windows newer than the cursor → scores → Parquet and SQL."""
    return Pipeline(
        [
            Node(
                func=nodes.claim_windows,
                inputs=["sensor_windows", "sensor_models", "params:window_scoring"],
                outputs=["new_windows", "scoring_claim"],
                name="claim_windows",
            ),
            Node(
                func=nodes.score_windows,
                inputs=["new_windows", "sensor_models"],
                outputs=["window_scores", "unscored_sensors", "scoring_speed"],
                name="score_windows",
                tags=[ranks.TAG, "cpu"],
            ),
            Node(
                func=nodes.publish_predictions,
                inputs=["window_scores", "scoring_claim", "sensor_windows"],
                outputs=["sensor_predictions", "predictions_published"],
                name="publish_predictions",
                tags="step.publish_scores",
            ),
            Node(
                func=nodes.raise_device_alarms,
                inputs=[
                    "window_scores",
                    "sensor_models",
                    "sensor_windows",
                    "params:device_alarms",
                    "scoring_claim",
                ],
                outputs="device_alarms",
                name="raise_device_alarms",
                tags="step.publish_scores",
            ),
            Node(
                func=nodes.publish_anomalies,
                inputs=["window_scores", "device_alarms", "scoring_claim"],
                outputs=["sensor_anomalies", "anomalies_published"],
                name="publish_anomalies",
                tags="step.publish_scores",
            ),
        ],
        namespace="score",
        prefix_datasets_with_namespace=False,
    )


def create_reporting() -> Pipeline:
    """Scores → alarm rates, drift, precision and recall beside baselines, figures."""
    return Pipeline(
        [
            Node(
                func=nodes.measure_drift,
                inputs=[
                    "sensor_windows",
                    "sensor_models",
                    "scoring_claim",
                    "params:window_scoring",
                ],
                outputs=[
                    "sensor_drift",
                    "sensor_drift_figure",
                    "sensor_drift_interactive_figure",
                ],
                name="measure_drift",
            ),
            Node(
                func=nodes.compare_detectors,
                inputs=[
                    "window_scores",
                    "device_alarms",
                    "sensor_models",
                    "sensor_windows",
                    "sensor_labels",
                    "scoring_claim",
                    "params:baseline_comparison",
                ],
                outputs=["method_scores", "comparison_figure"],
                name="compare_detectors",
            ),
            Node(
                func=nodes.report_alarms,
                inputs={
                    "window_scores": "window_scores",
                    "unscored_sensors": "unscored_sensors",
                    "sensor_drift": "sensor_drift",
                    "scoring_speed": "scoring_speed",
                    "sensor_labels": "sensor_labels",
                    "scoring_claim": "scoring_claim",
                    "device_alarms": "device_alarms",
                    "method_scores": "method_scores",
                },
                outputs=["anomaly_scoring_metrics", "alarm_rates"],
                name="report_alarms",
            ),
            Node(
                func=nodes.draw_alarms,
                inputs=["window_scores", "sensor_labels", "params:window_scoring"],
                outputs=[
                    "fleet_heat_map_figure",
                    "worst_sensors_figure",
                    "fleet_heat_map_interactive_figure",
                ],
                name="draw_alarms",
            ),
        ],
        tags="step.publish_scores",
        namespace="report",
        prefix_datasets_with_namespace=False,
    )


def create_cursor_move() -> Pipeline:
    """All results published → cursor."""
    return Pipeline(
        [
            Node(
                func=nodes.move_cursor,
                inputs=[
                    "scoring_claim",
                    "predictions_published",
                    "anomalies_published",
                    "anomaly_scoring_metrics",
                ],
                outputs="scoring_cursor",
                name="move_cursor",
            ),
        ],
        tags="step.publish_scores",
    )
