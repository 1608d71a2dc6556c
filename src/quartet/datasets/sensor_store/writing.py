"""Validation and writing of batches of windows, and of anomalies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Table, delete
from sqlalchemy.engine import Connection

from quartet.datasets.sensor_store.rows import (
    VALUES_PER_STATEMENT,
    Keys,
    checksum_rows,
    delete_windows,
    insert_rows,
)
from quartet.datasets.sensor_store.schema import (
    BODY_LENGTH,
    FILE_NAME_LENGTH,
    KEY_LENGTH,
    NAME_LENGTH,
    REASON_LENGTH,
    SENSOR_NAMES_LENGTH,
    STATISTICS,
    VERSION_LENGTH,
    anomalies,
    device_alarms,
    files,
    hash_names,
    quarantine,
    windows,
)
from quartet.datasets.sensor_store.sensor_ids import Pair, SensorIds

_KEYS = ["device", "sensor", "window_end"]


class WindowBatch(Protocol):
    """The content of one transaction; `quartet.sensors.batch.Batch` describes the attributes."""

    @property
    def windows(self) -> pd.DataFrame:
        """Windows: device, sensor, window_end, readings, and the columns `STATISTICS`."""

    @property
    def empty_windows(self) -> pd.DataFrame:
        """device, sensor, window_end of windows to remove, with their anomalies."""

    @property
    def files(self) -> Sequence[Any]:
        """Ledger entries, which replace those of the same files."""

    @property
    def quarantine(self) -> Sequence[Any]:
        """Quarantined readings with file, position, reason, body; replace those of all `files`."""

    @property
    def watermark(self) -> pd.Timestamp | None:
        """End of the last closed window, UTC; None before the first. It never decreases."""

    @property
    def window_seconds(self) -> int | None:
        """Length of the windows, the same for all windows in a database."""

    @property
    def claim(self) -> str | None:
        """Token of the run's claim on ingestion, which is checked and renewed with the batch."""


def check_batch(batch: WindowBatch) -> None:
    """Check a batch before it is written.

    Raises:
        ValueError: The batch is inconsistent.
    """
    _check_windows(batch.windows, STATISTICS)
    _check_windows(batch.empty_windows, ())
    for entry in batch.files:
        _check_name(entry.name, "file", FILE_NAME_LENGTH)
        _check_name(entry.version, "version of a file", VERSION_LENGTH)
    named = {entry.name for entry in batch.files}
    if missing := [fault.file for fault in batch.quarantine if fault.file not in named]:
        raise ValueError(f"the batch quarantines readings of {missing[0]}, which is not in `files`")


def write_batch(
    connection: Connection, batch: WindowBatch, ids: SensorIds, revision: int, now: datetime
) -> None:
    """Write all rows of a batch, replacing those with the same keys.

    Raises:
        ValueError: The sensor of a window to remove is not in the database.
    """
    if len(batch.empty_windows):
        keys = _known_keys(batch.empty_windows, ids.load(connection))
        for table in (windows, anomalies, device_alarms):
            delete_windows(connection, table, keys)
    if len(batch.windows):
        keys = _window_keys(batch.windows, ids.add(connection, _pairs(batch.windows)))
        delete_windows(connection, windows, keys)
        counted = {"readings": batch.windows["readings"].to_numpy(np.int64)}
        values = [batch.windows[name].to_numpy(np.float64) for name in STATISTICS]
        revisions = np.full(len(batch.windows), revision)
        counted["checksum"] = checksum_rows(
            [keys.end, keys.sensor, counted["readings"], *values, revisions]
        )
        _insert(connection, windows, keys, batch.windows, STATISTICS, counted, revision)
    entries = {hash_names(entry.name): entry for entry in batch.files}
    _delete_files(connection, list(entries))
    if entries:
        insert_rows(connection, files, _file_columns(entries, revision, now))
    if batch.quarantine:
        insert_rows(connection, quarantine, _fault_columns(batch.quarantine))


def write_anomalies(
    connection: Connection,
    ids: Mapping[Pair, int],
    scored: pd.DataFrame,
    found: pd.DataFrame,
    alarms: pd.DataFrame | None,
) -> None:
    """Replace the anomalies among the scored windows, and the alarms of devices in them.

    An alarm belongs to the window of the device's most unusual sensor.

    Raises:
        ValueError: An anomaly or alarm is not of a scored window, or a sensor is not in the
            database.
    """
    versions = {"model_version": found["model_version"].astype(str).to_numpy(object)}
    _replace(connection, anomalies, ids, scored, found, versions)
    if alarms is not None:
        others = {
            "event_start": alarms["event_start"].to_numpy("datetime64[s]"),
            "sensors": np.array([text[:SENSOR_NAMES_LENGTH] for text in alarms["sensors"]], object),
        }
        _replace(connection, device_alarms, ids, scored, alarms, others)


def _replace(
    connection: Connection,
    table: Table,
    ids: Mapping[Pair, int],
    scored: pd.DataFrame,
    found: pd.DataFrame,
    others: Mapping[str, NDArray[Any]],
) -> None:
    """Replace the rows of scored windows in a table by those of anomalies or alarms in `found`.

    `others` are further columns by name, each (n,), of the n rows of `found`.
    """
    _check_windows(found, ("score", "threshold"))
    _check_windows(scored, ())
    keys = _known_keys(scored, ids)
    delete_windows(connection, table, keys)
    anomalous = _known_keys(found, ids)
    if not np.isin(anomalous.codes, keys.codes).all():
        raise ValueError("an anomaly is not among the scored windows")
    if len(found):
        revision = found["revision"].to_numpy(np.int64)
        _insert(connection, table, anomalous, found, ("score", "threshold"), others, revision)


