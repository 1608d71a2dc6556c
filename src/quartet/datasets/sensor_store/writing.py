"""Checking and writing a batch of windows, and the anomalies among scored ones."""

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
    VALUES_A_STATEMENT,
    Keys,
    delete_windows,
    insert_rows,
)
from quartet.datasets.sensor_store.schema import (
    BODY_LENGTH,
    FILE_NAME_LENGTH,
    KEY_LENGTH,
    NAME_LENGTH,
    REASON_LENGTH,
    STATISTICS,
    VERSION_LENGTH,
    anomalies,
    files,
    key_of,
    quarantine,
    windows,
)
from quartet.datasets.sensor_store.sensor_ids import Pair, SensorIds

_KEYS = ["device", "sensor", "window_end"]


class WindowBatch(Protocol):
    """What one transaction writes; `quartet.sensors.batch.Batch` is one."""

    @property
    def windows(self) -> pd.DataFrame:
        """device, sensor, window_end (datetime64[s], UTC), readings, mean, standard_deviation,
        minimum, maximum, last_value; they replace those of the same device, sensor and end.
        """

    @property
    def empty_windows(self) -> pd.DataFrame:
        """device, sensor, window_end of windows to remove, with what scoring said of them."""

    @property
    def files(self) -> Sequence[Any]:
        """Entries with name, version, readings, duplicates, quarantined, state, reason, batch_key.

        An entry replaces what the ledger says of its file.
        """

    @property
    def quarantine(self) -> Sequence[Any]:
        """Faults with file, position, reason, body; they replace those of all of `files`."""

    @property
    def watermark(self) -> pd.Timestamp | None:
        """End of the last closed window, UTC; None while there is none. It never goes back."""

    @property
    def window_seconds(self) -> int | None:
        """Length of the windows; the same for all that a database holds."""

    @property
    def claim(self) -> str | None:
        """Token of the run's claim on ingestion, which is renewed with the batch.

        A run that has lost it writes nothing. Without one, anybody may write.
        """


def check_batch(batch: WindowBatch) -> None:
    """Check a batch before the database is touched.

    Raises:
        ValueError: It is inconsistent; says where.
    """
    _check_windows(batch.windows, STATISTICS)
    _check_windows(batch.empty_windows, ())
    for entry in batch.files:
        _check_name(entry.name, "file", FILE_NAME_LENGTH)
        _check_name(entry.version, "version of a file", VERSION_LENGTH)
    named = {entry.name for entry in batch.files}
    if strangers := [fault.file for fault in batch.quarantine if fault.file not in named]:
        raise ValueError(f"the batch has faults of {strangers[0]}, but not the file itself")


def write_batch(
    connection: Connection, batch: WindowBatch, ids: SensorIds, revision: int, now: datetime
) -> None:
    """Put all rows of a batch in the place of those with the same keys.

    Raises:
        ValueError: A window to remove is of a sensor that is not in the database.
    """
    if len(batch.empty_windows):
        keys = _known_keys(batch.empty_windows, ids.load(connection))
        for table in (windows, anomalies):
            delete_windows(connection, table, keys)
    if len(batch.windows):
        keys = _window_keys(batch.windows, ids.add(connection, _pairs(batch.windows)))
        delete_windows(connection, windows, keys)
        counted = {"readings": batch.windows["readings"].to_numpy(np.int64)}
        _insert(connection, windows, keys, batch.windows, STATISTICS, counted, revision)
    entries = {key_of(entry.name): entry for entry in batch.files}
    _delete_files(connection, list(entries))
    if entries:
        insert_rows(connection, files, _file_columns(entries, revision, now))
    if batch.quarantine:
        insert_rows(connection, quarantine, _fault_columns(batch.quarantine))


def write_anomalies(
    connection: Connection, ids: Mapping[Pair, int], scored: pd.DataFrame, found: pd.DataFrame
) -> None:
    """Replace the anomalies among the scored windows.

    Raises:
        ValueError: An anomaly is not among the scored, or a sensor is not in the database.
    """
    _check_windows(scored, ())
    _check_windows(found, ("score", "threshold"))
    if len(found) and not len(scored):
        raise ValueError("there are anomalies among no scored windows")
    keys = _known_keys(scored, ids)
    delete_windows(connection, anomalies, keys)
    anomalous = _known_keys(found, ids)
    if not np.isin(anomalous.packed, keys.packed).all():
        raise ValueError("there is an anomaly that is not among the scored windows")
    if len(found):
        versions = {"model_version": found["model_version"].astype(str).to_numpy(object)}
        revision = found["revision"].to_numpy(np.int64)
        statistics = ("score", "threshold")
        _insert(connection, anomalies, anomalous, found, statistics, versions, revision)


