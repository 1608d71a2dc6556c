"""Datasets of texts: TSV without a header, and questions from delimited text or Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import unescape
from pathlib import PurePosixPath
from typing import IO, Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from kedro.io.core import DatasetError

from quartet.datasets.columns import check_unique_columns
from quartet.datasets.compression import check_expansion, open_text_table
from quartet.datasets.file import FileDataset, InputDataset
from quartet.datasets.question_columns import ColumnChooser, to_text
from quartet.datasets.utf8 import format_encoding_error

Frames = pd.DataFrame | Iterable[pd.DataFrame]
"""A table, or its parts in order."""

_CHARACTER_REFERENCE = re.compile(r"&#?\w+;")
_TAG_START = re.compile(r"<(?=[a-z/!?])", re.I)
_BATCH_ROWS = 10_000
"""Number of rows of a Parquet file to decode at once."""

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # posts may exceed the default limit


class TSVDataset(FileDataset[Frames, pd.DataFrame]):
    """Loads and saves a table of tab-separated values without a header.

    Values are loaded as text, and may be in double quotes. The additional column `line`
    contains the number of the row's first line. If a row has too few or too many columns, all
    its values but the first are missing. Bytes that are not UTF-8 become surrogates (Python's
    `surrogateescape`). Nodes quarantine such rows.

    Files ending in `.gz` are saved with gzip compression; compressed files are loaded
    under any name.

    ```yaml
    faq_answers:
      type: quartet.datasets.tables.TSVDataset
      filepath: data/01_raw/faq/ans.tsv.gz
      columns: [Id, Text0]
    ```
    """

    def __init__(self, *, filepath: str, columns: list[str], **options: Any) -> None:
        """Configure the dataset.

        Args:
            filepath: Local path or any fsspec URL.
            columns: Names of the columns, in order.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        check_unique_columns(filepath, columns)
        self._columns = columns

    def load(self) -> pd.DataFrame:
        """Return the table.

        Raises:
            DatasetError: The file is missing, damaged, empty or UTF-16, or no row has the
                expected number of columns.
        """
        path, width = self._location.path, len(self._columns)
        try:
            with self._location.filesystem.open(path, "rb") as file:
                content = open_text_table(file, self._location.filesystem.size(path), path)
                rows, _ = read_text_rows(content, path, "\t")
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: no such file; run the pipeline that creates it") from error
        if not any(len(row) == width for _, row in rows):
            raise DatasetError(
                f"{path}: expected {width} tab-separated columns "
                f"({', '.join(self._columns)}) and no header, found {len(rows[0][1])} "
                "columns; export it as TSV"
            )
        missing = [None] * (width - 1)
        return pd.DataFrame(
            [[*(row if len(row) == width else [row[0], *missing]), line] for line, row in rows],
            columns=[*self._columns, "line"],
        )

    def save(self, data: Frames) -> None:
        """Write a table, or its parts one after the other."""
        frames = [data] if isinstance(data, pd.DataFrame) else data
        location = self._location
        with location.filesystem.open(location.path, "wb") as file:
            if not location.path.endswith(".gz"):
                self._write(frames, file)
                return
            # Without a name and a timestamp, the same table gives the same bytes.
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed:
                self._write(frames, compressed)

    def _write(self, frames: Iterable[pd.DataFrame], file: Any) -> None:
        for frame in frames:
            text = frame[self._columns].to_csv(
                sep="\t", header=False, index=False, lineterminator="\n"
            )
            file.write(text.encode("utf-8"))

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "columns": self._columns}


