"""Parse the rows of a Stack Exchange data dump one at a time, in constant memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain

import pandas as pd
from lxml import etree

from quartet.faq.settings import ShareCheck

FAULT_COLUMNS = ["file", "line", "reason", "row"]
MAX_REPORTED = 1_000
"""Malformed rows in the report; all are counted."""
_EXCERPT_LENGTH = 120
"""Characters of a malformed row in the report."""
_MAX_HEADER_BYTES = 1_000_000
"""A dump has its first row within a hundred bytes; a file without one here is not a dump."""
_MAX_ROW_BYTES = 16_000_000
"""Far above the longest post; a longer row has lost its end."""
_INTEGERS = (
    "Id",
    "PostTypeId",
    "ParentId",
    "AcceptedAnswerId",
    "Score",
    "PostId",
    "RelatedPostId",
    "LinkTypeId",
)
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_ROW_START = re.compile(rb"(?=<row(?:[\s/>]|$))")
_ROW_END = re.compile(rb"/>(?=\s*(?:</\w+>\s*)*$)")
_ENVELOPE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<[?!/]?[\w-][^<>]*>\s*)*")
"""Allowed outside rows: a byte order mark, the XML declaration, the outer element, comments."""

_PARSER = etree.XMLParser(resolve_entities=False, huge_tree=True)
"""Without `huge_tree`, attributes of more than 10 MB are errors."""
_CONTROL_CHARACTERS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_REFERENCE = re.compile(rb"&#(?:x([0-9a-fA-F]{1,12})|([0-9]{1,12}));")
_REPLACEMENT = "\ufffd".encode()

RowFilter = Callable[[bytes], object]


class RowErrors:
    """Collects malformed rows and counts valid ones.

    Attributes:
        malformed_rows: Number of malformed rows, by file name.
        valid_rows: Number of valid rows, by file name.
        replaced_characters: Number of characters that XML forbids, by file name.
    """

    def __init__(self, check: ShareCheck | None = None) -> None:
        self.malformed_rows: Counter[str] = Counter()
        self.valid_rows: Counter[str] = Counter()
        self.replaced_characters: Counter[str] = Counter()
        self._check = check
        self._reasons: dict[str, Counter[str]] = {}
        self._examples: dict[tuple[str, str], str] = {}
        self._reported: list[tuple[str, int, str, str]] = []

    def add(self, file: str, line: int, reason: str, row: bytes) -> None:
        """Count a malformed row, and keep it if it is among the first 1,000."""
        self.malformed_rows[file] += 1
        start = row[: 4 * _EXCERPT_LENGTH].decode("utf-8", "backslashreplace")
        excerpt = " ".join(start[:_EXCERPT_LENGTH].split())
        if len(self._reported) < MAX_REPORTED:
            self._reported.append((file, line, reason, excerpt))
        # libxml2's messages name Ids and positions; reasons are counted without them.
        kind = reason.partition(":")[0]
        self._reasons.setdefault(file, Counter())[kind] += 1
        self._examples.setdefault((file, kind), f"line {line}: {excerpt}")

    def check_share(self, file: str) -> None:
        """Pass the counts of a file that was read to the end to the check."""
        reasons = self._reasons.get(file)
        if self._check is not None and reasons:
            reason, _ = reasons.most_common(1)[0]
            self._check(file, self.valid_rows[file], reasons, self._examples[file, reason])

    def to_frame(self) -> pd.DataFrame:
        """Return the kept rows: `file`, `line` (from 1), `reason`, and the start of the `row`."""
        return pd.DataFrame(self._reported, columns=FAULT_COLUMNS)


def parse_rows(
    lines: Iterable[bytes],
    name: str,
    errors: RowErrors,
    row_filter: RowFilter | None = None,
    required: Collection[str] = ("Id",),
) -> Iterator[Mapping[str, str]]:
    """Yield the attributes of each valid row, in the order of the file.

    A row is usually a line, but may share one or span several. Every row is checked for
    its end, for `<` inside, and for UTF-8. Parsing takes much longer, so only rows that
    pass the filter are parsed. Malformed rows are added to `errors` and skipped. Characters
    that XML forbids, such as `&#x1F;`, are replaced by U+FFFD and counted in `errors`: posts
    contain what their authors pasted.

    Args:
        lines: Content of the file in chunks, which need not end at line breaks.
        name: Name of the file in errors.
        errors: Collects malformed rows, and counts valid ones.
        row_filter: Returns from a row's bytes whether to parse it; all rows by default.
        required: Attributes that each parsed row must have.

    Raises:
        ValueError: No row begins within the first megabyte.
    """
    valid = 0
    try:
        for line, row in _split_rows(_check_first_row(lines, name), name, errors):
            try:
                row.decode()
                if row_filter is None or row_filter(row):
                    attributes, replaced = _parse_attributes(row, required)
                    errors.replaced_characters[name] += replaced
                    yield attributes
            except UnicodeDecodeError:
                errors.add(name, line, "is not UTF-8", row)
            except _RowError as error:
                errors.add(name, line, str(error), row)
            else:
                valid += 1
    finally:
        errors.valid_rows[name] += valid


class _RowError(Exception):
    """Reason why a row is malformed."""


def _parse_attributes(row: bytes, required: Collection[str]) -> tuple[Mapping[str, str], int]:
    """Return the attributes, and the number of characters that were replaced in them."""
    replaced = 0
    try:
        element = etree.fromstring(row, _PARSER)
    except etree.XMLSyntaxError:
        row, replaced = _replace_forbidden(row)
        try:
            element = etree.fromstring(row, _PARSER)
        except etree.XMLSyntaxError as error:
            raise _RowError(f"is not well-formed XML: {error.msg}") from None
    attributes = dict(element.attrib)
    for key in required:
        if key not in attributes:
            raise _RowError(f"has no {key}")
    for key in _INTEGERS:
        if key in attributes and not _INTEGER.fullmatch(attributes[key]):
            raise _RowError(f"{key} is not a whole number")
    return attributes, replaced


def _replace_forbidden(row: bytes) -> tuple[bytes, int]:
    """Replace the characters, and references to characters, that XML 1.0 forbids."""
    row, raw = _CONTROL_CHARACTERS.subn(_REPLACEMENT, row)
    forbidden = 0

    def replace(match: re.Match[bytes]) -> bytes:
        nonlocal forbidden
        code = int(match[1], 16) if match[1] else int(match[2])
        if _is_allowed(code):
            return match[0]
        forbidden += 1
        return _REPLACEMENT

    return _REFERENCE.sub(replace, row), raw + forbidden


def _is_allowed(code: int) -> bool:
    """Return whether XML 1.0 allows a character (https://www.w3.org/TR/xml/#NT-Char)."""
    return (
        code in (0x9, 0xA, 0xD)
        or 0x20 <= code <= 0xD7FF
        or 0xE000 <= code <= 0xFFFD
        or 0x10000 <= code <= 0x10FFFF
    )


def _check_first_row(lines: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Return an iterator over all lines if a row begins within the first megabyte."""
    lines, header, size = iter(lines), [], 0
    for line in lines:
        header.append(line)
        size += len(line)
        if b"<row" in line:
            return chain(header, lines)
        if size > _MAX_HEADER_BYTES:
            break
    raise ValueError(
        f"{name}: no <row> in its first {size:,} bytes; expected Posts.xml or PostLinks.xml of a "
        "Stack Exchange data dump, plain or compressed with gzip or bzip2"
    )


def _split_rows(
    lines: Iterable[bytes], name: str, errors: RowErrors
) -> Iterator[tuple[int, bytes]]:
    """Yield each row from `<row` to `/>`, after the number of the line where it begins."""
    assembler = _RowAssembler(name, errors)
    for number, line in enumerate(lines, 1):
        row = line.strip()
        is_one_row = row.startswith(b"<row ") and row.endswith(b"/>") and row.find(b"<", 1) < 0
        if is_one_row and not assembler.pending:
            yield number, row
        else:
            yield from assembler.feed(number, line)
    if assembler.pending:
        assembler.discard("the file ends before the row does")


class _RowAssembler:
    """Joins rows that span several lines, and splits lines with several rows."""

    def __init__(self, name: str, errors: RowErrors) -> None:
        self._name, self._errors = name, errors
        self._parts: list[bytes] = []
        self._size = self._first_line = 0
        self._outside = False  # consecutive text outside rows is reported once

    @property
    def pending(self) -> bool:
        """Whether a row has begun and not ended."""
        return bool(self._parts)

    def feed(self, number: int, line: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the rows that end in this line."""
        for part in _ROW_START.split(line):
            if _ROW_START.match(part):
                if self.pending:
                    self.discard("the next row begins before it ends")
                self._first_line, self._outside = number, False
            elif not self.pending:
                self._skip(number, part)
                continue
            self._parts.append(part)
            self._size += len(part)
            yield from self._complete(part)

    def discard(self, reason: str) -> None:
        """Report the pending row as malformed."""
        self._errors.add(self._name, self._first_line, reason, b"".join(self._parts))
        self._parts, self._size = [], 0

    def _complete(self, part: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the pending row if this part contains its end."""
        end = _ROW_END.search(part)
        if end is None:
            if self._size > _MAX_ROW_BYTES:
                self.discard(f"has no end within {_MAX_ROW_BYTES:,} bytes")
                self._outside = True
            return
        row = b"".join([*self._parts[:-1], part[: end.end()]])
        if row.find(b"<", 1) >= 0:
            self.discard("is not well-formed XML: contains <")
            return
        self._parts, self._size = [], 0
        yield self._first_line, row

    def _skip(self, number: int, part: bytes) -> None:
        if not self._outside and not _ENVELOPE.fullmatch(part):
            self._errors.add(self._name, number, "is outside any row", part)
            self._outside = True
