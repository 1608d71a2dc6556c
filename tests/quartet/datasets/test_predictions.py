"""Each prediction is stored once, in its latest version, also after interrupted saves."""

import inspect
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kedro.io import DatasetError
from pandas.testing import assert_frame_equal

import quartet.settings  # noqa: F401  registers the file system, as Kedro does on start-up
from quartet.datasets.predictions import PartitionedPredictionsDataset

KEYS = ["device", "sensor", "window_end"]
START = pd.Timestamp("2026-03-02T22:30:00")


def dataset(folder):
    return PartitionedPredictionsDataset(filepath=str(folder), keys=KEYS, time_column="window_end")


def make_predictions(windows, score=0.0, sensors=("t1", "t2"), **further):
    """Windows of five minutes from 22:30 on, of two sensors each; they reach into the next day."""
    rows = [
        ("pump", sensor, START + pd.Timedelta(minutes=5 * window), score + window / 8)
        for window in windows
        for sensor in sensors
    ]
    table = pd.DataFrame(rows, columns=[*KEYS, "score"])
    table["window_end"] = table["window_end"].astype("datetime64[s]")
    return table.assign(**further)


def files(folder):
    """Every file below a folder with its bytes."""
    found = (path for path in sorted(Path(folder).rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(params=["{tmp}/predictions", "memory://predictions-test/{name}"])
def anywhere(tmp_path, request):
    return dataset(request.param.format(tmp=tmp_path, name=tmp_path.name))


def test_rows_are_stored_by_day_and_hour(anywhere):
    rows = make_predictions(range(30))
    assert not anywhere.exists()
    anywhere.save(rows.sample(frac=1, random_state=0))
    assert anywhere.exists()
    stored = anywhere.load()
    hours = ["2026-03-02T22", "2026-03-02T23", "2026-03-03T00"]
    assert stored.partitions() == [pd.Timestamp(hour) for hour in hours]
    expected = rows.assign(hour=rows["window_end"].dt.floor("h"))
    expected = expected.sort_values(["hour", *KEYS]).drop(columns="hour")
    assert_frame_equal(stored.read(), expected.reset_index(drop=True))


def test_files_are_hive_partitioned(tmp_path):
    rows = make_predictions(range(30))
    dataset(tmp_path).save(rows)
    assert list(files(tmp_path)) == [
        f"date=2026-03-0{day}/hour={hour}/predictions.parquet"
        for day, hour in ((2, "22"), (2, "23"), (3, "00"))
    ]
    found = pd.read_parquet(tmp_path)
    assert found["score"].sum() == rows["score"].sum()
    assert set(found["hour"].astype(int)) == {22, 23, 0}


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["pump", "fan", "µ/ü"]),
        st.sampled_from(["t", "p"]),
        st.integers(0, 5),
        st.one_of(st.floats(allow_nan=False), st.none()),
    ),
    unique_by=lambda row: row[:3],
    max_size=12,
)


@given(saves=st.lists(ROWS, min_size=1, max_size=5))
def test_last_save_of_each_key_wins(tmp_path_factory, saves):
    folder = tmp_path_factory.mktemp("predictions")
    names = [*KEYS, "score"]
    latest = {}
    for rows in saves:
        timed = [(*row[:2], START + pd.Timedelta(minutes=20 * row[2]), row[3]) for row in rows]
        latest.update({row[:3]: row for row in timed})
        table = pd.DataFrame(timed, columns=names).astype({"score": float})
        dataset(folder / "history").save(table.astype({"window_end": "datetime64[s]"}))
    expected = pd.DataFrame(sorted(latest.values(), key=lambda row: row[:3]), columns=names)
    expected = expected.astype({"score": float, "window_end": "datetime64[s]"})
    found = dataset(folder / "history").load().read()
    if latest:
        assert_frame_equal(found.sort_values(KEYS).reset_index(drop=True), expected)
        dataset(folder / "at once").save(expected)
        assert files(folder / "history") == files(folder / "at once")
    else:
        assert found.empty


@pytest.mark.parametrize(
    "convert",
    [
        lambda rows: rows.astype({"device": "category", "sensor": "string"}),
        lambda rows: rows.astype({"window_end": "datetime64[ns]"}),
        lambda rows: rows.assign(
            window_end=rows["window_end"].dt.tz_localize("UTC").dt.tz_convert("Asia/Kolkata")
        ),
        lambda rows: rows.set_index(rows.index[::-1]),
    ],
    ids=["categories", "nanoseconds", "another zone", "another index"],
)
def test_bytes_do_not_depend_on_pandas_dtypes(tmp_path, convert):
    rows = make_predictions(range(30))
    dataset(tmp_path / "a").save(rows)
    dataset(tmp_path / "b").save(convert(rows))
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_save_that_failed_between_files_can_be_repeated(tmp_path, monkeypatch):
    stored = dataset(tmp_path / "a")
    stored.save(make_predictions(range(30)))
    again = make_predictions(range(10, 35), score=100.0)
    write = type(stored._location).write
    written = []

    def failing(location, content):
        if written:
            raise OSError("the disk is full")
        written.append(location.path)
        write(location, content)

    with monkeypatch.context() as patched, pytest.raises(DatasetError, match="disk is full"):
        patched.setattr(type(stored._location), "write", failing)
        stored.save(again)
    half = stored.load().read()
    assert len(half) == len(make_predictions(range(30)))  # nothing lost, nothing twice
    assert set(half["score"] >= 100) == {False, True}
    stored.save(again)
    dataset(tmp_path / "b").save(pd.concat([make_predictions(range(10)), again]))
    assert files(tmp_path / "a") == files(tmp_path / "b")


