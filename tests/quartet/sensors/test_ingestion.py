"""Ingestion neither loses nor duplicates readings, in any order of files and after failures."""

import errno
import gc
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quartet.settings  # noqa: F401  registers the file system, as Kedro does on start-up
from quartet.datasets.captures import SensorSourceDataset
from quartet.datasets.sensor_store.readings import ReadingStoreDataset
from quartet.sensors import decoding, ingestion, recomputation
from quartet.sensors.batch import Batch
from quartet.sensors.capture import decode_capture
from quartet.sensors.ingestion import ingest
from quartet.sensors.readings import concatenate
from quartet.sensors.settings import SensorIngestion
from quartet.sensors.windows import aggregate
from sensors.fakes import (
    START,
    Folder,
    KillingFolder,
    MemoryStore,
    Tables,
    capture,
    ingest_all,
    path,
    reading,
)

SETTINGS = SensorIngestion(window_seconds=60, workers=1)
EACH = SETTINGS.model_copy(update={"batch_readings": 1})


def open_store(folder):
    return ReadingStoreDataset(filepath=str(folder / "readings")).load()


def expected_windows(source):
    """Return the windows of all files at once, without batches."""
    parts = [
        decode_capture(content, name, SETTINGS).readings
        for name, content in source.contents.items()
    ]
    return aggregate(concatenate(parts), SETTINGS.window_seconds)


def assert_same(tables, source):
    pd.testing.assert_frame_equal(tables.windows, expected_windows(source), check_exact=True)


def minutes(*numbers, partition=0, value=1.0, readings=4):
    """Return one capture file per minute, whose readings reach one second into the next."""
    return {
        path(minute, partition): capture(
            *[
                reading(60 * minute + 61 * place / readings, value + place, f"press-{partition}")
                for place in range(1, readings + 1)
            ],
            first=100 * minute,
        )
        for minute in numbers
    }


def test_only_new_files_are_read():
    source, store = Folder(minutes(0, 1)), MemoryStore()
    tables = ingest_all(source, store, Tables(), SETTINGS)
    assert list(ingest(source, store, tables.files, tables.watermark, SETTINGS)) == []
    source.contents.update(minutes(2))
    (batch,) = ingest(source, store, tables.files, tables.watermark, SETTINGS)
    assert [entry.name for entry in batch.files] == [path(2)]
    assert batch.windows["window_end"].dt.minute.tolist() == [3, 4]


drawn_files = st.lists(
    st.lists(
        st.builds(
            reading,
            st.integers(0, 600).map(lambda fifths: fifths / 5),
            st.integers(0, 3).map(float),
            st.sampled_from(["a", "b"]),
            st.sampled_from(["x", "y"]),
        ),
        max_size=8,
    ),
    min_size=1,
    max_size=5,
)


@given(drawn_files, st.randoms(use_true_random=False), st.integers(1, 12), st.booleans())
def test_windows_do_not_depend_on_files_batches_or_runs(drawn, random, batch, halved):
    settings = SETTINGS.model_copy(update={"batch_readings": batch})
    files = {path(number): capture(*bodies) for number, bodies in enumerate(drawn)}
    source, store, tables = Folder(), MemoryStore(), Tables()
    order = list(files)
    random.shuffle(order)
    with pytest.MonkeyPatch.context() as patch:
        if halved:
            patch.setattr(recomputation, "MAX_ROWS", 3)
        for name in order:
            source.contents[name] = files[name]
            if random.random() < 0.5:
                ingest_all(source, store, tables, settings)
        ingest_all(source, store, tables, settings)
    assert_same(tables, source) if len(tables.windows) else None
    kept = tables.windows["readings"].sum() if len(tables.windows) else 0
    assert tables.files["readings"].sum() == sum(map(len, drawn))
    assert tables.files["readings"].sum() - tables.files["duplicates"].sum() == kept


