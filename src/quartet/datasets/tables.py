"""Tables of text: TSV without header, and questions as text or Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import re
import sys
import zlib
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
from quartet.datasets.compression import check_expansion, check_no_archive, open_decompressed
from quartet.datasets.file import FileDataset, InputDataset
from quartet.datasets.question_columns import ColumnChooser, to_text
from quartet.datasets.utf8 import check_not_utf16, format_encoding_error

Frames = pd.DataFrame | Iterable[pd.DataFrame]

_REFERENCE = re.compile(r"&#?\w+;")
_TAG_START = re.compile(r"<(?=[a-z/!?])", re.I)
_BATCH_ROWS = 10_000
"""Rows of a Parquet file that are decoded at once."""

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # posts may exceed the default limit


class TSVDataset(FileDataset[Frames, pd.DataFrame]):
    """Loads and saves a table of tab-separated values without a header.

    Values are loaded as text, and may be in double quotes. The additional column `line`
    contains the line number of the row. In a row with another number of columns, all values
    but the first are missing; bytes that are not UTF-8 become surrogates (Python's
    `surrogateescape`). Nodes quarantine such rows.

    Files ending in `.gz` are saved with gzip compression; compressed files are loaded
    whatever their name. If `NAME.tsv.gz` is missing, `NAME.tsv` is loaded, and vice versa.

    ```yaml
    faq_answers:
      type: quartet.datasets.tables.TSVDataset
      filepath: data/01_raw/faq/ans.tsv.gz
      columns: [Id, Text0]
    ```
    """

    suffixes = (".gz",)

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
        location = self._find()
        if location is None:
            raise DatasetError(
                f"{self._location.path}: no such file; set the folder that contains it, or run the "
                "pipeline that creates it"
            )
        path = location.path
        try:
            with location.filesystem.open(path, "rb") as file:
                content = open_decompressed(file, location.filesystem.size(path), path)
                check_no_archive(path, content.read(6), "a table of text")
                content.seek(0)
                check_not_utf16(content, path)
                return self._parse(content, path)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DatasetError(
                f"{path}: gzip file is damaged ({error}); download it again"
            ) from error
        except csv.Error as error:
            raise DatasetError(
                f"{path}: not a table of text ({error}); export it as TSV"
            ) from error

    def _parse(self, file: IO[bytes], path: str) -> pd.DataFrame:
        width = len(self._columns)
        rows: list[list[Any]] = []
        complete_rows, first_row = 0, None
        text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
        for line, row in read_rows(text):
            first_row = first_row or row
            if len(row) == width:
                complete_rows += 1
                rows.append([*row, line])
            else:
                rows.append([row[0], *[None] * (width - 1), line])
        text.detach()  # the caller closes the file
        if not rows:
            raise DatasetError(f"{path}: is empty, expected at least one row; export it again")
        if not complete_rows:
            raise DatasetError(
                f"{path}: expected {width} tab-separated columns "
                f"({', '.join(self._columns)}) and no header, found {len(first_row or [])} "
                "columns; export it as TSV"
            )
        return pd.DataFrame(rows, columns=[*self._columns, "line"])

    def save(self, data: Frames) -> None:
        """Write one table, or concatenate several."""
        frames = [data] if isinstance(data, pd.DataFrame) else data
        location = self._location
        with location.filesystem.open(location.path, "wb") as file:
            if not location.path.endswith(".gz"):
                self._write(frames, file)
                return
            # Without time stamp and name, bytes are reproducible.
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

    The text is the column `question`, or `Text0`, or `Title` (plain text) and `Body` (HTML or
    plain text) concatenated, in any case. Without the column `Id`, questions are numbered from 1.

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
            columns: Names of columns, by field of `question_columns.QuestionColumns`.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._chooser = ColumnChooser(columns, "faq_question_columns")

    def load(self) -> pd.DataFrame:
        """Return the columns `Id` and `Text0`, as text.

        Raises:
            DatasetError: The file is missing, damaged or of another format, a column appears
                twice, or columns are missing.
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
        except pd.errors.EmptyDataError as error:
            raise DatasetError(
                f"{path}: is empty, expected a header with question or Text0, or Title and Body; "
                "export it again"
            ) from error
        except (ValueError, OSError, EOFError, zlib.error, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno:
                raise  # such as missing permissions, which is not a matter of the format
            raise DatasetError(f"{path}: cannot be read as a table ({error})") from error
        return self._select_text(table)

    def _read(self, file: Any) -> pd.DataFrame:
        path, size = self._location.path, self._location.filesystem.size(self._location.path)
        suffixes = self._filepath.suffixes
        suffix = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "missing")
        if suffix == ".parquet":

            def choose(found: list[str]) -> list[str]:
                return list(self._chooser.choose(found, "questions", path).values())

            return read_parquet(file, size, path, choose)
        if suffix not in (".csv", ".tsv", ".txt"):
            supported = ".csv, .tsv, .txt (each also with .gz) or .parquet"
            raise ValueError(f"its suffix is {suffix}, expected {supported}")
        content = open_decompressed(file, size, path)
        check_no_archive(path, content.read(6), "a table of text")
        content.seek(0)
        check_not_utf16(content, path)
        first = next((line for line in content if line.strip()), b"")
        separator = find_separator(first.decode("utf-8-sig"), path)
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
    """Return the separator of a table: a tab if the header has one, else the most frequent."""
    names = re.sub(r'"[^"]*"', "", header)
    if "\t" in names or ".tsv" in PurePosixPath(path.lower()).suffixes:
        return "\t"
    return max(",;|", key=names.count)


