"""Reading of a table of readings of any length, part by part."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from kedro.io.core import DatasetError
from numpy.typing import NDArray

from quartet.datasets.location import Location
from quartet.datasets.utf8 import UTF8Stream, check_not_utf16, decode_text

COLUMNS = ("TS", "Device", "Sensor", "Value")
_ROWS_PER_PART = 500_000
_BLOCK_BYTES = 8_000_000
_SUFFIXES = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True)
class TablePart:
    """Consecutive rows of a table.

    Attributes:
        name: Path of the table and number of the part's first row.
        version: Text that changes with the file.
        table: Columns `TS`, `Device`, `Sensor` and `Value`: text with nulls for empty values from
            a CSV file, unchanged from a Parquet file.
        rows: Number of each row in the file, from 1, without the header; shape (n,), int64.
        malformed: Number and text of rows with a wrong number of columns.

    In text, `utf8.SUBSTITUTE` precedes bytes that are not UTF-8.
    """

    name: str
    version: str
    table: pa.Table
    rows: NDArray[np.int64]
    malformed: list[tuple[int, str]]


@dataclass(frozen=True)
class ReadingTable:
    """A CSV file, compressed with gzip or not, or a Parquet file.

    Attributes:
        location: Location of the file.
        rows_per_part: Length of all parts but the last.
    """

    location: Location
    rows_per_part: int = _ROWS_PER_PART

    def check_exists(self) -> None:
        """Check that the file exists and has a known suffix.

        Raises:
            DatasetError: The file is missing, or has another suffix.
        """
        path = self.location.path
        self.location.filesystem.invalidate_cache()
        if not self.location.exists():
            raise DatasetError(f"{path}: no such file; set it with sensor_table=FILE")
        if not path.lower().endswith(_SUFFIXES):
            raise DatasetError(
                f"{path}: cannot be read as a table: its suffix is "
                f"{PurePosixPath(path).suffix or 'missing'}; expected {', '.join(_SUFFIXES)}"
            )

    def parts(self) -> Iterator[TablePart]:
        """Yield all rows in parts; of an empty table, one part.

        Raises:
            DatasetError: The file is missing, damaged or has another format, or lacks a column.
        """
        with self._open() as file:
            yield from self._parts(file, self.location.filesystem.info(self.location.path))

    def check_columns(self) -> None:
        """Check the names of the columns, by the first rows only; errors as for `parts`."""
        with self._open() as file:
            if self._is_parquet:
                self._open_parquet(file)
            else:
                self._open_csv(file, lambda row: "skip")

    @contextmanager
    def _open(self) -> Iterator[Any]:
        path = self.location.path
        try:
            self.check_exists()
            with self.location.filesystem.open(path, "rb") as file:
                yield file
        except (pa.ArrowException, OSError, EOFError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise DatasetError(f"{path}: cannot be read as a table ({error})") from error

    @property
    def _is_parquet(self) -> bool:
        return self.location.path.lower().endswith(".parquet")

    def _parts(self, file: Any, facts: dict[str, Any]) -> Iterator[TablePart]:
        malformed: list[tuple[int, str]] = []
        batches = self._read_parquet(file) if self._is_parquet else self._read_csv(file, malformed)
        first = reported = 0
        for table in _rebatch(batches, self.rows_per_part):
            if first and not table.num_rows and reported == len(malformed):
                break
            valid = np.arange(first, first + table.num_rows, dtype=np.int64)
            yield TablePart(
                name=f"{self.location.path}#{first + 1}",
                version=file_version(facts),
                table=table,
                rows=_row_numbers(valid, list(dict.fromkeys(number for number, _ in malformed))),
                malformed=malformed[reported:],
            )
            reported, first = len(malformed), first + table.num_rows

    def _open_parquet(self, file: Any) -> pq.ParquetFile:
        content = pq.ParquetFile(file)
        self._check_columns(content.schema_arrow.names)
        return content

    def _read_parquet(self, file: Any) -> Iterator[pa.Table]:
        for batch in self._open_parquet(file).iter_batches(
            batch_size=65_536, columns=list(COLUMNS)
        ):
            yield _decode_text(pa.Table.from_batches([batch]))

    def _read_csv(self, file: Any, malformed: list[tuple[int, str]]) -> Iterator[pa.Table]:
        def skip(row: Any) -> str:
            # A quotation mark that is not closed takes the following rows with it.
            malformed.extend((row.number - 1, line) for line in row.text.splitlines())
            return "skip"

        for batch in self._open_csv(file, skip):
            yield pa.Table.from_batches([batch]).select(list(COLUMNS))

    def _open_csv(self, file: Any, skip: Callable[[Any], str]) -> Any:
        if not self.location.path.lower().endswith(".gz"):
            check_not_utf16(file, self.location.path)
        compression = "gzip" if self.location.path.lower().endswith(".gz") else None
        text = UTF8Stream(pa.input_stream(file, compression=compression))
        reader = pc.open_csv(
            io.BufferedReader(text, _BLOCK_BYTES),
            # A malformed row has its number only if there is a single thread.
            pc.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            pc.ParseOptions(invalid_row_handler=skip),
            pc.ConvertOptions(
                column_types=dict.fromkeys(COLUMNS, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        self._check_columns(reader.schema.names)
        return reader

    def _check_columns(self, names: list[str]) -> None:
        if missing := [name for name in COLUMNS if name not in names]:
            raise DatasetError(
                f"{self.location.path}: columns {', '.join(missing)} are missing; expected "
                f"{', '.join(COLUMNS)}, found {', '.join(names)}"
            )
        if repeated := [name for name in COLUMNS if names.count(name) > 1]:
            raise DatasetError(
                f"{self.location.path}: column '{repeated[0]}' appears {names.count(repeated[0])} "
                "times; rename or remove all but one"
            )


def file_version(facts: dict[str, Any]) -> str:
    """Return the size of a file and its etag or modification time."""
    changed = next(
        (facts[key] for key in ("etag", "last_modified", "mtime") if facts.get(key) is not None), ""
    )
    return f"{facts['size']} {changed}"


def _decode_text(table: pa.Table) -> pa.Table:
    """Replace undecodable bytes in columns of text, which Parquet does not check."""
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if pa.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            try:
                column.validate(full=True)
            except pa.ArrowInvalid:
                content = column.cast(pa.large_binary()).to_pylist()
                texts = [None if each is None else decode_text(each) for each in content]
                table = table.set_column(index, field.name, pa.array(texts, pa.string()))
    return table


def _rebatch(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the same rows in tables of the given length; the last one may be shorter or empty."""
    pending = [pa.table({name: pa.array([], pa.string()) for name in COLUMNS})]
    count = 0
    for table in tables:
        pending = [*pending, table] if count else [table]
        count += table.num_rows
        while count >= rows:
            combined = pa.concat_tables(pending)
            yield combined.slice(0, rows)
            pending, count = [combined.slice(rows)], count - rows
    yield pa.concat_tables(pending)


def _row_numbers(valid: NDArray[np.int64], malformed: list[int]) -> NDArray[np.int64]:
    """Return the number in the file, malformed rows included, of each valid row."""
    valid_before = np.array(malformed, np.int64) - np.arange(1, len(malformed) + 1)
    return valid + 1 + np.searchsorted(valid_before, valid, side="right")
