"""Predictions that are made again and again: Parquet files by the hour, rows replaced by key."""

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
from quartet.datasets.keyed_rows import from_parquet, keyed_rows, merge_rows, to_parquet
from quartet.datasets.location import Location

_PLACE = re.compile(r"date=(\d{4}-\d\d-\d\d)/hour=(\d\d)/predictions\.parquet$")
_HOUR = pd.Timedelta(hours=1)
_MILLISECONDS = 3_600_000

Moment = str | pd.Timestamp


@dataclass(frozen=True)
class Predictions:
    """What a folder of predictions holds; nothing is listed or read before it is asked for.

    Attributes:
        location: The folder, which need not exist yet.
        keys: The columns that tell one row from all others.
        time_column: The one of them whose hour tells the file of a row.
    """

    location: Location
    keys: tuple[str, ...]
    time_column: str

    def partitions(self) -> list[pd.Timestamp]:
        """Starts of the hours that have a file, ascending; UTC, without zone."""
        self.location.filesystem.invalidate_cache()
        paths = self.location.filesystem.find(self.location.path)
        found = (_PLACE.search(path) for path in paths)
        return sorted(pd.Timestamp(f"{place[1]} {place[2]}:00") for place in found if place)

    def read(self, start: Moment | None = None, end: Moment | None = None) -> pd.DataFrame:
        """Rows in the order of their hour, and within it of their keys.

        Args:
            start: Rows after this time, exclusive, as a window is named by its end. A time
                without zone is UTC. Without it, from the first row on.
            end: Rows up to this time, inclusive. Without it, up to the last row.

        Returns:
            The columns as they were saved, the time column as `datetime64[s]`, UTC without
            zone; the keys alone where no hour has a file.

        Raises:
            DatasetError: A file that is wanted is damaged.
        """
        first, last = _utc(start), _utc(end)
        hours = [
            hour
            for hour in self.partitions()
            if (first is None or hour + _HOUR > first) and (last is None or hour <= last)
        ]
        frame = self._frame([self.read_hour(hour) for hour in hours])
        times = frame[self.time_column]
        wanted = pd.Series(True, index=frame.index)
        if first is not None:
            wanted &= times > first
        if last is not None:
            wanted &= times <= last
        return frame[wanted].reset_index(drop=True)

    def read_latest(self, rows: int) -> pd.DataFrame:
        """The last so many rows, the latest first; fewer where there are not so many."""
        tables: list[pa.Table] = []
        for hour in reversed(self.partitions()):
            tables.append(self.read_hour(hour))
            if sum(table.num_rows for table in tables) >= rows:
                break
        frame = self._frame(tables)
        return frame.sort_values(self.time_column, ascending=False, kind="stable").head(rows)

    def read_hour(self, hour: pd.Timestamp) -> pa.Table:
        """The rows of one hour, ascending by key.

        Raises:
            DatasetError: The file is damaged, or one of another kind.
        """
        place = self.locate_hour(hour)
        try:
            table = from_parquet(place.read())
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(
                f"{place.path}: cannot be read ({error}); bring the file back, or move it away "
                "and make the predictions of its hour again"
            ) from error
        if missing := [name for name in self.keys if name not in table.column_names]:
            raise DatasetError(
                f"{place.path}: has no column {', '.join(missing)}, so it holds other predictions; "
                "move it away"
            )
        return table

    def locate_hour(self, hour: pd.Timestamp) -> Location:
        """Where the file of an hour is, or would be."""
        folder = self.location.path.rstrip("/")
        path = f"{folder}/date={hour:%Y-%m-%d}/hour={hour:%H}/predictions.parquet"
        return replace(self.location, path=path)

    def _frame(self, tables: list[pa.Table]) -> pd.DataFrame:
        """The rows of several hours."""
        if not tables:
            frame = pd.DataFrame(columns=list(self.keys))
        else:
            try:
                frame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
            except pa.ArrowException as error:
                raise DatasetError(
                    f"{self.location.path}: its hours cannot be read together ({error}); read "
                    "them one by one"
                ) from error
        return frame.astype({self.time_column: "datetime64[s]"})