def _insert(
    connection: Connection,
    table: Table,
    keys: Keys,
    rows: pd.DataFrame,
    numbers: Sequence[str],
    others: Mapping[str, NDArray[Any]],
    revision: int | NDArray[np.int64],
) -> None:
    """Add rows of a table that is keyed by window, in its own order: they then go to its end."""
    order = np.argsort(keys.packed)
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
        for start in range(0, len(keys), VALUES_A_STATEMENT):
            part = keys[start : start + VALUES_A_STATEMENT]
            connection.execute(delete(table).where(table.c.file_key.in_(part)))


def _file_columns(entries: Mapping[str, Any], revision: int, now: datetime) -> dict[str, list[Any]]:
    """Return the ledger's entries by key as columns for the database."""
    given = ("name", "version", "state", "readings", "duplicates", "quarantined")
    columns = {name: [getattr(entry, name) for entry in entries.values()] for name in given}
    return {
        "file_key": list(entries),
        **columns,
        "reason": [_text(entry.reason, REASON_LENGTH) for entry in entries.values()],
        "batch_key": [_text(entry.batch_key, KEY_LENGTH) for entry in entries.values()],
        "revision": [revision] * len(entries),
        "ingested_at": [now] * len(entries),
    }


def _fault_columns(faults: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the faults as columns for the database, numbered within each file of the batch."""
    names = pd.Series([fault.file for fault in faults])
    return {
        "file_key": names.map(key_of).tolist(),
        "number": names.groupby(names, sort=False).cumcount().tolist(),
        "position": [fault.position for fault in faults],
        "reason": [_text(fault.reason, REASON_LENGTH) or "" for fault in faults],
        "body": [_text(fault.body, BODY_LENGTH) for fault in faults],
    }


def _check_windows(table: pd.DataFrame, numbers: Sequence[str]) -> None:
    """Check that rows are told apart by valid names, and that numbers are finite.

    Databases differ in what they make of other numbers.
    """
    if not len(table):
        return
    for column in ("device", "sensor"):
        for name in table[column].unique():
            _check_name(name, "device or sensor", NAME_LENGTH)
    if table.duplicated(_KEYS).any():
        raise ValueError("two windows have the same device, sensor and end")
    finite = np.isfinite(table[list(numbers)].to_numpy(np.float64)).all(axis=1)
    if not finite.all():
        row = table.iloc[int(np.argmin(finite))]
        raise ValueError(
            f"the window of device {row['device']!r}, sensor {row['sensor']!r} that ends "
            f"{row['window_end']} has a number that is not finite"
        )


def _pairs(table: pd.DataFrame) -> Iterable[Pair]:
    distinct = table[["device", "sensor"]].drop_duplicates()
    return distinct.itertuples(index=False, name=None)


def _known_keys(table: pd.DataFrame, ids: Mapping[Pair, int]) -> Keys:
    """Return the keys of windows that the database has, or had.

    Raises:
        ValueError: It has never had a window of the sensor.
    """
    if not len(table):
        return Keys(np.empty(0, np.int64), np.empty(0, "datetime64[s]"))
    if strangers := [pair for pair in _pairs(table) if pair not in ids]:
        raise ValueError(f"sensor {strangers[0]} has no windows in the database")
    return _window_keys(table, ids)


def _window_keys(table: pd.DataFrame, ids: Mapping[Pair, int]) -> Keys:
    """Return the keys of windows, given the number of each sensor in the database."""
    devices, device_names = pd.factorize(table["device"])
    sensors, sensor_names = pd.factorize(table["sensor"])
    met, place = np.unique(devices * len(sensor_names) + sensors, return_inverse=True)
    pairs = (divmod(number, len(sensor_names)) for number in met.tolist())
    number = np.array([ids[device_names[d], sensor_names[s]] for d, s in pairs], np.int64)
    ends = table["window_end"]
    if isinstance(ends.dtype, pd.DatetimeTZDtype):
        ends = ends.dt.tz_convert("UTC").dt.tz_localize(None)
    return Keys(number[place], ends.to_numpy("datetime64[s]"))


def _check_name(name: Any, what: str, length: int) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"the name of a {what} must be a text that is not empty, not {name!r}")
    try:
        units = len(name.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        raise ValueError(f"the name of a {what} is no valid text: {name!r}") from None
    if units > length:
        raise ValueError(f"the name of a {what} is longer than {length} characters: {name[:60]}…")


def _text(value: Any, length: int) -> str | None:
    """Return any text, storable and cut to a length in UTF-16 units; None of None."""
    if value is None:
        return None
    whole = str(value).encode("utf-8", "backslashreplace").decode()
    return whole.encode("utf-16-le")[: 2 * length].decode("utf-16-le", "ignore")
