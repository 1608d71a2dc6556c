"""Predictions of repeated runs: one Parquet file per hour, rows replaced by key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io.core import DatasetError
from tqdm import tqdm

from quartet.compat import TablePreview
from quartet.datasets.file import FileDataset
from quartet.datasets.location import Location

_PARTITION = re.compile(r"date=(\d{4}-\d\d-\d\d)/hour=(\d\d)/predictions\.parquet$")
_MILLISECONDS_PER_HOUR = 3_600_000


@dataclass(frozen=True)
class Predictions:
    """A folder of predictions, read on demand.

    Attributes:
        location: The folder, which need not exist yet.
        keys: The columns that identify a row.
        time_column: The key column of times, whose hour determines the file.
    """

    location: Location
    keys: tuple[str, ...]
    time_column: str

    def partitions(self) -> list[pd.Timestamp]:
        """Return the hours that have a file, ascending; UTC without time zone."""
        self.location.filesystem.invalidate_cache()
        paths = self.location.filesystem.find(self.location.path)
        matches = (_PARTITION.search(path) for path in paths)
        return sorted(pd.Timestamp(f"{match[1]} {match[2]}:00") for match in matches if match)

    def read(self, most_hours: int | None = None) -> pd.DataFrame:
        """Return the rows, sorted by hour, then by key.

        Args:
            most_hours: Read only so many of the last hours with predictions; None for all.

        Returns:
            The saved columns, with the time column as `datetime64[s]`, UTC without time zone;
            only the keys if there are no files.

        Raises:
            DatasetError: A file is damaged.
        """
        hours = self.partitions()[-most_hours if most_hours else None :]
        tables = [self.read_hour(hour) for hour in hours]
        frame = (
            pa.concat_tables(tables, promote_options="permissive").to_pandas()
            if tables
            else pd.DataFrame(columns=list(self.keys))
        )
        return frame.astype({self.time_column: "datetime64[s]"})

    def read_hour(self, hour: pd.Timestamp) -> pa.Table:
        """Return the rows of one hour, sorted by key.

        Raises:
            DatasetError: The file is damaged.
        """
        location = self.locate_hour(hour)
        try:
            content = pa.BufferReader(location.read())
            return pq.ParquetFile(content, page_checksum_verification=True).read()
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(
                f"{location.path}: cannot be read ({error}); restore the file, or move it away and "
                "rerun the predictions of its hour"
            ) from error

    def locate_hour(self, hour: pd.Timestamp) -> Location:
        """Return the location of the file of an hour, which need not exist."""
        return self.location.join(f"date={hour:%Y-%m-%d}/hour={hour:%H}/predictions.parquet")


class PartitionedPredictionsDataset(FileDataset[pd.DataFrame, Predictions]):
    """Saves rows to `date=YYYY-MM-DD/hour=HH/predictions.parquet`, replacing rows by key.

    The hour is that of the time column, in UTC. A save validates all files that it changes
    before it replaces the first one, atomically. So an interrupted save can be repeated:
    no row is lost or duplicated. Only one process may save at a time.

    ```yaml
    sensor_predictions:
      type: quartet.datasets.predictions.PartitionedPredictionsDataset
      filepath: data/07_model_output/sensors/predictions
      keys: [device, sensor, window_end]
      time_column: window_end
    ```
    """

    def __init__(
        self, *, filepath: str, keys: Sequence[str], time_column: str, **options: Any
    ) -> None:
        """Configure the dataset.

        Args:
            filepath: Local folder or any fsspec URL.
            keys: The columns that identify a row.
            time_column: The key column of times, in whole seconds; its hour determines the file.
            options: `credentials`, `fs_args` and `metadata`, as for any file.

        Raises:
            ValueError: The time column is not a key, so that a row could be in two files.
        """
        if time_column not in keys:
            raise ValueError(
                f"{filepath}: time_column is {time_column}, expected one of the keys {keys}"
            )
        super().__init__(filepath=filepath, **options)
        self._predictions = Predictions(self._location, tuple(keys), time_column)

    def load(self) -> Predictions:
        """Return the handle; the folder need not exist yet."""
        return self._predictions

    def save(self, data: pd.DataFrame) -> None:
        """Add rows, replacing stored rows with the same keys.

        Files are sorted by key, and the same rows give the same bytes. A column that only
        some rows of an hour have is null in the others.

        Raises:
            ValueError: A key is missing or duplicated, or a time is not in whole seconds.
            DatasetError: A file to change is damaged or has incompatible columns. No file
                has been changed.
        """
        folder = self._predictions
        rows = _to_keyed_table(data, folder.keys, folder.time_column, self._location.path)
        hours = list(_split_by_hour(rows, folder.time_column))
        stored = set(folder.partitions())
        for hour, new in hours:
            if hour in stored:
                self._read_compatible(hour, new)
        for hour, new in tqdm(hours, desc="saving predictions", unit="hour", disable=None, delay=2):
            merged = new
            if hour in stored:  # read again, to keep only one hour in memory
                merged = _merge_rows(self._read_compatible(hour, new), new, folder.keys)
            folder.locate_hour(hour).write(_to_parquet(merged))

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the latest rows for Kedro-Viz."""
        time_column = self._predictions.time_column
        # Each hour has at least one row.
        latest = self._predictions.read(most_hours=nrows)
        latest = latest.sort_values(time_column, ascending=False, kind="stable").head(nrows)
        rows = latest.astype({time_column: str}).reset_index(drop=True)
        return TablePreview(json.loads(rows.to_json(orient="split")))

    def _read_compatible(self, hour: pd.Timestamp, new: pa.Table) -> pa.Table:
        """Return the stored rows of an hour after checking that `new` can be merged.

        Raises:
            DatasetError: The file is damaged or has incompatible columns.
        """
        stored = self._predictions.read_hour(hour)
        try:
            pa.unify_schemas([stored.schema, new.schema], promote_options="permissive")
        except pa.ArrowException as error:
            raise DatasetError(
                f"{self._predictions.locate_hour(hour).path}: column types differ from those of "
                f"the new rows ({error}); move the file away, or convert the new rows"
            ) from error
        return stored

    def _exists(self) -> bool:
        return bool(self._predictions.partitions())


