"""The rows of a Stack Exchange data dump, one at a time, however long the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain

import pandas as pd
from lxml import etree

FAULT_COLUMNS = ["file", "line", "reason", "row"]
MOST_NOTED = 1_000
"""Faults that are shown; all are counted."""
_SHOWN = 120
"""Characters of a row that its fault shows."""
_HEADER_BYTES = 1_000_000
"""A dump has its first row within a hundred bytes; a file without one here is none."""
_LONGEST = 16_000_000
"""Bytes of a row, far above the longest post: beyond them the end of the row was lost."""
_NUMBERS = (
    "Id",
    "PostTypeId",
    "ParentId",
    "AcceptedAnswerId",
    "Score",
    "PostId",
    "RelatedPostId",
    "LinkTypeId",
)
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_ROW_START = re.compile(rb"(?=<row(?:[\s/>]|$))")
_ROW_END = re.compile(rb"/>(?=\s*(?:</\w+>\s*)*$)")
_FRAME = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<[?!/]?[\w-][^<>]*>\s*)*")
"""What may stand around rows: a byte order mark, the XML declaration, the outer element."""

Matters = Callable[[bytes], object]


class Faults:
    """Rows that could not be read, and how many could.

    Attributes:
        count: All faults, by the name of the file.
        sound: Rows without a fault, by the name of the file.
    """

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.sound: Counter[str] = Counter()
        self._noted: list[tuple[str, int, str, str]] = []

    def note(self, file: str, line: int, reason: str, row: bytes) -> None:
        """Count a fault, and keep it if it is among the first 1,000."""
        self.count[file] += 1
        if len(self._noted) < MOST_NOTED:
            shown = row[: 4 * _SHOWN].decode("utf-8", "replace")[:_SHOWN]
            self._noted.append((file, line, reason, " ".join(shown.split())))

    def table(self) -> pd.DataFrame:
        """The faults kept: `file`, `line` (from 1), `reason`, and the beginning of the `row`."""
        return pd.DataFrame(self._noted, columns=FAULT_COLUMNS)


def rows(
    lines: Iterable[bytes],
    name: str,
    faults: Faults,
    matters: Matters | None = None,
    required: Collection[str] = ("Id",),
) -> Iterator[Mapping[str, str]]:
    """The attributes of each sound row, in the order of the file.

    A row is usually a line, but may share one or take several. Every row is checked
    for its end, for `<` inside, and for UTF-8; parsing takes much longer, so only rows
    that matter are parsed. A row with a fault is noted and left out.

    Args:
        lines: The file, cut anywhere into pieces that end with a line or not.
        name: The file's name, for `faults`.
        faults: Takes the faults, and the number of sound rows.
        matters: Says from a row's bytes whether it is wanted; all are, when not given.
        required: Attributes that a wanted row has.

    Raises:
        ValueError: No row begins within the first megabyte.
    """
    sound = 0
    try:
        for number, row in _whole_rows(_from_first_row(lines, name), name, faults):
            try:
                row.decode()
                if matters is None or matters(row):
                    yield _attributes(row, required)
            except UnicodeDecodeError:
                faults.note(name, number, "is not UTF-8", row)
            except _FaultError as fault:
                faults.note(name, number, str(fault), row)
            else:
                sound += 1
    finally:
        faults.sound[name] += sound


class _FaultError(Exception):
    """Why a row cannot be used."""


def _attributes(row: bytes, required: Collection[str]) -> Mapping[str, str]:
    try:
        attributes = dict(etree.fromstring(row).attrib)
    except etree.XMLSyntaxError as error:
        raise _FaultError(f"is not well-formed XML: {error.msg}") from None
    for key in required:
        if key not in attributes:
            raise _FaultError(f"has no {key}")
    for key in _NUMBERS:
        if key in attributes and not _NUMBER.fullmatch(attributes[key]):
            raise _FaultError(f"{key} is not a whole number")
    return attributes


def _from_first_row(lines: Iterable[bytes], name: str) -> Iterator[bytes]:
    """All lines, once a row was seen."""
    lines, header, size = iter(lines), [], 0
    for line in lines:
        header.append(line)
        size += len(line)
        if b"<row" in line:
            return chain(header, lines)
        if size > _HEADER_BYTES:
            break
    raise ValueError(
        f"{name}: no <row> in its first {size:,} bytes; expected Posts.xml or PostLinks.xml of a "
        "Stack Exchange data dump, plain or packed with gzip or bzip2"
    )


def _whole_rows(lines: Iterable[bytes], name: str, faults: Faults) -> Iterator[tuple[int, bytes]]:
    """Rows from `<row` to `/>` with the number of the line where they begin."""
    joined: _Joiner | None = None
    for number, line in enumerate(lines, 1):
        row = line.strip()
        usual = row.startswith(b"<row ") and row.endswith(b"/>") and row.find(b"<", 1) < 0
        if usual and (joined is None or not joined.pending):
            yield number, row
            continue
        joined = joined or _Joiner(name, faults)
        yield from joined.take(number, line)
    if joined is not None and joined.pending:
        joined.give_up("the file ends before the row does")


class _Joiner:
    """Puts rows together that are spread over lines, or takes lines with several apart."""

    def __init__(self, name: str, faults: Faults) -> None:
        self._name, self._faults = name, faults
        self._parts: list[bytes] = []
        self._size = self._first = 0
        self._lost = False  # within text that belongs to no row, which is one fault

    @property
    def pending(self) -> bool:
        """Whether a row has begun and not ended."""
        return bool(self._parts)

    def take(self, number: int, line: bytes) -> Iterator[tuple[int, bytes]]:
        """The rows that end in this line."""
        for piece in _ROW_START.split(line):
            if _ROW_START.match(piece):
                if self.pending:
                    self.give_up("the next row begins before it ends")
                self._first, self._lost = number, False
            elif not self.pending:
                self._pass_over(number, piece)
                continue
            self._parts.append(piece)
            self._size += len(piece)
            yield from self._ended(piece)

    def give_up(self, reason: str) -> None:
        """Note the pending row as faulty."""
        self._faults.note(self._name, self._first, reason, b"".join(self._parts))
        self._parts, self._size = [], 0

    def _ended(self, piece: bytes) -> Iterator[tuple[int, bytes]]:
        end = _ROW_END.search(piece)
        if end is None:
            if self._size > _LONGEST:
                self.give_up(f"has no end within {_LONGEST:,} bytes")
                self._lost = True
            return
        row = b"".join([*self._parts[:-1], piece[: end.end()]])
        if row.find(b"<", 1) >= 0:
            self.give_up("is not well-formed XML: holds <")
            return
        self._parts, self._size = [], 0
        yield self._first, row

    def _pass_over(self, number: int, piece: bytes) -> None:
        if not self._lost and not _FRAME.fullmatch(piece):
            self._faults.note(self._name, number, "stands outside any row", piece)
            self._lost = True
