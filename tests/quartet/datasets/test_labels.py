"""Labelled events are loaded with times in UTC, and invalid files raise errors."""

import pandas as pd
import pytest
from kedro.io.core import DatasetError

from quartet.datasets.labels import EventLabelsDataset

HEADER = "device,sensor,start,end,kind\n"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "labels.csv"


def load(file, **columns):
    return EventLabelsDataset(filepath=str(file), columns=columns).load()


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


def expect(device="007", start="2026-03-14 08:00", end="2026-03-14 09:00"):
    times = {"start": pd.Timestamp(start), "end": pd.Timestamp(end)}
    return [{"device": device, "sensor": "", "kind": "leak", **times}]


@pytest.mark.parametrize(
    ("lines", "columns"),
    [
        ("Device,SENSOR,start,end,kind\n007,,2026-03-14T08:00Z,2026-03-14T09:00Z,leak\n", {}),
        ("kind;end;start;sensor;device\nleak;14.03.2026 09:00Z;14.03.2026 08:00Z;;007\n", {}),
        (
            "machine,sensor,from,end,kind\n007,,2026-03-14 09:00,2026-03-14 10:00,leak\n",
            {"device": "machine", "start": "From", "zone": "Europe/Berlin"},
        ),
        ("device,sensor,start,end,kind\n007,,1773475200,1773478800,leak\n", {}),
        (
            "device\tsensor\tstart\tend\tkind\n007\t\t14/03/2026 08:00\t14/03/2026 09:00\tleak\n",
            {"time_format": "DD/MM/YYYY", "zone": "UTC"},
        ),
    ],
)
def test_labels_may_have_other_columns_and_formats(file, lines, columns):
    file.write_text(lines)
    assert load(file, **columns).to_dict("records") == expect()


def test_zone_is_for_times_without_one(file):
    file.write_text(HEADER + "007,,2026-03-14T08:00Z,2026-03-14T10:00,leak\n")
    assert load(file, zone="Europe/Berlin").to_dict("records") == expect()


@pytest.mark.parametrize(
    ("lines", "columns", "reason"),
    [
        ("device,sensor,start,end\n", {}, "column kind is missing"),
        (HEADER + "a,b,2026-03-02T08:30:00,2026-03-02T09:00Z,x\n", {}, "row 2: start .* zone"),
        (HEADER + "a,b,2026-03-02T08:30:00Z,soon Z,x\n", {}, "row 2: end is 'soon Z', expected a"),
        (HEADER + "a,b,2026-03-02T08:30Z,2026-03-02T08:29Z,x\n", {}, "ends before it starts"),
        ("machine,sensor,begin,end,kind\n", {}, "label_columns.device=machine,.*start=begin"),
        (HEADER + "a,b,2026-03-02 08:30,2026-03-02 09:00,x\n", {}, "sensor_label_columns.zone=UTC"),
        (HEADER + "a,b,03/04/2026,03/04/2026,x\n", {}, "sensor_label_columns.time_format=DD/MM/YY"),
        (HEADER + "a,b,14.03.2026,soon,x\n", {"zone": "UTC"}, "end is 'soon', expected DD.MM.YYYY"),
        (HEADER, {"zone": "Berlin"}, "sensor_label_columns: zone must be a time zone"),
    ],
)
def test_error_names_what_to_set(file, lines, columns, reason):
    file.write_text(lines)
    with pytest.raises(DatasetError, match=reason):
        load(file, **columns)