def read_rows(text: Iterable[str], separator: str = "\t") -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line, and the values, of each row that is not empty.

    A value may be in quotes and then span lines. A value that only begins with a quote would
    take all lines up to the next quote with it, so its line is read again without quotes.
    """
    lines = _Lines(text)
    number = 1
    for values in csv.reader(lines, delimiter=separator):
        row, taken = values, lines.take()
        spans_lines = any("\n" in value or "\r" in value for value in values)
        if spans_lines and not _is_quoted(taken, separator):
            lines.put_back(taken[1:])
            taken = taken[:1]
            row = next(csv.reader(taken, delimiter=separator, quoting=csv.QUOTE_NONE))
        if row:
            yield number, row
        number += len(taken)


class _Lines:
    """An iterator over lines that remembers the last ones, and can go back."""

    def __init__(self, text: Iterable[str]) -> None:
        self._text, self._again = iter(text), deque[str]()
        self._taken: list[str] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._text)
        self._taken.append(line)
        return line

    def take(self) -> list[str]:
        """Return the lines since the last call."""
        taken, self._taken = self._taken, []
        return taken

    def put_back(self, lines: Sequence[str]) -> None:
        """Make these the next lines."""
        self._again.extendleft(reversed(lines))


def _is_quoted(lines: Sequence[str], separator: str) -> bool:
    """Return whether the quotes in these lines are those around values."""
    try:
        list(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error:
        return False
    return True


def read_parquet(
    file: Any, size: int | None, path: str, choose: Callable[[list[str]], list[str]]
) -> pd.DataFrame:
    """Return columns of a Parquet file, whose texts are expanded only within the limit.

    Args:
        file: The file, opened in binary mode.
        size: Its size in bytes, if it is known.
        path: Its path, for messages.
        choose: Returns the columns to read of all names.

    Raises:
        DatasetError: A column appears twice, or the file expands to more than the limit.
    """
    names = pq.ParquetFile(file).schema_arrow.names
    check_unique_columns(path, names)
    used = choose(names)
    expanded = 0
    parts = [pd.DataFrame(columns=used)]
    # As dictionaries, texts that repeat take no memory yet.
    content = pq.ParquetFile(file, read_dictionary=used)
    for batch in content.iter_batches(_BATCH_ROWS, columns=used):
        expanded += sum(_count_bytes(column) for column in batch.columns)
        check_expansion(path, size, expanded)
        # As Python objects, so that whole numbers beside missing ones stay exact.
        columns = {
            name: pd.Series(column.to_pylist(), dtype=object)
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def _count_bytes(column: pa.Array) -> int:
    """Return the size of a column with all its texts, in bytes."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    return int(pc.sum(lengths.take(column.indices)).as_py() or 0)


def join_title_and_body(title: pd.Series, body: pd.Series) -> pd.Series:
    """Return title (plain text), full stop and body (HTML or plain text) as one text each."""
    title, body = title.fillna("").str.strip(), body.fillna("").str.strip()
    dots = (title != "").map({True: ". ", False: ""})
    return title.map(_escape_plain) + dots + body


def _escape_plain(text: str) -> str:
    """Return a plain text for use in HTML, as `quartet.faq.markup` does with titles of dumps."""

    def escape_reference(match: re.Match[str]) -> str:
        is_literal = unescape(match[0]) in (match[0], "&")
        return match[0] if is_literal else f"&amp;{match[0][1:]}"

    return _TAG_START.sub("&lt;", _REFERENCE.sub(escape_reference, text))
