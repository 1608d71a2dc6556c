"""Labelled events are loaded with times in UTC, and invalid files raise errors."""

import pandas as pd
import pytest
from kedro.io.core import DatasetError

from quartet.datasets.labels import EventLabelsDataset

HEADER = "device,sensor,start,end,kind\n"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "labels.csv"


def load(file):
    return EventLabelsDataset(filepath=str(file)).load()


def test_missing_file_has_no_events(file):
    events = load(file)
    assert events.empty
    assert events["start"].dtype.kind == "M"


def test_times_are_converted_to_utc(file):
    file.write_text(HEADER + "1,2,2026-03-02T08:30:00+02:00,2026-03-02T09:00:00Z,spike\n")
    (event,) = load(file).to_dict("records")
    assert event == {
        "device": "1",
        "sensor": "2",
        "start": pd.Timestamp("2026-03-02 06:30"),
        "end": pd.Timestamp("2026-03-02 09:00"),
        "kind": "spike",
    }


def test_save_and_load_round_trip(file):
    file.write_text(HEADER + "a,b,2026-03-02T08:30:00.250Z,2026-03-02T09:00:00Z,drift\n")
    events = load(file)
    copy = file.with_name("copy.csv")
    EventLabelsDataset(filepath=str(copy)).save(events)
    pd.testing.assert_frame_equal(load(copy), events)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("device,sensor,start,end\n", "column kind is missing"),
        (HEADER + "a,b,2026-03-02T08:30:00,2026-03-02T09:00:00Z,x\n", "row 2: start .* zone"),
        (HEADER + "a,b,2026-03-02T08:30:00Z,soon Z,x\n", "row 2: end is 'soon Z', expected a time"),
        (HEADER + "a,b,2026-03-02T08:30:00Z,2026-03-02T08:29:00Z,x\n", "ends before it starts"),
    ],
)
def test_invalid_file_raises_with_reason(file, content, reason):
    file.write_text(content)
    with pytest.raises(DatasetError, match=reason):
        load(file)
