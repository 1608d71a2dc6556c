"""The one container of the sensors' ingestion: what files held, and what becomes of it in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from quartet.sensors.readings import NO_READINGS, concatenate

INGESTED, UNREADABLE = "ingested", "unreadable"


class FileEntry(NamedTuple):
    """A file, or a part of a table, in the ledger.

    Attributes:
        name: Its path, and the number of a part's first row.
        version: Another text whenever its content, or how it is checked, has changed.
        readings: Valid ones.
        repeats: How many of these duplicate a reading that was there before.
        quarantined: Readings with a fault.
        state: `ingested` or `unreadable`.
        reason: Why it cannot be read.
        batch_key: Under which its readings are stored; None if it cannot be read.
    """

    name: str
    version: str
    readings: int = 0
    repeats: int = 0
    quarantined: int = 0
    state: str = INGESTED
    reason: str = ""
    batch_key: str | None = None


class Fault(NamedTuple):
    """A reading that is set aside: its file, where it is there, why, and how its text begins.

    The position is the event's sequence number, or the row of the table.
    """

    file: str
    position: int
    reason: str
    body: str


@dataclass(frozen=True)
class Batch:
    """Some files: one where it is decoded, then as many as one transaction writes.

    Attributes:
        files: Their entries in the ledger.
        quarantine: Readings with a fault; of each file at most a thousand.
        readings: Valid readings, with the columns of `quartet.sensors.readings`; none any more
            once they are stored and their windows computed.
        windows: All that the readings touch, as `aggregate` returns them; they take the place of
            those with the same device, sensor and end.
        emptied: `device`, `sensor` and `window_end` of windows to remove, since the files hold
            their readings no more.
        watermark: End of the last window that is closed, UTC; None as long as there is none.
        window_seconds: Length of the windows.
        claim: Token of the run's claim on ingestion, without which anybody may write.
    """

    files: list[FileEntry]
    quarantine: list[Fault] = field(default_factory=list)
    readings: pa.Table = field(default_factory=lambda: NO_READINGS)
    windows: pd.DataFrame = field(default_factory=pd.DataFrame)
    emptied: pd.DataFrame = field(default_factory=pd.DataFrame)
    watermark: pd.Timestamp | None = None
    window_seconds: int | None = None
    claim: str | None = None


def merge(batches: Sequence[Batch]) -> Batch:
    """Return the files of several decoded batches as one; their readings ascend by timestamp."""
    readings = concatenate([batch.readings for batch in batches])
    return Batch(
        [entry for batch in batches for entry in batch.files],
        [fault for batch in batches for fault in batch.quarantine],
        readings.take(readings.column("timestamp").to_numpy().argsort(kind="stable")),
    )
