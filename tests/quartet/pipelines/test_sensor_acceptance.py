"""No ingestion succeeds on nothing: what is rejected is reported, and what is valid is kept."""

import logging

import pytest

from quartet.datasets import utf8
from quartet.datasets.captures import SensorSourceDataset
from quartet.datasets.sensor_store.readings import ReadingStoreDataset
from quartet.pipelines.anomaly_training.nodes import select_windows
from quartet.pipelines.sensor_ingestion.nodes import aggregate_readings
from quartet.sensors import checks
from quartet.sensors.settings import SensorIngestion, SensorSvm, TrainingWindows
from sensors.fakes import avro, capture, event, path, reading
from window_batches import tables

SETTINGS = SensorIngestion(window_seconds=60, workers=1)
GOOD = "2026-03-02T09:05:07Z"


class Ingestion:
    """Runs of ingestion into one database."""

    def __init__(self, folder):
        self.folder = folder
        self.database = tables(f"sqlite:///{folder}/sensors.db")

    def write_table(self, times, name="readings.csv"):
        rows = "".join(f"{time},press,pressure,{row}\n" for row, time in enumerate(times))
        (self.folder / name).write_text(f"TS,Device,Sensor,Value\n{rows}")

    def write_capture(self, minute, content):
        file = self.folder / "captures" / path(minute)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def run(self, table="readings.csv", share=0.5):
        source = SensorSourceDataset(
            filepath=str(self.folder / "captures"), table=table and str(self.folder / table)
        )
        store = ReadingStoreDataset(filepath=str(self.folder / "store")).load()
        for batch in aggregate_readings(source.load(), store, self.database, SETTINGS, share):
            self.database.publish(batch)

    def readings(self):
        return int(self.database.files()["readings"].sum())


@pytest.fixture
def ingestion(tmp_path):
    return Ingestion(tmp_path)


@pytest.mark.parametrize("written", ["yesterday", "week 3", ""])
def test_table_without_a_valid_time_fails_with_the_reason_and_its_count(ingestion, written):
    ingestion.write_table([written] * 4000)
    with pytest.raises(ValueError) as raised:
        ingestion.run()
    text = str(raised.value)
    reason = "timestamp is not ISO 8601" if written else "timestamp is missing"
    assert (
        f"accepted 0 of 4,000 readings (0.0%), expected at least 50%. Rejected: {reason} (4,000)"
        in text
    )
    assert f"readings.csv#1, 1: {reason}: press,pressure," in text
    with pytest.raises(ValueError, match=r"has no windows: all 4,000 readings were rejected, such"):
        ingestion.run()  # nothing is new, and nothing is better


def test_the_next_pipeline_says_what_is_wrong_with_the_readings(ingestion):
    ingestion.write_table(["yesterday"] * 4)
    with pytest.raises(ValueError, match="accepted 0 of 4"):
        ingestion.run()
    with pytest.raises(ValueError, match=r"all 4 readings were rejected, .*: timestamp is not ISO"):
        select_windows(ingestion.database, None, TrainingWindows(), SensorSvm(seed=1))


def test_too_few_valid_readings_fail_but_are_written(ingestion):
    ingestion.write_table([GOOD, "yesterday", "today"])
    with pytest.raises(ValueError, match=r"accepted 1 of 3 .*All accepted readings are written"):
        ingestion.run()
    assert ingestion.readings() == 1
    ingestion.run(share=0.3)  # nothing is new


def test_rejected_readings_are_one_warning(ingestion, caplog):
    for minute in range(3):
        bodies = [reading(60 * minute + second) for second in range(1, 9)]
        ingestion.write_capture(minute, capture(*bodies, b"?", b"!", reading(value=None)))
    with caplog.at_level(logging.INFO):
        ingestion.run(table=None)
    (record,) = (record for record in caplog.records if record.levelno >= logging.WARNING)
    assert record.getMessage() == (
        "sensor_readings_source: rejected 9 of 33 readings: body is not JSON (6); value is "
        f"missing (3); such as {path(0)}, 8: body is not JSON: ?; see sensor_quarantine"
    )


def test_a_stream_goes_on_after_a_run_of_bad_files(ingestion):
    ingestion.write_capture(0, capture(*[reading(second) for second in range(1, 4)]))
    ingestion.run(table=None)
    ingestion.write_capture(1, capture(reading(61), *[b"?"] * 9))
    with pytest.raises(ValueError, match="accepted 1 of 10 readings"):
        ingestion.run(table=None)
    assert ingestion.readings() == 4
    ingestion.run(table=None)
    ingestion.write_capture(2, capture(reading(121)))
    ingestion.run(table=None)
    assert ingestion.readings() == 5


def test_all_files_unreadable_fail_and_are_retried(ingestion):
    for minute in range(3):
        ingestion.write_capture(minute, b"PK no Avro")
    with pytest.raises(ValueError, match=r"accepted 0 of 3 files .*is not an Avro .*\(3\)"):
        ingestion.run(table=None)
    with pytest.raises(ValueError, match="3 files are unreadable: plant"):
        ingestion.run(table=None)
    for minute in range(3):
        ingestion.write_capture(minute, capture(reading(60 * minute)))
    ingestion.run(table=None)
    assert ingestion.readings() == 3


def test_an_old_damaged_file_does_not_fail_later_runs(ingestion, caplog):
    ingestion.write_capture(0, capture(reading()))
    ingestion.write_capture(1, b"damaged")
    ingestion.run(table=None)
    caplog.clear()
    ingestion.run(table=None)
    ingestion.write_capture(2, capture(reading(121)))
    ingestion.run(table=None)
    assert ingestion.readings() == 2
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_files_of_an_idle_hub_are_no_fault(ingestion):
    """Event Hubs writes files without events, too."""
    for minute in range(3):
        ingestion.write_capture(minute, avro([]))
        ingestion.run(table=None)
    assert ingestion.database.files()["state"].tolist() == ["ingested"] * 3


def test_a_file_whose_name_is_not_utf8_is_left_out(ingestion):
    ingestion.write_capture(0, capture(reading()))
    odd = ingestion.folder / "captures" / b"caf\xe9.avro".decode("utf-8", "surrogateescape")
    odd.write_bytes(avro([event(reading(1))]))
    ingestion.run(table=None)
    ledger = ingestion.database.files().set_index("name")
    assert ledger.loc["caf\\xe9.avro", "reason"] == "has a name that is not UTF-8; rename it"
    assert ingestion.readings() == 1


def test_a_row_that_is_not_utf8_is_rejected_alone(ingestion):
    rows = [f"{GOOD},press,p,1", f"{GOOD},caf\xe9,p,2", f"{GOOD},press,q,3", f"{GOOD},caf\xe9"]
    content = "\n".join(["TS,Device,Sensor,Value", *rows]).encode("latin-1")
    (ingestion.folder / "readings.csv").write_bytes(content)
    ingestion.run()
    assert ingestion.readings() == 2
    rejected = ingestion.database.quarantine().sort_values("position")
    assert rejected["position"].tolist() == [2, 4]
    assert rejected["reason"].tolist() == ["device is not UTF-8", "wrong number of columns"]
    assert rejected["body"].tolist() == [f"caf\\xe9,p,{GOOD},2", f"{GOOD},caf\\xe9"]


def test_readers_and_checks_mark_undecodable_bytes_alike():
    """Neither may import the other."""
    assert utf8.SUBSTITUTE == checks.SUBSTITUTE
