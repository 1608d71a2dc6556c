"""The pipeline `sensor_ingestion`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from . import nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """Capture files or a table of readings → windows in SQL → reports of files and quarantine."""
    return Pipeline(
        [
            Node(
                func=nodes.aggregate_readings,
                inputs=[
                    "sensor_readings_source",
                    "sensor_reading_store",
                    "sensor_database",
                    "params:sensor_ingestion",
                    "params:min_accepted_share",
                ],
                outputs="sensor_windows",
                name="aggregate_readings",
            ),
            Node(
                func=nodes.report_ingestion,
                inputs=["sensor_windows", "params:sensor_ingestion"],
                outputs=[
                    "sensor_ingestion_metrics",
                    "sensor_files",
                    "sensor_quarantine",
                    "readings_over_time_figure",
                ],
                name="report_ingestion",
            ),
        ],
        tags="step.ingest_readings",
    )
