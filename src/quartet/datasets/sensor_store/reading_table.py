"""Reading of a table of readings of any length, part by part."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from kedro.io.core import DatasetError
from numpy.typing import NDArray

from quartet.datasets.delimited import read_header
from quartet.datasets.location import Location
from quartet.datasets.sensor_store.sensor_columns import COLUMNS_PARAMETER, SensorColumns
from quartet.datasets.sensor_store.table_layout import Layout, choose_layout
from quartet.datasets.time_formats import ISO
from quartet.datasets.utf8 import UTF8Stream, check_not_utf16, decode_text

logger = logging.getLogger(__name__)

_ROWS_PER_PART = 500_000
_BLOCK_BYTES = 8_000_000
_SUFFIXES = (".csv", ".csv.gz", ".parquet", ".tsv", ".tsv.gz", ".txt", ".txt.gz")


@dataclass(frozen=True)
class TablePart:
    """Consecutive rows of a table.

    Attributes:
        name: Path of the table and number of the part's first row.
        version: Text that changes with the file.
        table: Columns `TS`, `Device`, `Sensor` and `Value`: text with nulls for empty values from
            a CSV file, unchanged from a Parquet file. Times in a format are ISO 8601 here.
        rows: Number of the row in the file of each reading, from 1, without the header; shape
            (n,), int64.
        malformed: Number and text of rows with a wrong number of columns.
        time_format: Format of times in the file, for messages.

    In text, `utf8.SUBSTITUTE` precedes bytes that are not UTF-8.
    """

    name: str
    version: str
    table: pa.Table
    rows: NDArray[np.int64]
    malformed: list[tuple[int, str]]
    time_format: str = ISO


@dataclass(frozen=True)
class ReadingTable:
    """A delimited file, compressed with gzip or not, or a Parquet file.

    Attributes:
        location: Location of the file.
        rows_per_part: Length of all parts but the last; fewer rows if each has many readings.
        columns: Names of its columns, and formats.
    """

    location: Location
    rows_per_part: int = _ROWS_PER_PART
    columns: SensorColumns = field(default_factory=SensorColumns)

    def check_exists(self) -> None:
        """Check that the file exists and has a known suffix.

        Raises:
            DatasetError: The file is missing, or has another suffix.
        """
        path = self.location.path
        self.location.filesystem.invalidate_cache()
        if not self.location.exists():
            raise DatasetError(f"{path}: no such file; set it with --params sensor_table=FILE")
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
        """Check names and formats of the columns, by the first rows only; errors as for `parts`."""
        with self._open() as file:
            self._read(file, [])

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
        layout, batches = self._read(file, malformed)
        if layout.ignored:
            names = ", ".join(layout.ignored)
            logger.warning("%s: ignored columns without numbers: %s", self.location.path, names)
        first = reported = 0
        for table in _rebatch(batches, layout.used, self.rows_per_part // len(layout.values) or 1):
            if first and not table.num_rows and reported == len(malformed):
                break
            valid = np.arange(first, first + table.num_rows, dtype=np.int64)
            rows = _row_numbers(valid, list(dict.fromkeys(number for number, _ in malformed)))
            readings, rows = layout.to_readings(table, rows)
            yield TablePart(
                name=f"{self.location.path}#{first + 1}",
                version=self._format_version(facts),
                table=readings,
                rows=rows,
                malformed=malformed[reported:],
                time_format=layout.time_format,
            )
            reported, first = len(malformed), first + table.num_rows

    def _format_version(self, facts: dict[str, Any]) -> str:
        """Return the version of the file, which changes with what is set for it, too."""
        options = self.columns.model_dump_json(exclude_defaults=True)
        digest = hashlib.sha256(options.encode()).hexdigest()[:8]
        return file_version(facts) + (f", columns {digest}" if options != "{}" else "")

    def _read(
        self, file: Any, malformed: list[tuple[int, str]]
    ) -> tuple[Layout, Iterator[pa.Table]]:
        """Return the layout, by header and first rows, and the used columns of all rows."""
        read = self._read_parquet if self._is_parquet else self._read_csv
        layout, batches = read(file, malformed)
        first = next(batches, None)
        if first is None:
            return layout, iter(())
        layout = layout.detect_formats(first, self.columns)
        return layout, (batch.select(layout.used) for batch in chain([first], batches))

    def _read_parquet(
        self, file: Any, malformed: list[tuple[int, str]]
    ) -> tuple[Layout, Iterator[pa.Table]]:
        content = pq.ParquetFile(file)
        layout = choose_layout(self.location.path, content.schema_arrow.names, self.columns)
        batches = content.iter_batches(batch_size=65_536, columns=layout.used)
        return layout, (_decode_text(pa.Table.from_batches([batch])) for batch in batches)

    def _read_csv(
        self, file: Any, malformed: list[tuple[int, str]]
    ) -> tuple[Layout, Iterator[pa.Table]]:
        def skip(row: Any) -> str:
            # A quotation mark that is not closed takes the following rows with it.
            malformed.extend((row.number - 1, line) for line in row.text.splitlines())
            return "skip"

        path = self.location.path
        is_compressed = path.lower().endswith(".gz")
        if not is_compressed:
            check_not_utf16(file, path)
        stream = pa.input_stream(file, compression="gzip" if is_compressed else None)
        text = io.BufferedReader(UTF8Stream(stream), _BLOCK_BYTES)
        start = text.peek(_BLOCK_BYTES)
        if not start.strip():
            raise pa.ArrowInvalid("Empty CSV file")
        columns = self.columns
        wanted = (columns.time, columns.device, columns.sensor, columns.value)
        parameter = f"{COLUMNS_PARAMETER}.separator"
        header = read_header(start, columns.separator, wanted, path, parameter)
        layout = choose_layout(path, header.names, columns)
        reader = pc.open_csv(
            text,
            # A malformed row has its number only if there is a single thread.
            pc.ReadOptions(
                use_threads=False, block_size=_BLOCK_BYTES, skip_rows=header.skipped_lines
            ),
            pc.ParseOptions(delimiter=header.separator, invalid_row_handler=skip),
            pc.ConvertOptions(
                column_types=dict.fromkeys(layout.used, pa.string()),
                include_columns=layout.used,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        return layout, (pa.Table.from_batches([batch]) for batch in reader)


def file_version(facts: dict[str, Any]) -> str:
    """Return the size of a file and its etag or modification time."""
    changed = next(
        (facts[key] for key in ("etag", "last_modified", "mtime") if facts.get(key) is not None), ""
    )
    return f"{facts['size']} {changed}"


def _decode_text(table: pa.Table) -> pa.Table:
    """Replace undecodable bytes in columns of text, which Parquet does not check."""
    for index, name in enumerate(table.column_names):
        column = table.column(index)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            try:
                column.validate(full=True)
            except pa.ArrowInvalid:
                content = column.cast(pa.large_binary()).to_pylist()
                texts = [None if each is None else decode_text(each) for each in content]
                table = table.set_column(index, name, pa.array(texts, pa.string()))
    return table


def _rebatch(tables: Iterator[pa.Table], names: list[str], rows: int) -> Iterator[pa.Table]:
    """Yield the same rows in tables of the given length; the last one may be shorter or empty."""
    pending = [pa.table({name: pa.array([], pa.string()) for name in names})]
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
