"""Nodes of `sensor_ingestion`: aggregate readings to windows batch by batch, and report them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import lazy_loader

from quartet import sensors
from quartet.sensors.settings import SensorIngestion

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from quartet.datasets.captures import SensorSource
    from quartet.datasets.sensor_store.readings import ReadingStore
    from quartet.datasets.sensor_store.tables import SensorTables
    from quartet.sensors.batch import Batch
else:
    # Kedro resolves these annotations in a run; listing the pipelines should not pay for them.
    pd = lazy_loader.load("pandas")
    Batch = Figure = ReadingStore = SensorSource = SensorTables = Any

_EXAMPLES = 1000
"""Maximum number of quarantined readings in the report; the database has all."""


def aggregate_readings(
    sensor_readings_source: SensorSource,
    sensor_reading_store: ReadingStore,
    sensor_database: SensorTables,
    sensor_ingestion: SensorIngestion,
) -> Iterator[Batch]:
    """Yield the windows of new readings in batches, each to be written in one transaction."""
    settings = sensor_ingestion
    sensor_database.check_window_seconds(settings.window_seconds)
    with sensor_database.hold_claim(
        "ingestion", settings.claim_minutes, settings.take_over
    ) as token:
        cursor = sensor_database.cursor("ingestion")
        for batch in sensors.ingestion.ingest(
            sensor_readings_source,
            sensor_reading_store,
            sensor_database.files(),
            cursor.watermark if cursor else None,
            settings,
        ):
            yield replace(batch, claim=token)


def report_ingestion(
    sensor_windows: SensorTables, sensor_ingestion: SensorIngestion
) -> tuple[dict[str, float], pd.DataFrame, pd.DataFrame, Figure]:
    """Return metrics, the ledger of files and quarantined readings; plot readings over time.

    The database counts the windows, and the figure shows the last days only: a scheduled run must
    not read the history of years.
    """
    files = sensor_windows.files()
    windows, with_windows = sensor_windows.totals()
    quarantine = sensor_windows.quarantine(_EXAMPLES)
    cursor = sensor_windows.cursor("ingestion")
    watermark = cursor.watermark if cursor else None
    since = watermark and watermark - pd.Timedelta(days=sensor_ingestion.report_days)
    metrics: dict[str, float] = {
        "files_ingested": int((files["state"] == "ingested").sum()),
        "files_unreadable": int((files["state"] == "unreadable").sum()),
        "readings": int(files["readings"].sum()),
        "readings_duplicated": int(files["duplicates"].sum()),
        "readings_quarantined": int(files["quarantined"].sum()),
        "windows": windows,
        "sensors": with_windows,
        "revision": cursor.revision if cursor else 0,
    }
    counts = sensor_windows.window_counts(since=since)
    figure = sensors.figures.plot_readings_over_time(counts, quarantine["reason"].value_counts())
    return metrics, files, quarantine, figure