class PartitionedPredictionsDataset(FileDataset[pd.DataFrame, Predictions]):
    """Saves rows into `date=YYYY-MM-DD/hour=HH/predictions.parquet`, replacing those of like keys.

    The hour is that of the time column, in UTC. Each file is replaced as a whole, once all
    files that a save touches were found sound. So a save that was interrupted, or made
    twice, is put right by making it again: no row is lost, and none is there twice. One
    process saves at a time.

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
        """Describe the folder.

        Args:
            filepath: Local folder or any fsspec URL.
            keys: The columns that tell one row from all others.
            time_column: One of them, of whole seconds; its hour tells the file of a row.
            options: `credentials`, `fs_args` and `metadata`, as for any file.

        Raises:
            ValueError: The time column is none of the keys, so that a row could be in two files.
        """
        if time_column not in keys:
            raise ValueError(f"{filepath}: time_column {time_column} is none of the keys {keys}")
        super().__init__(filepath=filepath, **options)
        self._predictions = Predictions(self._location, tuple(keys), time_column)

    def load(self) -> Predictions:
        """Return the handle; the folder need not exist yet."""
        return self._predictions

    def save(self, data: pd.DataFrame) -> None:
        """Add rows to those there, in the place of any with the same keys.

        A file holds its rows ascending by key, and the same rows give the same bytes. A
        column that only some of an hour's rows have is missing in the others.

        Raises:
            ValueError: A key is missing, a time is not in whole seconds, or two rows have
                the same keys.
            DatasetError: A file that would be replaced is damaged, or its columns hold
                something else. No file has been replaced then.
        """
        kind = self._predictions
        rows = keyed_rows(data, kind.keys, kind.time_column, self._location.path)
        hours = list(_by_hour(rows, kind.time_column))
        there = set(kind.partitions())
        for hour, new in hours:
            if hour in there:
                self._fitting(hour, new)
        hourly = tqdm(hours, desc="saving predictions", unit="hour", disable=None, delay=2)
        for hour, new in hourly:
            # Read again, as to keep all hours of a long time would take any memory.
            merged = merge_rows(self._fitting(hour, new), new, kind.keys) if hour in there else new
            kind.locate_hour(hour).write(to_parquet(merged))

    def preview(self, nrows: int = 5) -> TablePreview:
        """The latest rows, as Kedro-Viz shows a table."""
        latest = self._predictions.read_latest(nrows)
        rows = [
            [None if pd.isna(value) else _shown(value) for value in row]
            for row in latest.itertuples(index=False)
        ]
        names = list(latest)
        return TablePreview({"index": list(range(len(rows))), "columns": names, "data": rows})

    def _fitting(self, hour: pd.Timestamp, new: pa.Table) -> pa.Table:
        """The rows there, which the new ones can join.

        Raises:
            DatasetError: The file is damaged, or its columns hold something else.
        """
        there = self._predictions.read_hour(hour)
        try:
            pa.unify_schemas([there.schema, new.schema], promote_options="permissive")
        except pa.ArrowException as error:
            raise DatasetError(
                f"{self._predictions.locate_hour(hour).path}: its columns have other types than "
                f"those of the new rows ({error}); move the file away, or save rows of its types"
            ) from error
        return there

    def _exists(self) -> bool:
        return bool(self._predictions.partitions())

    def _describe(self) -> dict[str, Any]:
        keys, time_column = self._predictions.keys, self._predictions.time_column
        return {**super()._describe(), "keys": keys, "time_column": time_column}


def _by_hour(rows: pa.Table, time_column: str) -> Iterator[tuple[pd.Timestamp, pa.Table]]:
    """Each hour with its rows, which keep their order."""
    milliseconds = rows.column(time_column).cast(pa.int64()).to_numpy()
    hours = milliseconds // _MILLISECONDS
    order = np.argsort(hours, kind="stable")
    rows = rows.take(order)
    found, starts = np.unique(hours[order], return_index=True)
    ends = np.append(starts, len(order))[1:]
    for hour, start, end in zip(found, starts, ends, strict=True):
        yield pd.Timestamp(int(hour), unit="h"), rows.slice(start, end - start)


def _utc(moment: Moment | None) -> pd.Timestamp | None:
    """A time without zone, in UTC."""
    if moment is None:
        return None
    time = pd.Timestamp(moment)
    return time.tz_convert(None) if time.tzinfo else time


def _shown(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, pd.Timestamp):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value
