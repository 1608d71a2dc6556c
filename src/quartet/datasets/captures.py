"""Sources of sensor readings: a folder of capture files, or a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from kedro.io.core import DatasetError

from quartet.datasets.columns import parse_options
from quartet.datasets.file import InputDataset
from quartet.datasets.location import Location
from quartet.datasets.sensor_store.reading_table import ReadingTable, TablePart, file_version
from quartet.datasets.sensor_store.sensor_columns import COLUMNS_PARAMETER, SensorColumns

_PATH_TIME = re.compile(r"(?:^|/)(\d{4})/(\d{1,2})/(\d{1,2})/(\d{1,2})/(\d{1,2})/(\d{1,2})\.avro$")
_AFTER_ALL_TIMES = (9999,)


@dataclass(frozen=True)
class CaptureFile:
    """A capture file in a listing.

    Attributes:
        name: Path relative to the folder.
        version: Text that changes with the file's content.
        size: Size in bytes.
    """

    name: str
    version: str
    size: int


@dataclass(frozen=True)
class SensorSource:
    """A picklable handle of sensor readings.

    Attributes:
        folder: Folder of Event Hubs Capture files.
        table: Table of readings, if any; the folder need not exist then.
    """

    folder: Location
    table: ReadingTable | None = None

    def files(self) -> list[CaptureFile]:
        """Return all capture files, sorted by the time in their path; files without time last.

        Raises:
            DatasetError: The folder does not exist.
        """
        self.check_exists()
        filesystem, folder = self.folder.filesystem, self.folder.path
        found = filesystem.find(folder, detail=True)
        files = [
            CaptureFile(path[len(folder) + 1 :], file_version(info), int(info["size"]))
            for path, info in found.items()
            if path.endswith(".avro")
        ]
        return sorted(files, key=_sort_key)

    def check_exists(self) -> None:
        """Check that there is something to read.

        Raises:
            DatasetError: The folder or the table does not exist.
        """
        if self.table is not None:
            self.table.check_exists()
            return
        filesystem, folder = self.folder.filesystem, self.folder.path
        filesystem.invalidate_cache()
        if not filesystem.isdir(folder):
            raise DatasetError(
                f"{folder}: no such folder; set the folder of Event Hubs Capture with "
                "--params sensor_captures=FOLDER, or a table with --params sensor_table=FILE"
            )

    def read(self, name: str) -> bytes:
        """Return the content of a capture file.

        Raises:
            FileNotFoundError: The file was deleted after it was listed.
        """
        return self.folder.join(name).read()

    def parts(self) -> Iterator[TablePart]:
        """Yield the table in parts; nothing if there is no table."""
        if self.table is not None:
            yield from self.table.parts()


def _absolute(location: Location) -> Location:
    """Return the location with the path that the file system uses in listings."""
    return replace(location, path=location.listed_path)


def _sort_key(file: CaptureFile) -> tuple[tuple[int, ...], str]:
    """Return the time in the path, then the path."""
    match = _PATH_TIME.search(file.name)
    return (tuple(map(int, match.groups())) if match else _AFTER_ALL_TIMES), file.name


class SensorSourceDataset(InputDataset[SensorSource]):
    """Provides the Event Hubs Capture files of a folder, or a table of readings.

    Capture names a file by hub, partition and time, such as
    `plant/telemetry/0/2026/03/02/09/05/00.avro`. A table is a delimited file, optionally
    compressed with gzip, or a Parquet file. `columns` are the fields of `SensorColumns`: names of
    columns that are not TS, Device, Sensor and Value, and formats that cannot be detected.

    ```yaml
    sensor_source:
      type: quartet.datasets.captures.SensorSourceDataset
      filepath: data/01_raw/sensors/captures
      table: data/01_raw/readings.csv
      columns: {time: timestamp, device: machine}
    ```
    """

    def __init__(
        self,
        *,
        filepath: str,
        table: str | None = None,
        columns: dict[str, Any] | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Configure the dataset.

        Args:
            filepath: Folder of capture files; local path or any fsspec URL.
            table: A delimited or Parquet file to read instead; local path or any fsspec URL.
            columns: Columns and formats of the table; None for the defaults.
            credentials: Passed to the fsspec file systems of both.
            fs_args: Passed to the fsspec file systems of both.
            options: `metadata`, as for any file.

        Raises:
            DatasetError: One of `columns` does not exist, or is invalid.
        """
        access = {"credentials": credentials, "fs_args": fs_args}
        super().__init__(filepath=table or filepath, **access, **options)
        self._columns = parse_options(SensorColumns, columns, COLUMNS_PARAMETER)
        self._folder = _absolute(Location.from_filepath(filepath, **access))
        self._location = _absolute(self._location)
        self._filepath = PurePosixPath(self._location.path)
        self._table = ReadingTable(self._location, columns=self._columns) if table else None

    def load(self) -> SensorSource:
        """Return the handle; files are read on demand.

        Raises:
            DatasetError: The folder or the table does not exist.
        """
        source = SensorSource(self._folder, self._table)
        source.check_exists()
        return source

    def check_at_start(self) -> None:
        """Check the folder, or the columns of the table, before the run begins.

        Raises:
            DatasetError: The folder or the table does not exist, the table cannot be read, or
                there is none but its columns are set.
        """
        self.load()
        if self._table is not None:
            self._table.check_columns()
        elif self._columns != SensorColumns():
            raise DatasetError(
                f"{COLUMNS_PARAMETER}: describes the columns of a table, but capture files are "
                "read; set --params sensor_table=FILE"
            )
