"""Predictions of repeated runs: one Parquet file per hour, rows replaced by key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from kedro.io.core import DatasetError
from tqdm import tqdm

from quartet.compat import TablePreview
from quartet.datasets.file import FileDataset
from quartet.datasets.keyed_rows import from_parquet, merge_rows, to_keyed_table, to_parquet
from quartet.datasets.location import Location

_PARTITION = re.compile(r"date=(\d{4}-\d\d-\d\d)/hour=(\d\d)/predictions\.parquet$")
_HOUR = pd.Timedelta(hours=1)
_MILLISECONDS = 3_600_000

TimeLike = str | pd.Timestamp


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

    def read(self, start: TimeLike | None = None, end: TimeLike | None = None) -> pd.DataFrame:
        """Return the rows of a time range, sorted by hour, then by key.

        Args:
            start: Exclusive start, as windows are labelled by their end; by default the first
                row. Times without zone are UTC.
            end: Inclusive end; by default the last row.

        Returns:
            The saved columns, with the time column as `datetime64[s]`, UTC without time zone;
            only the keys if there are no files.

        Raises:
            DatasetError: A file is damaged.
        """
        first, last = _to_utc(start), _to_utc(end)
        hours = [
            hour
            for hour in self.partitions()
            if (first is None or hour + _HOUR > first) and (last is None or hour <= last)
        ]
        frame = self._concatenate([self.read_hour(hour) for hour in hours])
        times = frame[self.time_column]
        is_in_range = pd.Series(True, index=frame.index)
        if first is not None:
            is_in_range &= times > first
        if last is not None:
            is_in_range &= times <= last
        return frame[is_in_range].reset_index(drop=True)

    def read_latest(self, rows: int) -> pd.DataFrame:
        """Return the latest rows, at most `rows`, the latest first."""
        tables: list[pa.Table] = []
        for hour in reversed(self.partitions()):
            tables.append(self.read_hour(hour))
            if sum(table.num_rows for table in tables) >= rows:
                break
        frame = self._concatenate(tables)
        return frame.sort_values(self.time_column, ascending=False, kind="stable").head(rows)

    def read_hour(self, hour: pd.Timestamp) -> pa.Table:
        """Return the rows of one hour, sorted by key.

        Raises:
            DatasetError: The file is damaged, or contains other predictions.
        """
        location = self.locate_hour(hour)
        try:
            table = from_parquet(location.read())
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(
                f"{location.path}: cannot be read ({error}); restore the file, or move it away and "
                "rerun the predictions of its hour"
            ) from error
        if missing := [name for name in self.keys if name not in table.column_names]:
            raise DatasetError(
                f"{location.path}: column {', '.join(missing)} is missing, so it contains other "
                "predictions; move it away"
            )
        return table

    def locate_hour(self, hour: pd.Timestamp) -> Location:
        """Return the location of the file of an hour, which need not exist."""
        folder = self.location.path.rstrip("/")
        path = f"{folder}/date={hour:%Y-%m-%d}/hour={hour:%H}/predictions.parquet"
        return replace(self.location, path=path)

    def _concatenate(self, tables: list[pa.Table]) -> pd.DataFrame:
        """Concatenate the rows of several hours."""
        if not tables:
            frame = pd.DataFrame(columns=list(self.keys))
        else:
            try:
                frame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
            except pa.ArrowException as error:
                raise DatasetError(
                    f"{self.location.path}: hours have columns of incompatible types ({error}); "
                    "read them one by one"
                ) from error
        return frame.astype({self.time_column: "datetime64[s]"})


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
        rows = to_keyed_table(data, folder.keys, folder.time_column, self._location.path)
        hours = list(_split_by_hour(rows, folder.time_column))
        stored = set(folder.partitions())
        for hour, new in hours:
            if hour in stored:
                self._read_compatible(hour, new)
        for hour, new in tqdm(hours, desc="saving predictions", unit="hour", disable=None, delay=2):
            merged = new
            if hour in stored:  # read again, to keep only one hour in memory
                merged = merge_rows(self._read_compatible(hour, new), new, folder.keys)
            folder.locate_hour(hour).write(to_parquet(merged))

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the latest rows for Kedro-Viz."""
        latest = self._predictions.read_latest(nrows)
        rows = [
            [None if pd.isna(value) else _to_json(value) for value in row]
            for row in latest.itertuples(index=False)
        ]
        names = list(latest)
        return TablePreview({"index": list(range(len(rows))), "columns": names, "data": rows})

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

    def _describe(self) -> dict[str, Any]:
        keys, time_column = self._predictions.keys, self._predictions.time_column
        return {**super()._describe(), "keys": keys, "time_column": time_column}


def _split_by_hour(rows: pa.Table, time_column: str) -> Iterator[tuple[pd.Timestamp, pa.Table]]:
    """Yield each hour with its rows, in their order."""
    milliseconds = rows.column(time_column).cast(pa.int64()).to_numpy()
    hours = milliseconds // _MILLISECONDS
    order = np.argsort(hours, kind="stable")
    rows = rows.take(order)
    values, starts = np.unique(hours[order], return_index=True)
    ends = np.append(starts, len(order))[1:]
    for hour, start, end in zip(values, starts, ends, strict=True):
        yield pd.Timestamp(int(hour), unit="h"), rows.slice(start, end - start)


def _to_utc(value: TimeLike | None) -> pd.Timestamp | None:
    """Return the time in UTC, without time zone."""
    if value is None:
        return None
    time = pd.Timestamp(value)
    return time.tz_convert(None) if time.tzinfo else time


def _to_json(value: Any) -> Any:
    """Convert a value to a JSON type."""
    if isinstance(value, pd.Timestamp):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value