def _insert(
    connection: Connection,
    table: Table,
    keys: Keys,
    rows: pd.DataFrame,
    numbers: Sequence[str],
    others: Mapping[str, NDArray[Any]],
    revision: int | NDArray[np.int64],
) -> None:
    """Insert n rows of a table that is keyed by window, in its order, so that they are appended.

    Args:
        connection: A connection in a transaction.
        table: The table.
        keys: Keys of the rows, (n,).
        rows: The rows; only the columns `numbers` are read.
        numbers: Names of columns of floating-point numbers.
        others: Further columns by name, each (n,).
        revision: Revision of all rows, or of each, (n,).
    """
    order = np.argsort(keys.codes)
    columns = {
        "window_end": keys.end,
        "sensor_id": keys.sensor,
        **{name: rows[name].to_numpy(np.float64) for name in numbers},
        **others,
        "revision": np.broadcast_to(revision, len(rows)),
    }
    insert_rows(connection, table, {name: column[order] for name, column in columns.items()})


def _delete_files(connection: Connection, keys: Sequence[str]) -> None:
    for table in (quarantine, files):
        for start in range(0, len(keys), VALUES_PER_STATEMENT):
            part = keys[start : start + VALUES_PER_STATEMENT]
            connection.execute(delete(table).where(table.c.file_key.in_(part)))


def _file_columns(entries: Mapping[str, Any], revision: int, now: datetime) -> dict[str, list[Any]]:
    """Return ledger entries by key as columns of the database."""
    names = ("name", "version", "state", "readings", "duplicates", "quarantined")
    columns = {name: [getattr(entry, name) for entry in entries.values()] for name in names}
    return {
        "file_key": list(entries),
        **columns,
        "reason": [_truncate(entry.reason, REASON_LENGTH) for entry in entries.values()],
        "batch_key": [_truncate(entry.batch_key, KEY_LENGTH) for entry in entries.values()],
        "revision": [revision] * len(entries),
        "ingested_at": [now] * len(entries),
    }


def _fault_columns(faults: Sequence[Any]) -> dict[str, list[Any]]:
    """Return quarantined readings as columns of the database, numbered within each file."""
    names = pd.Series([fault.file for fault in faults])
    return {
        "file_key": names.map(hash_names).tolist(),
        "number": names.groupby(names, sort=False).cumcount().tolist(),
        "position": [fault.position for fault in faults],
        "reason": [_truncate(fault.reason, REASON_LENGTH) or "" for fault in faults],
        "body": [_truncate(fault.body, BODY_LENGTH) for fault in faults],
    }


def _check_windows(table: pd.DataFrame, numbers: Sequence[str]) -> None:
    """Check that names are valid, keys unique, and numbers finite, as not all databases do."""
    if not len(table):
        return
    for column in ("device", "sensor"):
        for name in table[column].unique():
            _check_name(name, "device or sensor", NAME_LENGTH)
    if table.duplicated(_KEYS).any():
        raise ValueError("windows are not unique: two have the same device, sensor and end")
    finite = np.isfinite(table[list(numbers)].to_numpy(np.float64)).all(axis=1)
    if not finite.all():
        row = table.iloc[int(np.argmin(finite))]
        raise ValueError(
            f"the window of device {row['device']!r}, sensor {row['sensor']!r}, ending "
            f"{row['window_end']}, has a value that is not finite"
        )


def _pairs(table: pd.DataFrame) -> Iterable[Pair]:
    distinct = table[["device", "sensor"]].drop_duplicates()
    return distinct.itertuples(index=False, name=None)


def _known_keys(table: pd.DataFrame, ids: Mapping[Pair, int]) -> Keys:
    """Return the keys of windows of sensors in the database.

    Raises:
        ValueError: A sensor is not in the database.
    """
    if not len(table):
        return Keys(np.empty(0, np.int64), np.empty(0, "datetime64[s]"))
    if unknown := [pair for pair in _pairs(table) if pair not in ids]:
        raise ValueError(f"sensor {unknown[0]} has no windows in the database")
    return _window_keys(table, ids)


def _window_keys(table: pd.DataFrame, ids: Mapping[Pair, int]) -> Keys:
    """Return the keys of windows, given the id of each sensor."""
    devices, device_names = pd.factorize(table["device"])
    sensors, sensor_names = pd.factorize(table["sensor"])
    codes, inverse = np.unique(devices * len(sensor_names) + sensors, return_inverse=True)
    pairs = (divmod(code, len(sensor_names)) for code in codes.tolist())
    sensor_ids = np.array([ids[device_names[d], sensor_names[s]] for d, s in pairs], np.int64)
    return Keys(sensor_ids[inverse], table["window_end"].to_numpy("datetime64[s]"))


def _check_name(name: Any, kind: str, length: int) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"the name of a {kind} must be a non-empty text, not {name!r}")
    try:
        units = len(name.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        raise ValueError(f"the name of a {kind} is not valid Unicode: {name!r}") from None
    if units > length:
        raise ValueError(f"the name of a {kind} is longer than {length} characters: {name[:60]}…")


def _truncate(value: Any, length: int) -> str | None:
    """Return valid Unicode text, truncated to a length in UTF-16 units; None for None."""
    if value is None:
        return None
    text = str(value).encode("utf-8", "backslashreplace").decode()
    return text.encode("utf-16-le")[: 2 * length].decode("utf-16-le", "ignore")
