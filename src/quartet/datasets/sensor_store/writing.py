"""Writing a batch of windows, and the anomalies among scored ones, inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import delete
from sqlalchemy.engine import Connection

from quartet.datasets.sensor_store.batch import (
    Pairs,
    WindowBatch,
    check_finite,
    fault_columns,
    file_columns,
)
from quartet.datasets.sensor_store.numbers import Pair, SensorNumbers
from quartet.datasets.sensor_store.rows import VALUES_A_STATEMENT, Keys, delete_windows, insert_rows
from quartet.datasets.sensor_store.schema import STATISTICS, anomalies, files, quarantine, windows


@dataclass(frozen=True)
class Prepared:
    """A batch that has been checked, in the shape in which it is written."""

    windows: pd.DataFrame
    pairs: Pairs
    emptied: pd.DataFrame
    files: Mapping[str, list[Any]]
    faults: Mapping[str, list[Any]]

    @classmethod
    def of(cls, batch: WindowBatch) -> Prepared:
        """Check a batch.

        Raises:
            ValueError: It is inconsistent; says where.
        """
        check_finite(batch.windows, STATISTICS)
        ledger = file_columns(batch.files)
        faults = fault_columns(batch.quarantine, ledger.get("file_key", []))
        emptied = batch.windows[:0] if batch.emptied is None else batch.emptied
        prepared = cls(batch.windows, Pairs.of(batch.windows), emptied, ledger, faults)
        if len(batch.windows):  # any numbers will do to see whether keys are repeated
            numbers = {pair: place for place, pair in enumerate(prepared.pairs.names)}
            prepared.pairs.keys(numbers, batch.windows["window_end"])
        return prepared

    def counts(self) -> dict[str, int]:
        """How many rows of each kind, for the log of batches."""
        return {
            "windows": len(self.windows),
            "files": len(self.files.get("file_key", [])),
            "quarantined": len(self.faults.get("file_key", [])),
        }

    def write(
        self, connection: Connection, numbers: SensorNumbers, revision: int, now: datetime
    ) -> None:
        """Put all rows in the place of those with the same keys."""
        self._remove_emptied(connection, numbers.known(connection))
        self._write_windows(connection, numbers, revision)
        keys = self.files.get("file_key", [])
        for table in (quarantine, files):
            for start in range(0, len(keys), VALUES_A_STATEMENT):
                part = keys[start : start + VALUES_A_STATEMENT]
                connection.execute(delete(table).where(table.c.file_key.in_(part)))
        if keys:
            every: dict[str, list[Any]] = {
                "revision": [revision] * len(keys),
                "ingested_at": [now] * len(keys),
            }
            insert_rows(connection, files, {**self.files, **every})
        if self.faults:
            insert_rows(connection, quarantine, self.faults)

    def _remove_emptied(self, connection: Connection, numbers: Mapping[Pair, int]) -> None:
        if len(self.emptied):
            keys = _keys(numbers, self.emptied)
            for table in (windows, anomalies):
                delete_windows(connection, table, keys)

    def _write_windows(self, connection: Connection, numbers: SensorNumbers, revision: int) -> None:
        table = self.windows
        if not len(table):
            return
        keys = self.pairs.keys(numbers.of(connection, self.pairs.names), table["window_end"])
        delete_windows(connection, windows, keys)
        order = np.argsort(keys.packed)  # the table's own: rows then go to its end
        columns: dict[str, Any] = {
            "window_end": keys.end[order],
            "sensor_id": keys.sensor[order],
            "readings": table["readings"].to_numpy(np.int64)[order],
            **{name: table[name].to_numpy(np.float64)[order] for name in STATISTICS},
            "revision": np.full(len(table), revision),
        }
        insert_rows(connection, windows, columns)


def write_anomalies(
    connection: Connection, numbers: Mapping[Pair, int], scored: pd.DataFrame, found: pd.DataFrame
) -> None:
    """Replace the anomalies among the scored windows.

    Raises:
        ValueError: An anomaly is not among the scored, or a sensor is not in the database.
    """
    check_finite(found, ("score", "threshold"))
    if not len(scored):
        if len(found):
            raise ValueError("there are anomalies among no scored windows")
        return
    keys = _keys(numbers, scored)
    delete_windows(connection, anomalies, keys)
    if not len(found):
        return
    anomalous = _keys(numbers, found)
    if not np.isin(anomalous.packed, keys.packed).all():
        raise ValueError("there is an anomaly that is not among the scored windows")
    order = np.argsort(anomalous.packed)
    columns: dict[str, Any] = {
        "window_end": anomalous.end[order],
        "sensor_id": anomalous.sensor[order],
        **{name: found[name].to_numpy(np.float64)[order] for name in ("score", "threshold")},
        "model_version": found["model_version"].astype(str).to_numpy(object)[order],
        "revision": found["revision"].to_numpy(np.int64)[order],
    }
    insert_rows(connection, anomalies, columns)


def _keys(numbers: Mapping[Pair, int], table: pd.DataFrame) -> Keys:
    """The keys of windows that the database has, or had.

    Raises:
        ValueError: It has never had a window of the sensor.
    """
    pairs = Pairs.of(table)
    if strangers := [pair for pair in pairs.names if pair not in numbers]:
        raise ValueError(f"sensor {strangers[0]} has no windows in the database")
    return pairs.keys(numbers, table["window_end"])
