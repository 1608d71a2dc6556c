"""A time must have one reading, in the format in which people wrote it, or be an error."""

import pandas as pd
import pyarrow as pa
import pytest
from kedro.io import DatasetError

from quartet.datasets.time_formats import UNITS, check_time_format, detect_time_format, to_iso


def column(values, kind=None):
    return pa.chunked_array([pa.array(values, kind)])


def detect(values, kind=None):
    return detect_time_format(column(values, kind), "t.csv: TS", "columns.time_format")


def read(values, kind=None):
    times = column(values, kind)
    return detect(values, kind), to_iso(times, detect(values, kind)).to_pylist()


@pytest.mark.parametrize(
    ("values", "time_format", "times"),
    [
        (["2026/3/2 08:05", "2026/03/02"], "YYYY/MM/DD", ["2026-03-02 08:05", "2026-03-02"]),
        (["2026-03-02 08:05:01 UTC"], "YYYY-MM-DD", ["2026-03-02T08:05:01Z"]),
        (["01.02.2026 8:05", "31.12.2026"], "DD.MM.YYYY", ["2026-02-01 08:05", "2026-12-31"]),
        (
            ["01/02/2026, 08:05:01.250 PM", "12/31/2026 12:00 a.m."],
            "MM/DD/YYYY",
            ["2026-01-02 20:05:01.250", "2026-12-31"],
        ),
        (["2-Mar-2026 08:05:01,5+01:00"], "DD-MMM-YYYY", ["2026-03-02 08:05:01.5+01:00"]),
        (["3 march 2026"], "DD MMM YYYY", ["2026-03-03"]),
    ],
)
def test_dates_are_read_in_the_only_possible_order(values, time_format, times) -> None:
    found, texts = read(values)
    assert found == time_format
    assert [pd.Timestamp(text) for text in texts] == [pd.Timestamp(time) for time in times]


@pytest.mark.parametrize("unit", list(UNITS))
def test_numbers_are_read_in_the_only_likely_unit(unit) -> None:
    time = pd.Timestamp("2026-03-02T08:10:00Z")
    number = time.value // 10**9 * UNITS[unit]
    for kind in (pa.int64(), pa.uint64(), pa.string(), pa.large_string()):
        found, texts = read([str(number) if "string" in str(kind) else number, None], kind)
        assert found == unit
        assert pd.Timestamp(texts[0]) == time
        assert texts[1] is None


def test_fractions_of_seconds_are_kept() -> None:
    for values in (["1772439000.25"], [1772439000.25]):
        assert read(values)[1] == ["2026-03-02 08:10:00.250000Z"]


@pytest.mark.parametrize(
    "values",
    [["2026-03-02T08:00:00Z", "01.02.2026"], ["20260302"], [pd.Timestamp("2026")], ["soon"], []],
)
def test_iso_and_unknown_formats_are_unchanged(values) -> None:
    times = column(values)
    assert detect(values) == "ISO 8601"
    assert to_iso(times, "ISO 8601") is times


def test_other_texts_stay_as_they_are() -> None:
    """Or the quarantine would not show what was wrong."""
    texts = ["15.02.2026", "32.01.2026", "2026", "", None, "5"]
    assert to_iso(column(texts), "DD.MM.YYYY").to_pylist() == ["2026-02-15T00:00:00", *texts[1:]]
    texts = ["1772439000", "later", "1e9", "99999999999999999", None]
    assert to_iso(column(texts), "seconds").to_pylist()[1:] == texts[1:]


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (
            ["01/02/2026 08:05", "01/01/2026"],
            [
                "t.csv: TS: '01/02/2026 08:05' may be",
                "2026-02-01T08:05:00 (columns.time_format=DD/MM/YYYY)",
                "2026-01-02T08:05:00 (columns.time_format=MM/DD/YYYY)",
            ],
        ),
        (
            ["01.02.26"],
            ["=DD.MM.YY", "=MM.DD.YY", "2001-02-26T00:00:00 (columns.time_format=YY.MM.DD)"],
        ),
        (
            ["86400"],
            [
                "1970-01-02 00:00:00Z (columns.time_format=seconds)",
                "1970-01-01 00:01:26.400000Z (columns.time_format=milliseconds)",
            ],
        ),
        (["1772439000", "1772439000123"], ["=seconds", "=milliseconds"]),
        (["13/02/2026", "02/13/2026"], ["'13/02/2026' and '02/13/2026'"]),
    ],
)
def test_ambiguous_times_are_errors_with_each_reading(values, parts) -> None:
    with pytest.raises(DatasetError) as raised:
        detect(values)
    for part in parts:
        assert part in str(raised.value)


@pytest.mark.parametrize("name", ["DDMMYYYY", "DD.MM.MM", "%d.%m.%Y", "hours", "DD.MM.YYYY HH:MM"])
def test_unknown_formats_are_refused(name) -> None:
    with pytest.raises(ValueError, match=r"an order such as DD\.MM\.YYYY"):
        check_time_format(name)