def _to_keyed_table(
    data: pd.DataFrame, keys: Sequence[str], time_column: str, origin: str
) -> pa.Table:
    """Convert a data frame to a table sorted by key, with times in UTC; naive times are UTC."""
    if missing := [name for name in keys if name not in data]:
        found = ", ".join(map(str, data)) or "no column"
        raise ValueError(f"{origin}: column {', '.join(missing)} is missing; found {found}")
    is_duplicate = data.duplicated(list(keys))
    if is_duplicate.any():
        row = data[is_duplicate].iloc[0]
        example = ", ".join(f"{name} {row[name]}" for name in keys)
        raise ValueError(
            f"{origin}: {is_duplicate.sum():,} rows have duplicate keys, such as {example}; "
            "drop the duplicates"
        )
    times = pd.to_datetime(data[time_column], utc=True).dt.tz_localize(None)
    # Arrow refuses fractions of seconds. Milliseconds are the coarsest unit of Parquet.
    seconds = pa.array(times).cast(pa.timestamp("s")).cast(pa.timestamp("ms"))
    table = pa.Table.from_pandas(data, preserve_index=False)
    table = table.set_column(table.column_names.index(time_column), time_column, seconds)
    table = table.cast(pa.schema([_to_plain_type(field) for field in table.schema]))
    return table.sort_by([(name, "ascending") for name in keys])


def _to_plain_type(field: pa.Field) -> pa.Field:
    """Return a field with dictionaries and large strings replaced by plain types."""
    dtype = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return pa.field(field.name, pa.string() if pa.types.is_large_string(dtype) else dtype)


def _split_by_hour(rows: pa.Table, time_column: str) -> Iterator[tuple[pd.Timestamp, pa.Table]]:
    """Yield each hour with its rows, in their order."""
    milliseconds = rows.column(time_column).cast(pa.int64()).to_numpy()
    hours = milliseconds // _MILLISECONDS_PER_HOUR
    order = np.argsort(hours, kind="stable")
    rows = rows.take(order)
    values, starts = np.unique(hours[order], return_index=True)
    ends = np.append(starts, len(order))[1:]
    for hour, start, end in zip(values, starts, ends, strict=True):
        yield pd.Timestamp(int(hour), unit="h"), rows.slice(start, end - start)


def _merge_rows(stored: pa.Table, new: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Return the rows of both tables, sorted by key; new rows replace stored ones."""
    combined = pa.concat_tables([stored, new], promote_options="permissive")
    numbered = combined.select(keys).append_column("row", pa.array(range(len(combined))))
    kept = numbered.group_by(keys).aggregate([("row", "max")])["row_max"]
    names = dict.fromkeys([*new.column_names, *stored.column_names])
    merged = combined.take(kept).sort_by([(name, "ascending") for name in keys])
    return merged.select(list(names))


def _to_parquet(table: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    # Combined, so that the bytes do not depend on the chunks.
    pq.write_table(table.combine_chunks(), buffer, compression="zstd", write_page_checksum=True)
    content: bytes = buffer.getvalue().to_pybytes()
    return content
