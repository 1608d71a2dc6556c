"""Delimited text as programs and spreadsheets export it: separators and decimal commas."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from kedro.io.core import DatasetError

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
"""By name, since a comma cannot be given on the command line, where it separates parameters."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_EXCEL_LINE = re.compile(r"sep=(.)", re.I)
_NUMBERS = (
    r"^\s*[+-]?(?:"
    r"\d*{0}(?:\d{{1,2}}|\d{{4,}})|0*{0}\d+|\d{{4,}}{0}\d+"  # not three digits after one to three
    r"|\d{{1,3}}(?:{1}\d{{3}})+{0}\d*|\d{{1,3}}(?:{1}\d{{3}}){{2,}}"  # with thousands
    r")\s*$"
)
"""Numbers that have only one reading, as `1,234` and `1.234` have not."""
_DECIMAL_COMMA, _DECIMAL_POINT = _NUMBERS.format(",", r"\."), _NUMBERS.format(r"\.", ",")
_THOUSANDS = r"^\s*[+-]?\d{1,3}(?:,\d{3})+\s*$"
_GROUPED = r"^\s*[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?\s*$"
"""Numbers with commas that may separate thousands; the latter with a decimal point or without."""
_SWAPPED = "\x1f"
"""Unicode's unit separator, which no number contains."""


class Header(NamedTuple):
    """The header of a delimited file.

    Attributes:
        names: Names of the columns.
        separator: The character between values.
        skipped_lines: Lines before the header: one if it is Excel's `sep=;`.
    """

    names: list[str]
    separator: str
    skipped_lines: int


def read_header(
    start: bytes, separator: str | None, wanted: Collection[str], path: str, parameter: str
) -> Header:
    """Return the header of a delimited file, and its separator.

    The separator is the one that splits the header into more of the wanted columns, or else into
    more columns, than any other does.

    Args:
        start: The file's first bytes, with the complete header; UTF-8.
        separator: A name of `SEPARATORS` to use; None to detect it.
        wanted: Names that the header may have, in any case.
        path: The file, for messages.
        parameter: The parameter that sets the separator, for messages.

    Raises:
        DatasetError: Two separators are as likely.
    """
    lines = _LINE_END.split(start.removeprefix(b"\xef\xbb\xbf"), maxsplit=2)
    first, second = ([line.decode("utf-8", "replace") for line in lines] + [""])[:2]
    if excel := _EXCEL_LINE.fullmatch(first):
        return Header(_split(second, excel[1]), excel[1], 1)
    if separator:
        character = SEPARATORS[separator]
        return Header(_split(first, character), character, 0)
    folded = {name.strip().casefold() for name in wanted}
    ranks = {}
    for name, character in SEPARATORS.items():
        names = _split(first, character)
        found = folded & {each.strip().casefold() for each in names}
        ranks[name] = (len(found), len(names))
    best = [name for name, rank in ranks.items() if rank == max(ranks.values())]
    if len(best) > 1 and ranks[best[0]][1] > 1:
        lines_to_copy = " or ".join(f"{parameter}={name}" for name in best)
        raise DatasetError(
            f"{path}: values may be separated by {' or '.join(best)}; set --params {lines_to_copy}"
        )
    return Header(_split(first, SEPARATORS[best[0]]), SEPARATORS[best[0]], 0)


def detect_decimal(columns: Sequence[pa.ChunkedArray], where: str, parameter: str) -> str | None:
    """Return the decimal sign of numbers with commas: `point` or `comma`; None without commas.

    Args:
        columns: The first values of columns of numbers; those that are not text are ignored.
        where: File and columns, for messages.
        parameter: The parameter that sets the decimal sign, for messages.

    Raises:
        DatasetError: The commas may be decimal signs or separate thousands, as in `1,234`.
    """
    texts = [column for column in columns if pa.types.is_string(column.type)]
    with_comma = [column.filter(pc.match_substring(column, ",")) for column in texts]
    if not any(map(len, with_comma)):
        return None
    is_comma = any(count_matches(column, _DECIMAL_COMMA) for column in with_comma)
    if is_comma != any(count_matches(column, _DECIMAL_POINT) for column in texts):
        return "comma" if is_comma else "point"
    if is_comma:
        return None  # rows with a comma are not numbers then
    for column in with_comma:
        unclear = column.filter(pc.match_substring_regex(column, _THOUSANDS))
        if len(unclear):
            text = unclear[0].as_py()
            readings = (
                f"{text.replace(',', '.', 1)} ({parameter}=comma), or "
                f"{text.replace(',', '')} ({parameter}=point)"
            )
            raise DatasetError(
                f"{where}: '{text}' may be {readings}; set one of these with --params"
            )
    return None


def to_plain_numbers(column: pa.ChunkedArray, decimal: str) -> pa.ChunkedArray:
    """Return texts of numbers with decimal points and without separators of thousands.

    Args:
        column: Numbers as text; other columns are returned unchanged.
        decimal: The decimal sign, `point` or `comma`; the other one separates thousands.
            Texts that are no numbers stay so, some with points and commas exchanged.
    """
    if not pa.types.is_string(column.type):
        return column
    if decimal == "comma":
        for old, new in ((".", _SWAPPED), (",", "."), (_SWAPPED, ",")):
            column = pc.replace_substring(column, old, new)
    is_grouped = pc.match_substring_regex(column, _GROUPED)
    return pc.if_else(is_grouped, pc.replace_substring(column, ",", ""), column)


def _split(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # not a table
        return [line]


def count_matches(texts: pa.ChunkedArray, pattern: str) -> int:
    """Return the number of texts in which a regular expression is found."""
    return int(pc.sum(pc.match_substring_regex(texts, pattern)).as_py() or 0)