@pytest.mark.parametrize("settings", [SETTINGS, EACH])
def test_the_same_readings_in_another_file_are_duplicates(settings):
    (content,) = minutes(0).values()
    source, store = Folder({path(0): content, path(5): content}), MemoryStore()
    tables = ingest_all(source, store, Tables(), settings)
    assert tables.windows["readings"].sum() == 4
    assert tables.files["duplicates"].tolist() == [0, 4]


class KilledRunError(Exception):
    """The run was killed."""


def run_until_killed(source, store, tables, settings, after, published):
    """Run until a batch is stored, and stop before or after it is published."""
    for number, batch in enumerate(ingest(source, store, tables.files, tables.watermark, settings)):
        if number == after and not published:
            raise KilledRunError
        tables.publish(batch)
        if number == after:
            raise KilledRunError


@pytest.mark.parametrize("meanwhile", ["plant/telemetry/9/first.avro", "a/b/0/last.avro"])
@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_the_next_run_completes_a_killed_run(after, published, meanwhile, tmp_path):
    """Also if a new file changes the division into batches."""
    source = Folder(minutes(0, 1, 2, 3) | minutes(1, 2, partition=1, value=7.0))
    settings = SETTINGS.model_copy(update={"batch_readings": 5})
    tables = Tables()
    with pytest.raises(KilledRunError):
        run_until_killed(source, open_store(tmp_path), tables, settings, after, published)
        raise KilledRunError  # a run of three batches ends before the fourth
    source.contents[meanwhile] = minutes(0, partition=2)[path(0, 2)]
    ingest_all(source, open_store(tmp_path), tables, settings)
    assert_same(tables, source)
    assert tables.files["duplicates"].sum() == 0
    undisturbed = ingest_all(source, MemoryStore(), Tables(), SETTINGS)
    columns = ["name", "readings", "duplicates", "quarantined", "state"]
    pd.testing.assert_frame_equal(
        tables.files[columns].sort_values("name", ignore_index=True),
        undisturbed.files[columns].sort_values("name", ignore_index=True),
    )
    assert tables.watermark == undisturbed.watermark


def test_the_next_run_completes_one_that_a_full_disk_stopped(tmp_path, monkeypatch):
    source, tables = Folder(minutes(0, 1, 2)), Tables()
    store = open_store(tmp_path)
    write, left = type(store._location).write, iter([True])

    def write_until_full(location, content):
        if not next(left, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(location, content)

    with monkeypatch.context() as patch:
        patch.setattr(type(store._location), "write", write_until_full)
        with pytest.raises(OSError, match="No space left"):
            ingest_all(source, store, tables, EACH)
    assert tables.files["name"].tolist() == [path(0)]
    ingest_all(source, open_store(tmp_path), tables, EACH)
    assert_same(tables, source)


def test_an_unreadable_file_is_retried():
    files = minutes(0, 1, 2)
    source, store = Folder({**files, path(1): files[path(1)][:-30]}), MemoryStore()
    tables = ingest_all(source, store, Tables(), SETTINGS)
    entry = tables.files.set_index("name").loc[path(1)]
    assert entry["state"] == "unreadable"
    assert "truncated" in entry["reason"]
    assert entry[["readings", "duplicates", "quarantined"]].tolist() == [0, 0, 0]
    assert_same(tables, Folder({name: files[name] for name in (path(0), path(2))}))

    ingest_all(source, store, tables, SETTINGS)
    assert tables.files.set_index("name").loc[path(1), "state"] == "unreadable"
    source.contents[path(1)] = files[path(1)]
    ingest_all(source, store, tables, SETTINGS)
    assert set(tables.files["state"]) == {"ingested"}
    assert set(tables.files["reason"]) == {""}
    assert_same(tables, source)


@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError])
def test_a_file_that_cannot_be_opened_does_not_stop_the_others(error, monkeypatch):
    """It may be moved after the folder was listed."""
    source, store = Folder(minutes(0, 1)), MemoryStore()
    read = source.read

    def read_some(name):
        if name == path(0):
            raise error(1, "not for you")
        return read(name)

    with monkeypatch.context() as patch:
        patch.setattr(source, "read", read_some)
        tables = ingest_all(source, store, Tables(), SETTINGS)
    assert tables.files["state"].tolist() == ["unreadable", "ingested"]
    assert tables.files["reason"].tolist() == ["cannot be opened (not for you)", ""]
    ingest_all(source, store, tables, SETTINGS)
    assert_same(tables, source)


