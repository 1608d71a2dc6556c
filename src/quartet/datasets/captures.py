"""Where readings of sensors come from: a folder of capture files, or a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from kedro.io.core import AbstractDataset, DatasetError

from quartet.datasets.location import Location
from quartet.datasets.sensor_store.reading_table import ReadingTable, TablePart, file_version

_TIME = re.compile(r"(?:^|/)(\d{4})/(\d{1,2})/(\d{1,2})/(\d{1,2})/(\d{1,2})/(\d{1,2})\.avro$")
_LAST = (9999,)


@dataclass(frozen=True)
class CaptureFile:
    """A file, not read yet.

    Attributes:
        name: Its path below the folder.
        version: Another text whenever the file has changed.
        size: Bytes.
    """

    name: str
    version: str
    size: int


@dataclass(frozen=True)
class SensorSource:
    """Readings that have come in. The handle can be sent to other processes.

    Attributes:
        folder: Below it lie files of Event Hubs Capture.
        table: A table to take instead of the folder.
    """

    folder: Location
    table: ReadingTable | None = None

    def files(self) -> list[CaptureFile]:
        """Return all capture files, by the time in their path; those without one come last.

        Raises:
            DatasetError: There is no such folder.
        """
        self.check_exists()
        filesystem, folder = self.folder.filesystem, self.folder.path
        found = filesystem.find(folder, detail=True)
        files = [
            CaptureFile(path[len(folder) + 1 :], file_version(facts), int(facts["size"]))
            for path, facts in found.items()
            if path.endswith(".avro")
        ]
        return sorted(files, key=_by_time)

    def check_exists(self) -> None:
        """Raise where there is nothing to read.

        Raises:
            DatasetError: There is no such folder, or no such table.
        """
        if self.table is not None:
            self.table.check_exists()
            return
        filesystem, folder = self.folder.filesystem, self.folder.path
        filesystem.invalidate_cache()
        if not filesystem.isdir(folder):
            raise DatasetError(
                f"{folder}: no such folder; name the one that Event Hubs Capture writes to by "
                "--params sensor_captures=FOLDER, or a table by --params sensor_table=FILE"
            )

    def read(self, name: str) -> bytes:
        """Return the content of one of the files.

        Raises:
            FileNotFoundError: It is there no more.
        """
        return replace(self.folder, path=f"{self.folder.path}/{name}").read()

    def parts(self) -> Iterator[TablePart]:
        """Yield the rows of the table, in parts; none, if there is no table."""
        if self.table is not None:
            yield from self.table.parts()


def _absolute(location: Location) -> Location:
    """Return the same place, as the file system itself writes it when it lists files."""
    return replace(location, path=location.listed_path)


def _by_time(file: CaptureFile) -> tuple[tuple[int, ...], str]:
    """Return the window of time that the path names; then namespace, hub and partition."""
    found = _TIME.search(file.name)
    return (tuple(map(int, found.groups())) if found else _LAST), file.name


class SensorSourceDataset(AbstractDataset[Any, SensorSource]):
    """Hands a node the files of Event Hubs Capture below a folder, or a table of readings.

    Capture names a file by hub, partition and time, such as
    `plant/telemetry/0/2026/03/02/09/05/00.avro`. A table has the columns TS, Device, Sensor
    and Value, and is a CSV file, packed with gzip or not, or a Parquet file.

    ```yaml
    sensor_source:
      type: quartet.datasets.captures.SensorSourceDataset
      filepath: data/01_raw/sensors/captures
      table: ${runtime_params:sensor_table,null}
    ```
    """

    def __init__(
        self,
        *,
        filepath: str,
        table: str | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe where the readings are.

        Args:
            filepath: Folder of capture files; a local path or any fsspec URL.
            table: A CSV or Parquet file to take instead; likewise.
            credentials: Passed to the fsspec file system.
            fs_args: Passed to the fsspec file system.
            metadata: Ignored here; read by plugins.
        """
        self._folder = _absolute(Location.from_filepath(filepath, credentials, fs_args))
        named = _absolute(Location.from_filepath(table, credentials, fs_args)) if table else None
        self._table = ReadingTable(named) if named else None
        # By these names hooks ask any file of the catalog where it is.
        self._filepath = PurePosixPath((named or self._folder).path)
        self._protocol = (named or self._folder).protocol
        self.metadata = metadata

    def load(self) -> SensorSource:
        """Return the handle; nothing is read before it is asked for.

        Raises:
            DatasetError: There is no such folder, or no such table.
        """
        source = SensorSource(self._folder, self._table)
        source.check_exists()
        return source

    def save(self, data: Any) -> None:
        """Refuse: readings come from outside."""
        raise DatasetError(f"{self._folder.path}: readings are an input, never an output")

    def _exists(self) -> bool:
        return self._folder.exists() if self._table is None else self._table.location.exists()

    def _describe(self) -> dict[str, Any]:
        table = self._table.location.path if self._table else None
        return {"filepath": self._folder.path, "table": table}
