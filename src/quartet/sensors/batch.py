"""Batches of ingestion: decoded files, and the windows that are written to SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from quartet.sensors.readings import NO_READINGS, concatenate

_SHOWN_CHARACTERS = 80
"""Maximum length of an example in a message; the quarantine has more of it."""
INGESTED, UNREADABLE = "ingested", "unreadable"


class FileEntry(NamedTuple):
    """A file, or a part of a table, in the ledger.

    Attributes:
        name: Path, and for a part the number of its first row.
        version: Text that changes with the content of the file and with the checks.
        readings: Number of valid readings.
        duplicates: Number of valid readings that duplicate an earlier one.
        quarantined: Number of invalid readings.
        state: `ingested` or `unreadable`.
        reason: Why the file is unreadable.
        batch_key: Key of the stored readings; None if the file is unreadable.
    """

    name: str
    version: str
    readings: int = 0
    duplicates: int = 0
    quarantined: int = 0
    state: str = INGESTED
    reason: str = ""
    batch_key: str | None = None


class Fault(NamedTuple):
    """A quarantined reading.

    Attributes:
        file: Name of its file.
        position: Sequence number of its event, or its row in the table.
        reason: Why it is invalid.
        body: Beginning of its text.
    """

    file: str
    position: int
    reason: str
    body: str


@dataclass(frozen=True)
class Batch:
    """Files that are written in one transaction.

    Attributes:
        files: Ledger entries of the files.
        quarantine: Invalid readings; at most a thousand per file.
        readings: Valid readings, with the columns of `quartet.sensors.readings`; empty once the
            windows are computed.
        windows: All windows of the readings, as `aggregate` returns them; they replace those with
            the same device, sensor and end.
        empty_windows: `device`, `sensor` and `window_end` of windows to remove, because their
            readings are no longer in the files.
        watermark: End of the last closed window, UTC; None before the first.
        window_seconds: Length of the windows.
        claim: Token of the run's claim on ingestion; without one, any run may write.
        rejected: Number of all invalid readings, by reason.
        has_local_times: Whether a part of a table has times without a zone.
    """

    files: list[FileEntry]
    quarantine: list[Fault] = field(default_factory=list)
    readings: pa.Table = field(default_factory=lambda: NO_READINGS)
    windows: pd.DataFrame = field(default_factory=pd.DataFrame)
    empty_windows: pd.DataFrame = field(default_factory=pd.DataFrame)
    watermark: pd.Timestamp | None = None
    window_seconds: int | None = None
    claim: str | None = None
    rejected: Mapping[str, int] = field(default_factory=Counter)
    has_local_times: bool = False


def combine(batches: Sequence[Batch]) -> Batch:
    """Return decoded batches as one, which takes less memory than many small tables."""
    return Batch(
        [entry for batch in batches for entry in batch.files],
        [fault for batch in batches for fault in batch.quarantine],
        concatenate([batch.readings for batch in batches]),
        rejected=sum((Counter(batch.rejected) for batch in batches), Counter()),
    )


def merge(batches: Sequence[Batch]) -> Batch:
    """Merge decoded batches into one, whose readings ascend by timestamp."""
    batch = combine(batches)
    order = batch.readings.column("timestamp").to_numpy().argsort(kind="stable")
    return replace(batch, readings=batch.readings.take(order))


@dataclass
class Tally:
    """What a run has accepted and rejected so far.

    Attributes:
        retried: Name and version of files that an earlier run could not read; not counted again.
        readings: Number of accepted readings.
        rejected: Number of rejected readings, by reason.
        rejected_example: The first rejected reading.
        files: Number of readable files, or parts of a table.
        unreadable: Number of unreadable files, by reason.
        unreadable_example: The first unreadable file.
    """

    retried: Set[tuple[str, str]] = frozenset()
    readings: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    rejected_example: str = ""
    files: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    unreadable_example: str = ""

    def add(self, batch: Batch) -> None:
        """Add a batch."""
        for entry in batch.files:
            if entry.state != UNREADABLE:
                self.files += 1
                self.readings += entry.readings
            elif (entry.name, entry.version) not in self.retried:
                self.unreadable[entry.reason] += 1
                self.unreadable_example = self.unreadable_example or entry.name
        self.rejected.update(batch.rejected)
        if batch.quarantine and not self.rejected_example:
            file, position, reason, body = batch.quarantine[0]
            shown = body if len(body) <= _SHOWN_CHARACTERS else f"{body[:_SHOWN_CHARACTERS]}…"
            self.rejected_example = f"{file}, {position}: {reason}: {shown}"