class QuestionsDataset(InputDataset[pd.DataFrame]):
    """Loads questions from a table with a header: text with any separator, or Parquet.

    The text is the first that exists of: column `question`; column `Text0`; columns `Title`
    (plain text) and `Body` (HTML or plain text), joined. Upper and lower case are not
    distinguished. Without a column `Id`, the Ids are 1, 2, 3, …

    ```yaml
    faq_new_questions:
      type: quartet.datasets.tables.QuestionsDataset
      filepath: data/01_raw/faq/new-questions.csv
    ```
    """

    def __init__(
        self, *, filepath: str, columns: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        """Configure the dataset.

        Args:
            filepath: Local path or any fsspec URL.
            columns: Names of columns that differ from the defaults in `QuestionColumns`, by field.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._chooser = ColumnChooser(columns, "faq_question_columns")

    def load(self) -> pd.DataFrame:
        """Return the columns `Id` and `Text0`, as text.

        Raises:
            DatasetError: The file is missing, damaged or in an unsupported format, or a column is
                missing or appears twice.
        """
        path = self._location.path
        try:
            with self._location.filesystem.open(path, "rb") as file:
                table = self._read(file)
        except FileNotFoundError as error:
            raise DatasetError(
                f"{path}: no such file; set it with --params faq_questions=FILE"
            ) from error
        except UnicodeDecodeError as error:
            raise DatasetError(format_encoding_error(path)) from error
        except (ValueError, OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno:
                raise  # a system error, such as missing permissions, not an invalid file
            raise DatasetError(f"{path}: cannot be read as a table ({error})") from error
        return self._select_text(table)

    def _read(self, file: Any) -> pd.DataFrame:
        path, size = self._location.path, self._location.filesystem.size(self._location.path)
        suffixes = [suffix for suffix in PurePosixPath(path).suffixes if suffix != ".gz"]
        suffix = suffixes[-1] if suffixes else "missing"
        if suffix == ".parquet":

            def choose(names: list[str]) -> list[str]:
                return list(self._chooser.choose(names, "questions", path).values())

            return read_parquet(file, size, path, choose)
        if suffix not in (".csv", ".tsv", ".txt"):
            supported = ".csv, .tsv, .txt (each also with .gz) or .parquet"
            raise ValueError(f"its suffix is {suffix}, expected {supported}")
        content = open_text_table(file, size, path)
        header_line = next((line for line in content if line.strip()), None)
        if header_line is None:
            raise DatasetError(
                f"{path}: is empty, expected a header with question or Text0, or Title and Body; "
                "export it again"
            )
        separator = find_separator(header_line.decode("utf-8-sig"), path)
        content.seek(0)
        # The header is read as a row, since pandas would rename columns that appear twice.
        table = pd.read_csv(content, sep=separator, header=None, keep_default_na=False, dtype=str)
        header = table.iloc[0].tolist()
        check_unique_columns(path, header)
        return table.iloc[1:].set_axis(header, axis=1).reset_index(drop=True)

    def _select_text(self, table: pd.DataFrame) -> pd.DataFrame:
        chosen = self._chooser.choose(list(table.columns), "questions", self._location.path)
        columns = {field: table[name] for field, name in chosen.items()}
        text = columns.get("Text0")
        if text is None:
            text = join_title_and_body(columns["Title"], columns["Body"])
        ids = columns.get("Id", pd.Series(range(1, len(table) + 1), index=table.index))
        return pd.DataFrame(
            {"Id": ids.map(to_text).fillna(""), "Text0": text.map(to_text).fillna("")}, dtype=object
        )


def find_separator(header: str, path: str) -> str:
    """Return the separator of a table, from its header line and the name of its file.

    It is a tab if the header contains one or the name has the suffix `.tsv`, else the most frequent
    of comma, semicolon and vertical bar. Separators in quotes do not count.
    """
    unquoted = re.sub(r'"[^"]*"', "", header)
    if "\t" in unquoted or ".tsv" in PurePosixPath(path.lower()).suffixes:
        return "\t"
    return max(",;|", key=unquoted.count)


def read_text_rows(
    file: IO[bytes], path: str, separator: str | None = None, may_be_empty: bool = False
) -> tuple[list[tuple[int, list[str]]], str]:
    """Return line number and values of all rows, and the separator, detected by default.

    Bytes that are not UTF-8 become surrogates.

    Raises:
        DatasetError: There are no rows, unless the table may be empty.
    """
    text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
    if separator is None:
        separator = find_separator(next((line for line in text if line.strip()), ""), path)
        text.seek(0)
    rows = list(_read_rows(text, separator))
    text.detach()  # the caller closes the file
    if not rows and not may_be_empty:
        raise DatasetError(f"{path}: is empty, expected at least one row; export it again")
    return rows, separator


def _read_rows(text: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the values of each row; skip empty lines.

    A value in quotes may span lines; the line number is that of its first line. If a value begins
    with a quote but is not a quoted value, csv.reader would extend it to the next quote, some lines
    later. Then the first of these lines is parsed again, with quotes as ordinary characters.
    """
    lines = _RewindableLines(text)
    line_number = 1
    for values in csv.reader(lines, delimiter=separator):
        row, row_lines = values, lines.take_read()
        spans_lines = any("\n" in value or "\r" in value for value in values)
        if spans_lines and not _has_valid_quotes(row_lines, separator):
            lines.put_back(row_lines[1:])
            row_lines = row_lines[:1]
            row = next(csv.reader(row_lines, delimiter=separator, quoting=csv.QUOTE_NONE))
        if row:
            yield line_number, row
        line_number += len(row_lines)


class _RewindableLines:
    """An iterator over lines; lines that were read can be put back."""

    def __init__(self, text: Iterable[str]) -> None:
        self._text, self._pending = iter(text), deque[str]()
        self._read: list[str] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._pending.popleft() if self._pending else next(self._text)
        self._read.append(line)
        return line

    def take_read(self) -> list[str]:
        """Return the lines that were read since the last call."""
        read, self._read = self._read, []
        return read

    def put_back(self, lines: Sequence[str]) -> None:
        """Make these the next lines to read."""
        self._pending.extendleft(reversed(lines))


def _has_valid_quotes(lines: Sequence[str], separator: str) -> bool:
    """Return whether all quotes in the lines of a row follow the rules of CSV."""
    try:
        list(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error:
        return False
    return True


def read_parquet(
    file: Any, size: int | None, path: str, choose: Callable[[list[str]], list[str]]
) -> pd.DataFrame:
    """Return columns of a Parquet file, and check while decoding that it does not expand too much.

    Args:
        file: The file, opened in binary mode.
        size: Its size in bytes; None if unknown.
        path: Its path, for messages.
        choose: Receives the names of all columns; returns those of the columns to read.

    Raises:
        DatasetError: A column appears twice, a chosen one contains nested or binary values, or the
            file expands too much; see `check_expansion`.
    """
    schema = pq.ParquetFile(file).schema_arrow
    check_unique_columns(path, schema.names)
    chosen = choose(schema.names)
    for name in chosen:
        kind = schema.field(name).type
        # Binary values would become texts such as "b'pump'".
        if pa.types.is_nested(kind) or "binary" in str(kind):
            raise DatasetError(
                f"{path}: column '{name}' contains {kind}, expected text or numbers; save it as "
                "text"
            )
    expanded_bytes = 0
    parts: list[pd.DataFrame] = []
    # With dictionary encoding, repeated texts take memory once, until to_pylist() expands them.
    content = pq.ParquetFile(file, read_dictionary=chosen)
    for batch in content.iter_batches(_BATCH_ROWS, columns=chosen):
        expanded_bytes += sum(_count_bytes(column) for column in batch.columns)
        check_expansion(path, size, expanded_bytes)
        # pandas would convert integers with missing values to float64, which rounds large ones.
        columns = {
            name: pd.Series(column.to_pylist(), dtype=object)
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts or [pd.DataFrame(columns=chosen)], ignore_index=True)


def _count_bytes(column: pa.Array) -> int:
    """Return the size of a column in bytes, without dictionary encoding."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    return int(pc.sum(lengths.take(column.indices)).as_py() or 0)


def join_title_and_body(title: pd.Series, body: pd.Series) -> pd.Series:
    """Return "title. body" for each row, as HTML, with the plain text of the title escaped."""
    title, body = title.fillna("").str.strip(), body.fillna("").str.strip()
    full_stops = (title != "").map({True: ". ", False: ""})
    return title.map(_escape_plain) + full_stops + body


def _escape_plain(text: str) -> str:
    """Escape a plain text for HTML, in the same way as `quartet.faq.markup.escape_plain`."""

    def escape_reference(match: re.Match[str]) -> str:
        # Texts that are not a reference in HTML stay, and so does `&amp;`, as in old data dumps.
        is_literal = unescape(match[0]) in (match[0], "&")
        return match[0] if is_literal else f"&amp;{match[0][1:]}"

    return _TAG_START.sub("&lt;", _CHARACTER_REFERENCE.sub(escape_reference, text))
