"""Separators and decimal signs must be found, and never be guessed where two are possible."""

import pyarrow as pa
import pytest
from kedro.io import DatasetError

from quartet.datasets.delimited import detect_decimal, read_header, to_plain_numbers


def header(start, separator=None):
    return read_header(start, separator, ["TS", "Value"], "t.csv", "columns.separator")


@pytest.mark.parametrize(
    ("start", "separator", "names"),
    [
        (b"TS,Value\n1,2\n", ",", ["TS", "Value"]),
        (b"ts;value;note, if any\r\n", ";", ["ts", "value", "note, if any"]),
        (b'"TS"\t"Value\tV"', "\t", ["TS", "Value\tV"]),
        (b"\xef\xbb\xbfTS|Value\n", "|", ["TS", "Value"]),
        (b"sep=;\r\nTS;Value\r\n1;2\r\n", ";", ["TS", "Value"]),
        (b"temp, C;TS;a;b", ";", ["temp, C", "TS", "a", "b"]),
        (b"TS\n", ",", ["TS"]),
        (b"", ",", []),
    ],
)
def test_separator_is_that_of_the_header(start, separator, names) -> None:
    found = header(start)
    assert (found.separator, found.names) == (separator, names)
    assert found.skipped_lines == start.startswith(b"sep")


def test_separator_can_be_set() -> None:
    assert header(b"a,b;c", "semicolon").names == ["a,b", "c"]


def test_two_possible_separators_are_an_error() -> None:
    with pytest.raises(DatasetError, match=r"columns.separator=comma or columns.separator=semi"):
        header(b"a,b;c")


def decimal(*values):
    column = pa.chunked_array([pa.array(values)])
    return detect_decimal([column], "t.csv: Value", "columns.decimal")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1.5", "2"], None),
        (["1,5", "2"], "comma"),
        (["0,125"], "comma"),
        (["1234,567"], "comma"),
        (["1.234,5"], "comma"),
        (["1,234", "1.5"], "point"),
        (["1,234.5"], "point"),
        (["1,234,567"], "point"),
        (["1,5", "2.5"], None),
        (["a,b"], None),
        ([1.5], None),
    ],
)
def test_decimal_sign_is_found(values, expected) -> None:
    assert decimal(*values) == expected


def test_number_with_two_readings_is_an_error() -> None:
    with pytest.raises(DatasetError) as raised:
        decimal("1,234", "7")
    assert str(raised.value) == (
        "t.csv: Value: '1,234' may be 1.234 (columns.decimal=comma), or 1234 "
        "(columns.decimal=point); set one of these with --params"
    )


@pytest.mark.parametrize(
    ("sign", "text", "number"),
    [
        ("comma", "-1,5e-3", "-1.5e-3"),
        ("comma", "1.234.567,25", "1234567.25"),
        ("comma", "1.5", "1,5"),
        ("comma", "7", "7"),
        ("point", "1,234.5", "1234.5"),
        ("point", "1,5", "1,5"),
        ("point", "12,34,567", "12,34,567"),
        ("point", None, None),
    ],
)
def test_numbers_are_read_with_their_decimal_sign(sign, text, number) -> None:
    column = pa.chunked_array([pa.array([text], pa.string())])
    assert to_plain_numbers(column, sign).to_pylist() == [number]
