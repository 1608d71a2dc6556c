"""The pipeline `anomaly_scoring`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from kedro_cloud.core import ranks

from . import nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """New windows → scores → predictions and anomalies → reports → watermark, moved last."""
    return make_scores() + make_reports() + make_end()


def make_scores() -> Pipeline:
    """Windows newer than the watermark → scores → Parquet and SQL."""
    return Pipeline(
        [
            Node(
                nodes.claim_windows,
                ["sensor_windows", "sensor_bank", "params:window_scoring"],
                ["new_windows", "scoring_claim"],
                name="claim_new_windows",
            ),
            Node(
                nodes.score_windows,
                ["new_windows", "sensor_bank"],
                ["window_scores", "unscored_sensors", "scoring_speed"],
                name="score_windows",
                tags=[ranks.TAG, "cpu"],
            ),
            Node(
                nodes.publish_predictions,
                ["window_scores", "scoring_claim", "sensor_windows"],
                ["sensor_predictions", "predictions_published"],
                name="publish_predictions",
                tags="step.publish_scores",
            ),
            Node(
                nodes.publish_anomalies,
                ["window_scores", "scoring_claim"],
                ["sensor_anomalies", "anomalies_published"],
                name="publish_anomalies",
                tags="step.publish_scores",
            ),
        ]
    )


def make_reports() -> Pipeline:
    """Scores → alarm rates, drift, quality where anomalies are known, figures."""
    return Pipeline(
        [
            Node(
                nodes.measure_drift,
                ["sensor_windows", "sensor_bank", "scoring_claim", "params:window_scoring"],
                ["sensor_drift", "sensor_drift_figure"],
                name="measure_drift",
            ),
            Node(
                nodes.report_alarms,
                [
                    "window_scores",
                    "unscored_sensors",
                    "sensor_drift",
                    "scoring_speed",
                    "sensor_labels",
                    "scoring_claim",
                ],
                ["anomaly_scoring_metrics", "alarm_rates"],
                name="report_alarms",
            ),
            Node(
                nodes.draw_alarms,
                ["window_scores", "sensor_labels", "params:window_scoring"],
                ["fleet_heat_map_figure", "worst_sensors_figure"],
                name="draw_alarms",
            ),
        ],
        tags="step.publish_scores",
    )


def make_end() -> Pipeline:
    """When all is written: the watermark."""
    return Pipeline(
        [
            Node(
                nodes.move_watermark,
                [
                    "scoring_claim",
                    "predictions_published",
                    "anomalies_published",
                    "anomaly_scoring_metrics",
                ],
                "scoring_watermark",
                name="move_watermark",
            ),
        ],
        tags="step.publish_scores",
    )
