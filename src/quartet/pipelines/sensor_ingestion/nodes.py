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
    from quartet.sensors.batch import Batch, Tally
else:
    # Kedro resolves these annotations in a run; listing the pipelines should not pay for them.
    pd = lazy_loader.load("pandas")
    Batch = Figure = ReadingStore = SensorSource = SensorTables = Tally = Any

_EXAMPLES = 1000
"""Maximum number of quarantined readings in the report; the database has all."""


def aggregate_readings(
    sensor_readings_source: SensorSource,
    sensor_reading_store: ReadingStore,
    sensor_database: SensorTables,
    sensor_ingestion: SensorIngestion,
    min_accepted_share: float,
) -> Iterator[Batch]:
    """Yield the windows of new readings in batches, each to be written in one transaction.

    The share of accepted readings is checked at the end, when all batches are written: a run that
    fails has lost no valid reading, and the next one continues with later files.

    Raises:
        ValueError: Less than `min_accepted_share` of the new readings, or of the new files, was
            accepted; or neither this run nor an earlier one has accepted any reading.
    """
    settings = sensor_ingestion
    if settings.window_seconds is None:
        seconds = sensor_database.window_seconds()
        settings = settings.model_copy(update={"window_seconds": seconds})
    else:
        sensor_database.check_window_seconds(settings.window_seconds)
    with sensor_database.hold_claim(
        "ingestion", settings.claim_minutes, settings.take_over
    ) as token:
        cursor = sensor_database.cursor("ingestion")
        ledger = sensor_database.files()
        unreadable = ledger[ledger["state"] == "unreadable"]
        tally = sensors.batch.Tally(
            set(zip(unreadable["name"], unreadable["version"], strict=True))
        )
        for batch in sensors.ingestion.ingest(
            sensor_readings_source,
            sensor_reading_store,
            ledger,
            cursor.watermark if cursor else None,
            settings,
        ):
            tally.add(batch)
            yield replace(batch, claim=token)
    _check_accepted(tally, min_accepted_share)
    has_rejected = ledger["quarantined"].any() or len(unreadable)
    if has_rejected and not tally.readings and not ledger["readings"].any():
        reason = sensor_database.explain_missing_windows()
        raise ValueError(f"{sensor_database.name} has no windows: {reason}")


def _check_accepted(tally: Tally, min_accepted_share: float) -> None:
    """Check the share of accepted files and readings, and warn of rejected ones.

    Raises:
        ValueError: It is too low.
    """
    from quartet.datasets.accepted_share import check_accepted_share

    files = (tally.files, tally.unreadable, tally.unreadable_example)
    readings = (tally.readings, tally.rejected, tally.rejected_example)
    kinds = (("files", "sensor_files", files), ("readings", "sensor_quarantine", readings))
    for unit, report, counts in kinds:
        try:
            check_accepted_share(
                "sensor_readings_source", *counts, min_accepted_share, unit=unit, report=report
            )
        except ValueError as error:
            raise ValueError(
                f"{error}. All accepted readings are written, and the rejected {unit} are listed "
                f"in the table {report} of the database"
            ) from None


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
        "window_seconds": sensor_windows.window_seconds() or 0,
        "revision": cursor.revision if cursor else 0,
    }
    counts = sensor_windows.window_counts(since=since)
    figure = sensors.figures.plot_readings_over_time(counts, quarantine["reason"].value_counts())
    return metrics, files, quarantine, figure
