"""Stored readings are found by time, and only the required files are read."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kedro.io import DatasetError

import quartet.settings  # noqa: F401  registers the file system, as Kedro does on start-up
from quartet.datasets.sensor_store import readings as module
from quartet.datasets.sensor_store.readings import ReadingStoreDataset

SECOND = 1_000_000


def store(folder):
    return ReadingStoreDataset(filepath=str(folder)).load()


def readings(*seconds):
    """Return a table with these timestamps and the seconds as values."""
    timestamp = np.array([round(second * SECOND) for second in seconds], np.int64)
    return pa.table(
        {
            "device": pa.array(["d"] * len(seconds), pa.string()).dictionary_encode(),
            "timestamp": timestamp,
            "value": timestamp / SECOND,
        }
    )


def found(store, *intervals, keys=None):
    keys = store.batch_keys() if keys is None else keys
    starts = np.array([round(start * SECOND) for start, _ in intervals], np.int64)
    ends = np.array([round(end * SECOND) for _, end in intervals], np.int64)
    groups = [group for key, group in store.read(starts, ends, keys) if key in keys]
    assert store.rows(starts, ends, keys) >= sum(group.num_rows for group in groups)
    return [value for group in groups for value in group.column("value").to_pylist()]


def test_readings_are_read_by_time(tmp_path):
    first = store(tmp_path / "new")
    assert first.batch_keys() == set()
    first.append("aa", readings(1, 2, 3))
    first.append("bb", readings(3, 4))
    for handle in (first, store(tmp_path / "new")):
        assert handle.batch_keys() == {"aa", "bb"}
        assert found(handle, (0, 10)) == [1, 2, 3, 3, 4]
        assert found(handle, (3, 4)) == [3, 4]
        assert found(handle, (0, 10), keys={"bb", "cc"}) == [3, 4]
        assert [table["value"].to_pylist() for table in handle.read_all("aa")] == [[1, 2, 3]]
        assert list(handle.read_all("cc")) == []
        assert found(handle, (4, 10)) == found(handle) == []


def test_only_the_groups_of_rows_that_overlap_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_ROWS_PER_GROUP", 10)
    handle = store(tmp_path)
    handle.append("aa", readings(*range(100)))
    assert found(handle, (24, 25), (71, 72)) == [*range(20, 30), *range(70, 80)]
    opened = []
    monkeypatch.setattr(pq, "ParquetFile", lambda *_: opened.append(1))
    assert found(handle, (200, 300)) == []
    assert not opened


times = st.lists(st.integers(0, 300), max_size=30).map(sorted)


@given(
    st.lists(times, max_size=4),
    st.lists(st.integers(0, 30), unique=True, max_size=5).map(sorted),
    st.integers(1, 10),
)
def test_all_readings_of_an_interval_are_found(tmp_path_factory, parts, places, rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS_PER_GROUP", rows)
        handle = store(tmp_path_factory.mktemp("store"))
        for number, part in enumerate(parts):
            handle.append(f"{number:02x}", readings(*(time / 10 for time in part)))
        held = found(handle, *[(place, place + 1) for place in places])
    inside = [
        time / 10
        for part in parts
        for time in part
        if any(10 * place < time <= 10 * (place + 1) for place in places)
    ]
    assert sorted(value for value in held if value in set(inside)) == sorted(inside)


def test_readings_with_the_same_key_are_replaced(tmp_path):
    handle = store(tmp_path)
    handle.append("aa", readings(1, 2))
    handle.append("bb", readings(2))
    assert found(handle, (0, 99)) == [1, 2, 2]
    handle.append("aa", readings(1, 2, 3))
    assert found(handle, (2.5, 99)) == [1, 2, 3]
    handle.append("aa", readings(1, 2, 2.5))
    assert found(handle, (2.6, 99)) == []
    handle.append("aa", readings(1, 3))  # within the same seconds, so in the same file
    for again in (handle, store(tmp_path)):
        assert found(again, (0, 99)) == [2, 1, 3] or found(again, (0, 99)) == [1, 3, 2]
    handle.append("aa", readings())
    assert found(handle, (0, 99)) == found(store(tmp_path), (0, 99)) == [2]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_leftover_file_with_the_same_key_is_replaced(tmp_path):
    """A process may be killed after the new file is written and before the old one is removed."""
    handle = store(tmp_path)
    handle.append("aa", readings(1, 2))
    (old,) = tmp_path.iterdir()
    content = old.read_bytes()
    handle.append("aa", readings(1, 2, 3))
    old.write_bytes(content)
    again = store(tmp_path)
    again.append("aa", readings(7))
    assert found(store(tmp_path), (0, 99)) == [7]


def test_only_readings_with_the_given_keys_are_removed(tmp_path):
    handle = store(tmp_path)
    for key in ("aa", "bb", "cc"):
        handle.append(key, readings(1, 2))
    handle.remove({"aa", "cc", "dd"})
    for again in (handle, store(tmp_path)):
        assert again.batch_keys() == {"bb"}
        assert found(again, (0, 9)) == [1, 2]
    assert len(list(tmp_path.iterdir())) == 1


def test_names_and_values_are_restored_exactly(tmp_path):
    table = readings(1, 2).append_column("sequence", pa.array([-(2**60), 2**60]))
    handle = store(tmp_path)
    handle.append("aa", table)
    ((_, back),) = handle.read(np.array([0]), np.array([9 * SECOND]), {"aa"})
    assert back.equals(table)
    assert pa.types.is_dictionary(back.schema.field("device").type)


def test_a_damaged_file_is_reported_with_a_hint(tmp_path):
    handle = store(tmp_path)
    handle.append("aa", readings(1, 2))
    (path,) = tmp_path.iterdir()
    for content in (path.read_bytes()[:-20], b"", b"x" * 500):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"cannot be read .* restore it, or empty") as error:
            found(store(tmp_path), (0, 99))
        assert str(path) in str(error.value)
    path.unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        found(handle, (0, 99))


def test_a_failed_write_keeps_the_stored_readings(tmp_path, monkeypatch):
    handle = store(tmp_path)
    handle.append("aa", readings(1, 2))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(type(handle._location), "write", full)
        with pytest.raises(OSError, match="No space left"):
            handle.append("aa", readings(3))
    assert found(handle, (0, 99)) == found(store(tmp_path), (0, 99)) == [1, 2]


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    assert store(tmp_path).batch_keys() == set()


def test_a_folder_may_be_on_any_storage():
    handle = store("memory://work/readings")
    handle.append("aa", readings(1, 2))
    assert found(store("memory://work/readings"), (1, 9)) == [1, 2]
