"""The report covers all windows but reads only those of the last days."""

import numpy as np
import pytest

from quartet.datasets.sensor_store import schema as sensor_schema
from quartet.datasets.sensor_store.tables import SensorTables
from quartet.pipelines.sensor_ingestion.nodes import report_ingestion
from quartet.sensors import checks
from quartet.sensors.batch import Fault, FileEntry
from quartet.sensors.settings import SensorIngestion
from window_batches import batch, end, fleet, ledger, tables, windows

YEAR = 365 * 24 * 60


@pytest.fixture
def store(tmp_path):
    """Two years, a window of six sensors every day."""
    store = tables(f"sqlite:///{tmp_path}/sensors.db")
    keys = fleet(2, 3, range(1440, 2 * YEAR + 1, 1440))
    store.publish(batch(windows(keys), ledger("1.avro", "2.avro"), watermark=end(2 * YEAR)))
    return store


@pytest.fixture
def read_days(monkeypatch):
    """Return a list with the longest time, in days, whose windows were read or counted."""
    days = [0]

    def spy(name):
        original = getattr(SensorTables, name)

        def spied(self, **limits):
            found = original(self, **limits)
            days[0] = max(days[0], (found["window_end"].max() - found["window_end"].min()).days)
            return found

        monkeypatch.setattr(SensorTables, name, spied)

    spy("read_windows")
    spy("window_counts")
    return days


def test_the_report_counts_all_windows_but_reads_the_last_days_only(store, read_days):
    metrics, files, _, figure = report_ingestion(store, SensorIngestion())
    assert (metrics["windows"], metrics["sensors"]) == (730 * 6, 6)
    assert metrics["files_ingested"] == len(files) == 2
    assert read_days == [13]  # between the first and the last of fourteen
    shown = sum(bar.get_height() for bar in figure.axes[0].patches)
    late = store.read_windows(since=end(2 * YEAR - 14 * 1440))
    assert shown == late["readings"].sum()


def test_the_figure_shows_the_configured_number_of_days(store, read_days):
    report_ingestion(store, SensorIngestion(report_days=3660))
    assert read_days == [729]


def test_the_report_of_an_empty_database_is_all_zeros(tmp_path):
    empty = tables(f"sqlite:///{tmp_path}/sensors.db")
    metrics, *_ = report_ingestion(empty, SensorIngestion())
    assert not np.any(list(metrics.values()))


def test_checked_readings_fit_into_the_tables():
    """Neither may import the other, and a batch that does not fit would stop every run."""
    assert checks.MAX_NAME_LENGTH == sensor_schema.NAME_LENGTH
    written = {column.name for column in sensor_schema.files.columns}
    assert written - set(FileEntry._fields) == {"file_key", "revision", "ingested_at"}
    assert set(FileEntry._fields) <= written
    kept = [column.name for column in sensor_schema.quarantine.columns]
    assert ["file", *kept[2:]] == list(Fault._fields)
