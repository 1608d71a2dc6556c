"""What one ingestion batch brings, checked before the database is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quartet.datasets.sensor_store.rows import Keys
from quartet.datasets.sensor_store.schema import (
    BODY_LENGTH,
    FILE_NAME_LENGTH,
    KEY_LENGTH,
    NAME_LENGTH,
    REASON_LENGTH,
    VERSION_LENGTH,
    key_of,
)


@dataclass(frozen=True)
class WindowBatch:
    """What one transaction writes.

    Attributes:
        windows: device, sensor, window_end (datetime64[s], UTC), readings, mean,
            standard_deviation, minimum, maximum, last_value; they replace those of the same
            device, sensor and end.
        files: name, version, readings, repeats, quarantined, state, reason, and batch_key where
            its readings are stored under one; one row replaces what the ledger says of the file.
        quarantine: file, position, reason, body; they replace the faults of all of `files`.
        horizon: End of the last closed window, UTC; None while there is none. It never goes back.
        window_seconds: Length of the windows; the same for all that a database holds.
        claim: Token of the run's claim on ingestion, which is renewed with the batch: a run that
            has lost it writes nothing. Without one, anybody may write.
        emptied: device, sensor, window_end of windows to remove, with what scoring said of them.
    """

    windows: pd.DataFrame
    files: pd.DataFrame
    quarantine: pd.DataFrame
    horizon: pd.Timestamp | None
    window_seconds: int | None = None
    claim: str | None = None
    emptied: pd.DataFrame | None = None


@dataclass(frozen=True)
class Pairs:
    """Which (device, sensor) each of n rows is of.

    Attributes:
        names: The distinct ones.
        code: (n,) int64, an index into `names`.
    """

    names: list[tuple[str, str]]
    code: NDArray[np.int64]

    @classmethod
    def of(cls, table: pd.DataFrame) -> Pairs:
        """From the columns device and sensor.

        Raises:
            ValueError: A name is empty, too long, or no text.
        """
        if not len(table):
            return cls([], np.empty(0, np.int64))
        devices, device_names = pd.factorize(table["device"])
        sensors, sensor_names = pd.factorize(table["sensor"])
        packed, code = np.unique(devices * len(sensor_names) + sensors, return_inverse=True)
        for name in (*device_names, *sensor_names):
            _check_name(name, "device or sensor", NAME_LENGTH)
        if devices.min() < 0 or sensors.min() < 0:
            raise ValueError("a window lacks its device or sensor")
        pairs = (divmod(number, len(sensor_names)) for number in packed.tolist())
        return cls([(device_names[d], sensor_names[s]) for d, s in pairs], code.astype(np.int64))

    def keys(self, numbers: Mapping[tuple[str, str], int], ends: pd.Series[Any]) -> Keys:
        """The keys of the rows, given each pair's number in the database.

        Raises:
            ValueError: Two rows have the same key.
        """
        number = np.array([numbers[pair] for pair in self.names], np.int64)
        keys = Keys(number[self.code] if self.names else self.code, seconds(ends))
        packed = np.sort(keys.packed)
        if (packed[1:] == packed[:-1]).any():
            raise ValueError("two windows have the same device, sensor and end")
        return keys


def check_finite(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse numbers that are not finite: databases differ in what they make of them.

    Raises:
        ValueError: Names the first window that has one.
    """
    if not len(table):
        return
    finite = np.isfinite(table[list(columns)].to_numpy(np.float64)).all(axis=1)
    if not finite.all():
        row = table.iloc[int(np.argmin(finite))]
        raise ValueError(
            f"the window of device {row['device']!r}, sensor {row['sensor']!r} that ends "
            f"{row['window_end']} has a number that is not finite"
        )


def file_columns(files: pd.DataFrame) -> dict[str, list[Any]]:
    """The ledger's rows as columns for the database; the last row of a file counts.

    Raises:
        ValueError: A name or version is missing or too long.
    """
    if not len(files):
        return {}
    files = files.drop_duplicates("name", keep="last")
    for name in files["name"]:
        _check_name(name, "file", FILE_NAME_LENGTH)
    for version in files["version"]:
        _check_name(version, "version of a file", VERSION_LENGTH)
    return {
        "file_key": [key_of(name) for name in files["name"]],
        "name": files["name"].tolist(),
        "version": files["version"].tolist(),
        "state": files["state"].tolist(),
        "reason": [_text(reason, REASON_LENGTH) for reason in files["reason"]],
        **{
            name: files[name].astype(int).tolist()
            for name in ("readings", "repeats", "quarantined")
        },
        "batch_key": [
            _text(key, KEY_LENGTH) for key in files.get("batch_key", [None] * len(files))
        ],
    }


def fault_columns(quarantine: pd.DataFrame, files: Sequence[str]) -> dict[str, list[Any]]:
    """The faults as columns for the database, numbered within each file of the batch.

    Raises:
        ValueError: A fault is of a file that is not in the batch's ledger.
    """
    if not len(quarantine):
        return {}
    keys = [key_of(name) for name in quarantine["file"]]
    if strangers := set(keys) - set(files):
        stranger = quarantine["file"].iloc[keys.index(strangers.pop())]
        raise ValueError(f"the batch has faults of {stranger}, but not the file itself")
    return {
        "file_key": keys,
        "number": quarantine.groupby("file", sort=False).cumcount().tolist(),
        "position": [None if pd.isna(place) else int(place) for place in quarantine["position"]],
        "reason": [_text(reason, REASON_LENGTH) or "" for reason in quarantine["reason"]],
        "body": [_text(body, BODY_LENGTH) for body in quarantine["body"]],
    }


def seconds(times: pd.Series[Any]) -> NDArray[np.datetime64]:
    """Times, UTC, as datetime64[s]."""
    if isinstance(times.dtype, pd.DatetimeTZDtype):
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    return times.to_numpy("datetime64[s]")


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
    """Any text, cut to a length in UTF-16 units and made storable; None where there is none."""
    if value is None or value is pd.NA or value != value:  # noqa: PLR0124  # NaN
        return None
    whole = str(value).encode("utf-8", "backslashreplace").decode()
    return whole.encode("utf-16-le")[: 2 * length].decode("utf-16-le", "ignore")