def test_a_storage_failure_stops_the_run_before_the_ledger_is_written(monkeypatch):
    """Files are not unreadable because the network is down."""
    source, tables = Folder(minutes(0, 1)), Tables()

    def fail(name):
        raise ConnectionError("network is unreachable")

    with monkeypatch.context() as patch:
        patch.setattr(source, "read", fail)
        with pytest.raises(ConnectionError):
            ingest_all(source, MemoryStore(), tables, SETTINGS)
    assert tables.files.empty


def test_a_growing_file_is_counted_once():
    bodies = [reading(second, float(second)) for second in range(0, 100, 10)]
    source, store, tables = Folder(), MemoryStore(), Tables()
    for length in (3, 7, 10):
        source.contents[path(0)] = capture(*bodies[:length])
        ingest_all(source, store, tables, SETTINGS)
        assert_same(tables, source)
        assert tables.files[["readings", "duplicates"]].to_numpy().tolist() == [[length, 0]]
        source.contents[path(0)] = source.contents[path(0)][:-9]  # the next block is on its way
        ingest_all(source, store, tables, SETTINGS)
        assert tables.files["readings"].tolist() == [length]


def test_quarantined_readings_are_kept_by_file():
    late = reading(7200)
    source = Folder({path(0): capture(reading(), b"?", late), path(1): capture(b"?", reading(61))})
    store, tables = MemoryStore(), Tables()
    batches = list(ingest(source, store, tables.files, None, SETTINGS))
    (batch,) = batches
    assert batch.quarantine == [
        (path(0), 1, "body is not JSON", "?"),
        (path(0), 2, "timestamp is in the future", json.dumps(late)),
        (path(1), 0, "body is not JSON", "?"),
    ]
    assert [entry.quarantined for entry in batch.files] == [2, 1]
    assert [entry.readings for entry in batch.files] == [1, 1]


def test_files_without_readings_are_in_the_ledger():
    """Event Hubs writes one if there were no events; it is read only once."""
    source, store = Folder({path(0): capture(), path(1): capture(b"?")}), MemoryStore()
    tables = ingest_all(source, store, Tables(), EACH)
    assert tables.files[["readings", "quarantined"]].to_numpy().tolist() == [[0, 0], [0, 1]]
    assert tables.windows.empty
    assert tables.watermark is None
    assert list(ingest(source, store, tables.files, None, EACH)) == []


@pytest.mark.parametrize(
    ("lateness", "seconds", "closed"),
    [(0, 59, 0), (0, 60, 1), (0, 61, 1), (30, 89, 0), (30, 90, 1), (60, 119, 0)],
)
def test_a_window_is_closed_once_readings_are_late_enough_after_it(lateness, seconds, closed):
    settings = SETTINGS.model_copy(update={"lateness_seconds": lateness})
    source = Folder({path(0): capture(reading(seconds))})
    tables = ingest_all(source, MemoryStore(), Tables(), settings)
    start = pd.Timestamp(START.replace(tzinfo=None))
    assert tables.watermark == start + pd.Timedelta(minutes=closed)


def test_the_watermark_never_goes_back():
    source, store = Folder(minutes(5)), MemoryStore()
    tables = ingest_all(source, store, Tables(), SETTINGS)
    before = tables.watermark
    source.contents.update(minutes(1))
    (batch,) = ingest(source, store, tables.files, before, SETTINGS)
    assert batch.watermark == before


