"""Times in tables as people write them, converted to ISO 8601 column by column.

A format is `ISO 8601`, an order of the parts of a date such as `DD.MM.YYYY`, or a unit since 1970
such as `milliseconds`. A time of day, `AM` or `PM` and a zone may follow a date in any order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from kedro.io.core import DatasetError

from quartet.datasets.delimited import count_matches

ISO = "ISO 8601"
UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
"""Number of each unit in a second."""

_TOKENS = {
    "YYYY": r"(?P<year>\d{4})",
    "YY": r"(?P<year>\d{2})",
    "MMM": r"(?P<month>[A-Za-z]{3,9})",
    "MM": r"(?P<month>\d{1,2})",
    "DD": r"(?P<day>\d{1,2})",
}
_TOKEN = re.compile("YYYY|YY|MMM|MM|DD")
_ORDER = re.compile(r"(YYYY|YY|MMM|MM|DD)[-/. ](YYYY|YY|MMM|MM|DD)[-/. ](YYYY|YY|MMM|MM|DD)")
_TIME_OF_DAY = (
    r"(?:(?:,?\s+|T)(?P<hour>\d{1,2}):(?P<minute>\d{2})"
    r"(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?"
    r"(?:\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?)?"
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

_ISO_LIKE = r"^\s*\d{4}-?\d{2}-?\d{2}(?:$|[T ].*[^CT]$)"
"""A date first; not the `UTC` and `GMT` that ISO 8601 writes as Z."""
_NUMBER = r"^\s*(?P<whole>-?(?:\d{1,18}|[1-8]\d{18}))(?:\.(?P<fraction>\d*))?\s*$"
_SHAPES = (
    (r"^\s*\d{4}([-/.])\d{1,2}[-/.]\d{1,2}(?:\D|$)", ("YYYY{0}MM{0}DD",)),
    (r"^\s*\d{1,2}([-/.])\d{1,2}[-/.]\d{4}(?:\D|$)", ("DD{0}MM{0}YYYY", "MM{0}DD{0}YYYY")),
    (r"^\s*\d{1,2}([-/ .])[A-Za-z]{3,9}[-/ .]\d{4}(?:\D|$)", ("DD{0}MMM{0}YYYY",)),
    (
        r"^\s*\d{1,2}([-/.])\d{1,2}[-/.]\d{2}(?:\D|$)",
        ("DD{0}MM{0}YY", "MM{0}DD{0}YY", "YY{0}MM{0}DD"),
    ),
)
"""How dates look, and the formats that each may be in; `{0}` is the separator."""
_SAMPLE = 1_000
"""Values whose look decides on the kind of format."""
_FIRST_YEAR, _LAST_YEAR = 1990, 2100
"""Years in which a number is a likely time. As ranges of two units, they do not overlap."""
_YEAR_9999 = 253_402_300_799
"""The last second that can be written, since 1970."""


def check_time_format(name: str) -> str:
    """Return a format, which must be one of those of this module.

    Raises:
        ValueError: It is not.
    """
    parts = sorted(token[0] for token in _TOKEN.findall(name))
    is_order = _ORDER.fullmatch(name) is not None and parts == ["D", "M", "Y"]
    if not (name == ISO or name in UNITS or is_order):
        raise ValueError(
            f"must be {ISO}, an order such as DD.MM.YYYY or MM/DD/YYYY (MMM: Jan; YY: 26), or a "
            f"unit since 1970: {', '.join(UNITS)}"
        )
    return name


def detect_time_format(column: pa.ChunkedArray, where: str, parameter: str) -> str:
    """Return the format of the times in a column, if they leave no doubt about it.

    Args:
        column: The first values of the column; text, numbers or times.
        where: File and column, for messages.
        parameter: The parameter that sets the format, for messages.

    Raises:
        DatasetError: The values may be in several formats.
    """
    column = to_plain(column).drop_null()
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _detect_unit(column, where, parameter) if len(column) else ISO
    if not pa.types.is_string(column.type):
        return ISO  # times already, or nothing that can be one
    sample = column.slice(0, _SAMPLE)
    if not len(sample) or count_matches(sample, _ISO_LIKE):
        return ISO
    for shape, formats in _SHAPES:
        alike = sample.filter(pc.match_substring_regex(sample, shape))
        if len(alike):
            separator = re.match(shape, alike[0].as_py())
            assert separator is not None
            candidates = [each.format(separator[1]) for each in formats]
            return _detect_order(column, candidates, where, parameter)
    if count_matches(sample, _NUMBER):
        return _detect_unit(column, where, parameter)
    return ISO


def to_iso(column: pa.ChunkedArray, time_format: str) -> pa.ChunkedArray:
    """Return times as text in ISO 8601; what is not in the format stays as it is.

    Args:
        column: Text, numbers or times; times and ISO 8601 are returned unchanged.
        time_format: As `detect_time_format` returns it.
    """
    plain = to_plain(column)
    is_number = pa.types.is_integer(plain.type) or pa.types.is_floating(plain.type)
    if time_format == ISO or not (is_number or pa.types.is_string(plain.type)):
        return column
    if time_format in UNITS:
        times = _count_microseconds(plain, UNITS[time_format]).cast(pa.timestamp("us", "UTC"))
        return pc.coalesce(times.cast(pa.string()), plain.cast(pa.string()))
    text = plain.cast(pa.string())
    return pc.coalesce(_rewrite_dates(text, time_format), text)


def to_plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without dictionary, and text of one type."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.string()) if pa.types.is_large_string(column.type) else column


def _detect_order(
    column: pa.ChunkedArray, candidates: Sequence[str], where: str, parameter: str
) -> str:
    """Return the order that dates are in: the only one in which some of them exist."""
    readings = [_rewrite_dates(column, each) for each in candidates]
    exists = np.array([reading.is_valid().to_numpy() for reading in readings])
    is_only = exists & (exists.sum(axis=0) == 1)
    proven = np.flatnonzero(is_only.any(axis=1))
    if len(proven) == 1:
        return candidates[proven[0]]
    if len(proven) > 1:
        examples = " and ".join(
            f"'{column[int(is_only[each].argmax())].as_py()}'" for each in proven
        )
        raise DatasetError(
            f"{where}: the order of day and month changes, as in {examples}; write all times in "
            "one format"
        )
    if not exists.any():
        return ISO  # its reason for rejection suits: these are not dates
    texts = [reading.to_pylist() for reading in readings]
    differs = [len({*row}) for row in zip(*texts, strict=True)]
    row = differs.index(max(differs))
    choices = [(each, text[row]) for each, text in zip(candidates, texts, strict=True) if text[row]]
    raise DatasetError(_format_choices(column[row].as_py(), choices, where, parameter))


def _detect_unit(column: pa.ChunkedArray, where: str, parameter: str) -> str:
    """Return the unit in which numbers are likely times, if it is one."""
    first, last = (
        int(np.datetime64(f"{year}-01-01", "s").astype(np.int64))
        for year in (_FIRST_YEAR, _LAST_YEAR)
    )
    seconds = {
        unit: pc.divide(_count_microseconds(column, size).drop_null(), 10**6)
        for unit, size in UNITS.items()
    }
    likely = [
        unit
        for unit, values in seconds.items()
        if pc.any(pc.and_(pc.greater_equal(values, first), pc.less(values, last))).as_py()
    ]
    if len(likely) == 1:
        return likely[0]
    is_number = _count_microseconds(column, 1).is_valid()
    number = column.slice(max(pc.index(is_number, True).as_py(), 0), 1)
    choices = [(unit, to_iso(number, unit)[0].as_py()) for unit in UNITS]
    raise DatasetError(_format_choices(number[0].as_py(), choices, where, parameter))


def _format_choices(
    value: object, choices: Sequence[tuple[str, str]], where: str, parameter: str
) -> str:
    """Return the message for a value that several formats read differently."""
    lines = ", or ".join(
        f"{text.replace('.000000Z', 'Z')} ({parameter}={name})"
        for name, text in choices
        if text != str(value)  # beyond the year 9999
    )
    return f"{where}: '{value}' may be {lines}; set one of these with --params"


def _count_microseconds(column: pa.ChunkedArray, per_second: int) -> pa.ChunkedArray:
    """Return numbers in a unit as microseconds since 1970; null for others and for far years."""
    most = min(_YEAR_9999 * per_second, 2**63 - 1)
    if pa.types.is_floating(column.type):
        number = column.cast(pa.float64())
        inside = pc.less_equal(pc.abs(number), float(most))
        number = pc.if_else(inside, number, pa.scalar(None, pa.float64()))
        return pc.round(pc.multiply(number, 1e6 / per_second)).cast(pa.int64())
    if pa.types.is_string(column.type):
        fields = pc.extract_regex(column, _NUMBER)
        whole = pc.struct_field(fields, "whole").cast(pa.int64())
        digits = pc.utf8_slice_codeunits(
            pc.utf8_rpad(pc.struct_field(fields, "fraction"), 9, "0"), 0, 9
        ).cast(pa.int64())
    else:
        whole = column.cast(pa.int64(), safe=False)  # from 2**63 on, they become negative
        digits = pc.multiply(whole, 0)
    whole = pc.if_else(pc.less_equal(pc.abs(whole), most), whole, pa.scalar(None, pa.int64()))
    if per_second > 10**6:
        return pc.divide(whole, per_second // 10**6)
    factor = 10**6 // per_second
    return pc.add(pc.multiply(whole, factor), pc.divide(pc.multiply(digits, factor), 10**9))


def _rewrite_dates(text: pa.ChunkedArray, order: str) -> pa.ChunkedArray:
    """Return dates of a format in ISO 8601; null for texts in another one."""
    pattern = _TOKEN.sub(lambda token: _TOKENS[token[0]], order.replace(".", r"\."))
    fields = pc.extract_regex(text, rf"^\s*{pattern}{_TIME_OF_DAY}\s*$")

    def get(name: str, default: str = "") -> pa.ChunkedArray:
        field = pc.struct_field(fields, name)
        return pc.if_else(pc.equal(field, ""), default, field)

    year, month = get("year"), get("month")
    if "YYYY" not in order:
        year = pc.binary_join_element_wise("20", year, "")
    if "MMM" in order:
        short = pc.utf8_slice_codeunits(pc.utf8_lower(month), 0, 3)
        month = pc.add(pc.index_in(short, pa.array(_MONTHS)), 1).cast(pa.string())
    day, half = get("day"), pc.utf8_lower(get("half"))
    hour = get("hour", "0").cast(pa.int32())
    twelve = pc.subtract(hour, pc.multiply(pc.divide(hour, 12), 12))
    twelve = pc.add(twelve, pc.if_else(pc.equal(half, "p"), 12, 0))
    hour = pc.if_else(pc.equal(half, ""), hour, twelve)
    fraction = get("fraction")
    zone = get("zone")
    date = [pc.utf8_lpad(part, 2, "0") for part in (month, day)]
    time = [
        pc.utf8_lpad(part, 2, "0")
        for part in (hour.cast(pa.string()), get("minute", "00"), get("second", "00"))
    ]
    iso = pc.binary_join_element_wise(
        pc.binary_join_element_wise(year, *date, "-"),
        "T",
        pc.binary_join_element_wise(*time, ":"),
        pc.if_else(pc.equal(fraction, ""), "", "."),
        fraction,
        pc.if_else(pc.is_in(zone, pa.array(["UTC", "GMT"])), "Z", zone),
        "",
    )
    is_date = pc.and_(_is_within(month, 1, 12), _is_within(day, 1, 31))
    return pc.if_else(is_date, iso, pa.scalar(None, pa.string()))


def _is_within(texts: pa.ChunkedArray, first: int, last: int) -> pa.ChunkedArray:
    number = texts.cast(pa.int32())
    return pc.and_(pc.greater_equal(number, first), pc.less_equal(number, last))