def flip_byte(content):
    """A file with one byte changed where its scores are."""
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-7],
        flip_byte,
        lambda content: b"",
        lambda content: b"PAR1 no table",
    ],
    ids=["cut short", "one byte", "empty", "garbage"],
)
def test_damaged_file_stops_a_save_before_any_change(tmp_path, damage):
    stored = dataset(tmp_path)
    noise = np.random.default_rng(0).normal(size=60)
    stored.save(make_predictions(range(30)).assign(score=noise))
    path = tmp_path / "date=2026-03-03/hour=00/predictions.parquet"
    path.write_bytes(damage(path.read_bytes()))
    before = files(tmp_path)
    with pytest.raises(DatasetError, match="restore the file, or move it away") as error:
        stored.save(make_predictions(range(30), score=100.0))
    assert str(path) in str(error.value)
    assert files(tmp_path) == before
    path.unlink()
    stored.save(make_predictions(range(30), score=100.0))
    assert (stored.load().read()["score"] >= 100).all()


def test_rows_of_other_types_raise_before_any_change(tmp_path):
    stored = dataset(tmp_path)
    stored.save(make_predictions(range(30)))
    before = files(tmp_path)
    with pytest.raises(DatasetError, match=r"hour=22/predictions\.parquet: column types differ"):
        stored.save(make_predictions(range(30)).assign(score="high"))
    assert files(tmp_path) == before


def test_new_column_is_null_in_older_rows(tmp_path):
    stored = dataset(tmp_path)
    stored.save(make_predictions([0, 1]))
    stored.save(make_predictions([1, 2], model="abc"))
    found = stored.load().read()
    assert list(found) == [*KEYS, "score", "model"]
    assert found["model"].isna().tolist() == [True, False, False] * 2


def test_other_files_in_the_folder_are_ignored(tmp_path):
    left = tmp_path / "date=2026-03-02/hour=22/.predictions.parquet.0123abcd.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a file of a process that was killed")
    (tmp_path / "notes.txt").write_text("ours")
    stored = dataset(tmp_path)
    assert stored.load().partitions() == []
    stored.save(make_predictions([0]))
    assert len(stored.load().read()) == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            make_predictions([0]).drop(columns="sensor"),
            "column sensor is missing; found device, window",
        ),
        (
            make_predictions([0]).assign(window_end=START + pd.Timedelta("1ms")),
            "would lose data",
        ),
        (
            make_predictions([0, 1, 1]),
            r"2 rows have duplicate keys, such as device pump, sensor t1, window_end "
            r"2026-03-02 22:35:00; drop the duplicates",
        ),
    ],
    ids=["column", "fraction", "twice"],
)
def test_invalid_rows_raise(tmp_path, rows, message):
    stored = dataset(tmp_path)
    stored.save(make_predictions(range(30)))
    before = files(tmp_path)
    with pytest.raises(DatasetError, match=message) as error:
        stored.save(rows)
    assert isinstance(error.value.__cause__, ValueError)
    assert files(tmp_path) == before


def test_time_column_that_is_not_a_key_raises(tmp_path):
    with pytest.raises(ValueError, match="time_column is window_end, expected one of the keys"):
        PartitionedPredictionsDataset(
            filepath=str(tmp_path), keys=["device"], time_column="window_end"
        )


def test_preview_has_the_latest_rows(tmp_path):
    stored = dataset(tmp_path)
    assert stored.preview() == {"index": [], "columns": KEYS, "data": []}
    stored.save(make_predictions(range(19), alarm=True).assign(score=None))
    preview = stored.preview(nrows=3)
    assert preview["columns"] == [*KEYS, "score", "alarm"]
    assert preview["data"] == [
        ["pump", "t1", "2026-03-03 00:00:00", None, True],
        ["pump", "t2", "2026-03-03 00:00:00", None, True],
        ["pump", "t1", "2026-03-02 23:55:00", None, True],
    ]
    assert json.loads(json.dumps(preview)) == preview
    assert inspect.signature(stored.preview).return_annotation == "TablePreview"