def test_parallel_decoding_gives_the_same_batches_in_order(tmp_path, monkeypatch):
    folder = tmp_path / "captures"
    invalid = {path(8): capture(b"?"), path(9): b"broken"}
    for name, content in (minutes(*range(8)) | invalid).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    source = SensorSourceDataset(filepath=str(folder)).load()
    alone = list(ingest(source, MemoryStore(), Tables().files, None, SETTINGS))
    monkeypatch.setattr(decoding, "_SMALL_BYTES", 0)
    monkeypatch.setattr(decoding, "_BYTES_AHEAD", 2000)
    two = SETTINGS.model_copy(update={"workers": 2})
    together = list(ingest(source, MemoryStore(), Tables().files, None, two))
    assert len(alone) == len(together) == 1
    pd.testing.assert_frame_equal(together[0].windows, alone[0].windows)
    assert together[0].files == alone[0].files
    assert together[0].quarantine == alone[0].quarantine
    assert len(alone[0].quarantine) == 1


def test_a_killed_worker_is_reported_with_a_hint(monkeypatch):
    source = KillingFolder(minutes(0, 1) | {path(9): b"deadly"})
    monkeypatch.setattr(decoding, "_SMALL_BYTES", 0)
    two = SETTINGS.model_copy(update={"workers": 2})
    with pytest.raises(RuntimeError, match=r"was killed, .*workers below 2"):
        ingest_all(source, MemoryStore(), Tables(), two)


def test_a_large_file_is_a_batch_of_its_own_and_small_ones_share_one():
    source = Folder(minutes(0, 1, 2, 3) | minutes(4, readings=50) | minutes(5))
    settings = SETTINGS.model_copy(update={"batch_readings": 10})
    batches = list(ingest(source, MemoryStore(), Tables().files, None, settings))
    assert [sum(entry.readings for entry in batch.files) for batch in batches] == [12, 54, 4]


def test_late_readings_of_one_sensor_leave_the_windows_of_others_alone(tmp_path):
    store, tables = open_store(tmp_path), Tables()
    source = Folder(minutes(0, 1) | minutes(0, 1, partition=1))
    ingest_all(source, store, tables, SETTINGS)
    source.contents[path(9)] = capture(
        reading(30, 9.0, "press-1"), reading(90, 8.0, "press-0"), reading(91, 7.0, "press-7")
    )
    (batch,) = ingest(source, store, tables.files, tables.watermark, SETTINGS)
    # Not the window of press-1 in which only press-0 has another reading, nor the other way.
    assert batch.windows["device"].tolist() == ["press-0", "press-1", "press-7"]
    assert batch.windows["window_end"].dt.minute.tolist() == [2, 1, 2]
    assert batch.windows["readings"].tolist() == [5, 4, 1]
    assert batch.windows["maximum"].tolist() == [8.0, 9.0, 7.0]


def count_batches():
    """Return the number of decoded batches in memory."""
    gc.collect()
    return sum(type(each) is Batch for each in gc.get_objects())


class CountingFolder(Folder):
    """Files that count the decoded batches in memory when the last one is read."""

    def read(self, name):
        if name == max(self.contents):
            self.batches = count_batches()
        return super().read(name)


def test_many_small_files_are_combined_while_they_wait(monkeypatch):
    """A table of its own for each of 100,000 files would take 2 GB."""
    files = {path(minute): capture(reading(60 * minute + 1)) for minute in range(60)}
    plain = ingest_all(Folder(files), MemoryStore(), Tables(), SETTINGS)
    monkeypatch.setattr(ingestion, "_COMBINED", 10)
    folder, store, others = CountingFolder(files), MemoryStore(), count_batches()
    combined = ingest_all(folder, store, Tables(), SETTINGS)
    assert folder.batches - others <= 10 + 60 // 10
    assert combined.batches == plain.batches
    assert combined.files["batch_key"].equals(plain.files["batch_key"])
    pd.testing.assert_frame_equal(combined.windows, plain.windows)
    (stored,) = store.batches.values()
    assert stored.column("file").to_pylist() == sorted(files)
