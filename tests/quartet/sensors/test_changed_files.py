"""Readings of an earlier version of a file are retracted, and those of other files are kept."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.datasets.captures import SensorSourceDataset
from quartet.datasets.sensor_store.readings import ReadingStoreDataset
from quartet.sensors import recomputation
from quartet.sensors.ingestion import ingest
from quartet.sensors.settings import SensorIngestion
from sensors.fakes import Folder, MemoryStore, Tables, capture, ingest_all, path, reading

SETTINGS = SensorIngestion(window_seconds=60, workers=1)
LATE = path(9)
"""Sorted after the other files."""


def make_file(*values, start=1, device="press-1"):
    """Return a capture file with one value per second, all in one window."""
    bodies = [reading(start + place, value, device) for place, value in enumerate(values)]
    return capture(*bodies)


def ingest_afresh(source, settings=SETTINGS):
    """Return the windows of the current files of a folder."""
    return ingest_all(source, MemoryStore(), Tables(), settings).windows


def assert_equals_fresh_run(tables, source, settings=SETTINGS):
    expected = ingest_afresh(source, settings)
    if len(expected) or len(tables.windows):
        pd.testing.assert_frame_equal(tables.windows, expected, check_exact=True)


@pytest.fixture(params=["memory", "disk"])
def store(request, tmp_path):
    if request.param == "memory":
        return MemoryStore()
    return ReadingStoreDataset(filepath=str(tmp_path / "readings")).load()


def test_a_retracted_reading_does_not_return_with_a_late_file(store):
    source, tables = Folder({path(0): make_file(1, 100)}), Tables()
    ingest_all(source, store, tables, SETTINGS)
    source.contents[path(0)] = make_file(1)
    ingest_all(source, store, tables, SETTINGS)
    source.contents[LATE] = make_file(2, start=30)
    ingest_all(source, store, tables, SETTINGS)
    assert tables.windows[["readings", "mean"]].to_numpy().tolist() == [[2, 1.5]]


def test_a_window_that_has_lost_its_last_reading_is_removed(store):
    source, tables = Folder({path(0): make_file(1, 2), LATE: make_file(3, start=90)}), Tables()
    ingest_all(source, store, tables, SETTINGS)
    assert len(tables.windows) == 2
    source.contents[path(0)] = make_file(1, start=200)
    ingest_all(source, store, tables, SETTINGS)
    assert tables.windows["window_end"].dt.minute.tolist() == [2, 4]
    source.contents[path(0)] = capture()
    ingest_all(source, store, tables, SETTINGS)
    assert tables.windows["window_end"].dt.minute.tolist() == [2]


def test_a_device_that_is_no_longer_known_leaves_no_window(store):
    both = {path(0): make_file(1), path(1): make_file(2, device="press-2")}
    source, tables = Folder(both), Tables()
    ingest_all(source, store, tables, SETTINGS)
    one = SETTINGS.model_copy(update={"known_devices": ("press-2",)})
    ingest_all(source, store, tables, one)
    assert tables.windows["device"].tolist() == ["press-2"]
    assert set(tables.quarantine["reason"]) == {"unknown device"}
    ingest_all(source, store, tables, SETTINGS)
    assert_equals_fresh_run(tables, source)
    assert tables.quarantine.empty


def test_retracted_readings_are_removed_after_the_ledger_is_written(store):
    """Or a table that grows every day would be stored as often."""
    source, tables = Folder({path(0): make_file(1), path(1): make_file(2)}), Tables()
    ingest_all(source, store, tables, SETTINGS)
    (both,) = store.batch_keys()
    source.contents[path(0)] = make_file(3)
    batches = ingest(source, store, tables.files, tables.watermark, SETTINGS)
    tables.publish(next(batches))
    assert list(batches) == []
    assert both in store.batch_keys(), "it holds the second file"
    source.contents[path(1)] = make_file(4)
    batches = ingest(source, store, tables.files, tables.watermark, SETTINGS)
    batch = next(batches)
    assert both in store.batch_keys(), "the run may die before the batch is written"
    tables.publish(batch)
    assert list(batches) == []
    assert both not in store.batch_keys()
    assert len(store.batch_keys()) == 2
    assert_equals_fresh_run(tables, source)


def test_missing_stored_readings_are_reported(store):
    source, tables = Folder({path(0): make_file(1)}), Tables()
    ingest_all(source, store, tables, SETTINGS)
    (first,) = store.batch_keys()
    source.contents |= {path(1): make_file(2), path(2): capture()}
    ingest_all(source, store, tables, SETTINGS)
    store.remove(store.batch_keys() - {first})
    with pytest.raises(ValueError, match="readings of 1 files are missing"):
        list(ingest(source, store, tables.files, tables.watermark, SETTINGS))


def make_table(path, rows):
    """Write a table with one reading per minute."""
    lines = [f"2018-08-28 {row // 60:02d}:{row % 60:02d}:30,1,1,{row}" for row in range(rows)]
    path.write_text("\n".join(["TS,Device,Sensor,Value", *lines]) + "\n")


@pytest.mark.parametrize("rows", [5, 2, 0])
def test_removed_rows_of_a_table_are_retracted(rows, tmp_path, monkeypatch, store):
    monkeypatch.setattr("quartet.datasets.captures.ReadingTable", three_rows_a_part)
    file, tables = tmp_path / "t.csv", Tables()
    make_table(file, 8)
    others = Folder({path(0): make_file(1)})
    ingest_all(others, store, tables, SETTINGS)
    for length in (8, rows):
        make_table(file, length)
        source = SensorSourceDataset(filepath=str(tmp_path), table=str(file)).load()
        ingest_all(source, store, tables, SETTINGS)
        assert tables.windows["readings"].sum() == length + 1
    assert list(ingest(source, store, tables.files, tables.watermark, SETTINGS)) == []
    (capture_file,) = ingest_afresh(others).itertuples(index=False)
    assert capture_file in list(tables.windows.itertuples(index=False))


def three_rows_a_part(location, columns):
    from quartet.datasets.sensor_store.reading_table import ReadingTable

    return ReadingTable(location, rows_per_part=3, columns=columns)


contents = st.builds(
    lambda bodies: capture(*bodies),
    st.lists(
        st.builds(
            reading,
            st.integers(0, 240),
            st.integers(0, 3).map(float),
            st.sampled_from(["a", "b"]),
        ),
        max_size=4,
    ),
)
versions = st.lists(contents, min_size=1, max_size=2)
"""Contents of a file over time; earlier ones may return."""


@given(
    st.lists(versions, min_size=1, max_size=4),
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=4),
            st.sampled_from([(), ("a",), ("b",)]),
            st.sampled_from([None, None, None, "before", "after"]),
        ),
        min_size=2,
        max_size=6,
    ),
    st.integers(1, 8),
    st.booleans(),
)
def test_windows_equal_those_of_the_current_files(files, runs, batch_readings, halved):
    """For any changes of files, batch sizes and interrupted runs."""
    source, store, tables = Folder(), MemoryStore(), Tables()
    with pytest.MonkeyPatch.context() as patch:
        if halved:
            patch.setattr(recomputation, "MAX_ROWS", 3)
        for changes, known, dies in [*runs, ([], runs[-1][1], None)]:
            for file, version in changes:
                if file < len(files):
                    source.contents[path(file)] = files[file][version % len(files[file])]
            parameters = SETTINGS.model_copy(
                update={"batch_readings": batch_readings, "known_devices": known}
            )
            for batch in ingest(source, store, tables.files, tables.watermark, parameters):
                if dies == "before":
                    break
                tables.publish(batch)
                if dies == "after":
                    break
    assert_equals_fresh_run(tables, source, parameters)
    assert store.batch_keys() >= set(tables.files.loc[tables.files["readings"] > 0, "batch_key"])
