"""A table of readings, read part by part however long it is."""

from __future__ import annotations

from collections.abc import Iterator
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
from quartet.datasets.utf8 import check_not_utf16, format_encoding_error

COLUMNS = ("TS", "Device", "Sensor", "Value")
_ROWS_A_PART = 500_000
_BLOCK_BYTES = 8_000_000
_ENDINGS = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True)
class TablePart:
    """Some rows of a table, one after the other.

    Attributes:
        name: The path of the table and the number of the part's first row.
        version: Another text whenever the file has changed.
        table: The columns `TS`, `Device`, `Sensor` and `Value`: of a CSV file text, empty
            values null; of a Parquet file as they are.
        rows: Number of each row in the file, from 1, the header not counted; shape (n,), int64.
        malformed: Number and text of rows with another number of columns.
    """

    name: str
    version: str
    table: pa.Table
    rows: NDArray[np.int64]
    malformed: list[tuple[int, str]]


@dataclass(frozen=True)
class ReadingTable:
    """A CSV file, packed with gzip or not, or a Parquet file.

    Attributes:
        location: Where it is.
        rows_a_part: Length of all parts but the last.
    """

    location: Location
    rows_a_part: int = _ROWS_A_PART

    def check_exists(self) -> None:
        """Raise if there is no file, or one of another kind.

        Raises:
            DatasetError: Names it, and what to do.
        """
        path = self.location.path
        self.location.filesystem.invalidate_cache()
        if not self.location.exists():
            raise DatasetError(f"{path}: no such file; name it by sensor_table=FILE")
        if not path.lower().endswith(_ENDINGS):
            raise DatasetError(
                f"{path}: cannot be read as a table (its name ends in "
                f"{PurePosixPath(path).suffix or 'none'}; known: {', '.join(_ENDINGS)})"
            )

    def parts(self) -> Iterator[TablePart]:
        """Yield the rows from first to last; of a table without any, one part.

        Raises:
            DatasetError: The file is missing, damaged or of another format, or lacks a column.
        """
        path = self.location.path
        filesystem = self.location.filesystem
        try:
            self.check_exists()
            facts = filesystem.info(path)
            with filesystem.open(path, "rb") as file:
                yield from self._parts(file, facts)
        except UnicodeDecodeError as error:
            raise DatasetError(format_encoding_error(path)) from error
        except (pa.ArrowException, OSError, EOFError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            if "UTF8" in str(error):
                raise DatasetError(f"{format_encoding_error(path)} ({error})") from error
            raise DatasetError(f"{path}: cannot be read as a table ({error})") from error

    def _parts(self, file: Any, facts: dict[str, Any]) -> Iterator[TablePart]:
        malformed: list[tuple[int, str]] = []
        if self.location.path.lower().endswith(".parquet"):
            batches = self._parquet(file)
        else:
            batches = self._csv(file, malformed)
        before = noted = 0
        for table in _of_length(batches, self.rows_a_part):
            if before and not table.num_rows and noted == len(malformed):
                break
            valid = np.arange(before, before + table.num_rows, dtype=np.int64)
            yield TablePart(
                name=f"{self.location.path}#{before + 1}",
                version=version(facts),
                table=table,
                rows=_numbers(valid, [number for number, _ in malformed]),
                malformed=malformed[noted:],
            )
            noted, before = len(malformed), before + table.num_rows

    def _parquet(self, file: Any) -> Iterator[pa.Table]:
        content = pq.ParquetFile(file)
        self._check(content.schema_arrow.names)
        for batch in content.iter_batches(batch_size=65_536, columns=list(COLUMNS)):
            yield pa.Table.from_batches([batch])

    def _csv(self, file: Any, malformed: list[tuple[int, str]]) -> Iterator[pa.Table]:
        def pass_over(row: Any) -> str:
            malformed.append((row.number - 1, row.text))
            return "skip"

        if not self.location.path.lower().endswith(".gz"):
            check_not_utf16(file, self.location.path)
        packed = "gzip" if self.location.path.lower().endswith(".gz") else None
        stream = pa.input_stream(file, compression=packed)
        reader = pc.open_csv(
            stream,
            # In one thread, as only then does a malformed row tell its number.
            pc.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            pc.ParseOptions(invalid_row_handler=pass_over),
            pc.ConvertOptions(
                column_types=dict.fromkeys(COLUMNS, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        self._check(reader.schema.names)
        for batch in reader:
            yield pa.Table.from_batches([batch]).select(list(COLUMNS))

    def _check(self, names: list[str]) -> None:
        if missing := [name for name in COLUMNS if name not in names]:
            raise DatasetError(
                f"{self.location.path}: expected the columns {', '.join(COLUMNS)}; found "
                f"{', '.join(names)}, without {', '.join(missing)}"
            )


def version(facts: dict[str, Any]) -> str:
    """Return the size of a file and what its storage records of its last change."""
    changed = next(
        (facts[key] for key in ("etag", "last_modified", "mtime") if facts.get(key) is not None), ""
    )
    return f"{facts['size']} {changed}"


def _of_length(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the same rows in tables of the given length, but for the last, which may be empty."""
    held = [pa.table({name: pa.array([], pa.string()) for name in COLUMNS})]
    count = 0
    for table in tables:
        held = [*held, table] if count else [table]
        count += table.num_rows
        while count >= rows:
            whole = pa.concat_tables(held)
            yield whole.slice(0, rows)
            held, count = [whole.slice(rows)], count - rows
    yield pa.concat_tables(held)


def _numbers(valid: NDArray[np.int64], malformed: list[int]) -> NDArray[np.int64]:
    """Return the number in the file of each valid row, with the malformed ones counted."""
    valid_before = np.array(malformed, np.int64) - np.arange(1, len(malformed) + 1)
    return valid + 1 + np.searchsorted(valid_before, valid, side="right")
