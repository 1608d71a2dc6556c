"""A column under another name must be found by its proposal, and never by a guess."""

import pytest
from kedro.io import DatasetError

from quartet.datasets.columns import (
    TableOptions,
    check_unique_columns,
    format_columns,
    match_columns,
    parse_options,
)

NAMES = {"time": "TS", "device": "Device", "value": "Value"}
SYNONYMS = {
    "time": ("time", "timestamp", "date"),
    "device": ("machine", "host"),
    "value": ("reading", "measurement"),
}


def match(found, names=NAMES, **options):
    return match_columns("t.csv", found, names, "columns", SYNONYMS, **options)


def message(found, names=NAMES, **options):
    with pytest.raises(DatasetError) as raised:
        match(found, names, **options)
    return str(raised.value)


@pytest.mark.parametrize("found", [["TS", "Device", "Value"], ["VALUE", "ts", " device "]])
def test_names_match_in_any_case(found) -> None:
    matches = match([*found, "other"])
    assert {field: name.strip().lower() for field, name in matches.items()} == {
        "time": "ts",
        "device": "device",
        "value": "value",
    }


def test_exact_name_comes_before_another_case() -> None:
    assert match(["ts", "TS", "Device", "Value"])["time"] == "TS"


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (["Ts", "ts", "Device", "Value"], "'TS' appears in several cases, 'Ts' and 'ts'"),
        (["TS", "Device", "Value", "Value"], "'Value' appears twice"),
    ],
)
def test_name_of_two_columns_is_an_error(found, text) -> None:
    assert text in message(found)


def test_chosen_name_is_the_only_one() -> None:
    assert match(["TS", "Device", "Value", "t"], {**NAMES, "time": "T"})["time"] == "t"
    assert "column when is missing" in message(["TS", "Device", "Value"], {**NAMES, "time": "when"})


def test_error_is_a_line_to_copy() -> None:
    assert message(["Time", "machine", "value", "unit"]) == (
        "t.csv: columns TS, Device are missing; found Time, machine, value, unit; "
        'set --params "columns.time=Time,columns.device=machine", or rename the columns'
    )


@pytest.mark.parametrize(
    ("found", "proposal"),
    [
        (["time_zone", "time"], "time"),
        (["readingTime", "x"], "readingTime"),
        (["Time stamp (UTC)", "x"], "Time stamp (UTC)"),
        (["host_time", "x"], "host_time"),
        (["lifetimes", "x"], "NAME"),
    ],
)
def test_common_names_are_proposed(found, proposal) -> None:
    assert f'"columns.time={proposal}"' in message([*found, "Device", "Value"])


def test_column_is_proposed_for_one_field_only() -> None:
    assert "columns.time=host_time,columns.device=NAME" in message(["host_time", "Value"])


def test_optional_column_may_be_missing() -> None:
    assert match(["ts", "value"], optional=["device"]) == {"time": "ts", "value": "value"}


def test_column_of_two_fields_is_an_error() -> None:
    found = ["TS", "Device", "Value"]
    assert "'TS' is both time and value" in message(found, {**NAMES, "value": "ts"})


class Options(TableOptions):
    time: str = "TS"
    rows: int = 1


def test_options_have_defaults_for_what_is_not_set() -> None:
    assert parse_options(Options, None, "columns") == Options()
    assert parse_options(Options, {"time": None, "rows": 2}, "columns") == Options(rows=2)
    assert parse_options(Options, {"time": 2019}, "columns").time == "2019"


@pytest.mark.parametrize(
    ("given", "text"),
    [({"tiem": "x"}, "columns: tiem is not a setting"), ({"rows": "x"}, "columns: rows should")],
)
def test_invalid_option_is_named(given, text) -> None:
    with pytest.raises(DatasetError, match=text):
        parse_options(Options, given, "columns")


def test_names_are_compared_exactly() -> None:
    check_unique_columns("table", ["a", "A", "a.1", ""])
    with pytest.raises(DatasetError, match="column '' appears twice"):
        check_unique_columns("table", ["", "a", ""])


def test_message_stays_short_for_what_is_no_table() -> None:
    assert format_columns(["a", "b"]) == "a, b"
    assert len(format_columns(["x" * 1000] * 1000)) < 3000
