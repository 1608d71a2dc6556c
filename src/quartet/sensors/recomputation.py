"""Recomputation of the windows of a batch of readings from all stored readings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quartet.sensors.batch import Batch
from quartet.sensors.readings import NO_READINGS, PairEncoder, dictionary_decode
from quartet.sensors.stored import CurrentReadings
from quartet.sensors.windows import (
    SECOND,
    aggregate_distinct,
    drop_duplicates,
    name_windows,
    window_ends,
)

MAX_ROWS = 4_000_000
"""Maximum number of stored readings that are scanned at a time."""
_RETRACTED = -1
"""File index of retracted readings."""


def recompute(
    batch: Batch, retracted: pa.Table, stored: CurrentReadings, window_seconds: int
) -> Batch:
    """Recompute every window of a sensor that has, or had, a reading of the batch.

    Memory is bounded, however late readings are and however long windows: if too many stored
    readings must be scanned, the earlier and the later windows are computed separately, and a
    single window for some of the sensors at a time.

    Args:
        batch: The new readings.
        retracted: At least one earlier reading of the same files per window.
        stored: All readings of other files.
        window_seconds: Length of the windows.

    Returns:
        The batch with windows instead of readings, and with the duplicates of its files.
    """
    encoder = PairEncoder()
    files, file = dictionary_decode(batch.readings.column("file"))
    retracted_file = np.full(retracted.num_rows, _RETRACTED, np.int32)
    changed = pa.concat_tables(
        [
            encoder.encode(part).append_column("file", pa.array(codes))
            for part, codes in ((batch.readings, file), (retracted, retracted_file))
        ]
    )
    parts = [
        _recompute_part(part, encoder, stored, window_seconds)
        for part in _split(changed, stored, window_seconds)
    ]
    windows, empty_windows, duplicates = zip(*parts, strict=True)
    counts = np.bincount(np.concatenate(duplicates), minlength=len(files))
    duplicates_by_file = dict(zip(files, counts.tolist(), strict=True))
    merged = windows[0]
    if len(windows) > 1:
        keys = ["device", "sensor", "window_end"]
        merged = pd.concat(windows, ignore_index=True).sort_values(keys, ignore_index=True)
    return replace(
        batch,
        files=[
            entry._replace(duplicates=duplicates_by_file.get(entry.name, 0))
            for entry in batch.files
        ],
        readings=NO_READINGS,
        windows=merged,
        empty_windows=pd.concat(empty_windows, ignore_index=True),
        window_seconds=window_seconds,
    )


def _split(changed: pa.Table, stored: CurrentReadings, window_seconds: int) -> Iterator[pa.Table]:
    """Divide the changed readings into parts for which at most MAX_ROWS are scanned."""
    pair, timestamp = (changed.column(name).to_numpy() for name in ("pair", "timestamp"))
    ends = np.unique(window_ends(timestamp, window_seconds))
    rows = stored.rows(ends - window_seconds * SECOND, ends) if len(ends) else 0
    if rows <= MAX_ROWS:
        yield changed
    elif len(ends) > 1:
        is_early = timestamp <= ends[len(ends) // 2 - 1]
        for half in (is_early, ~is_early):
            yield from _split(changed.filter(half), stored, window_seconds)
    else:
        parts = -(-rows // MAX_ROWS)
        for part in range(parts):
            yield changed.filter(pair % parts == part)


def _recompute_part(
    changed: pa.Table, encoder: PairEncoder, stored: CurrentReadings, window_seconds: int
) -> tuple[pd.DataFrame, pd.DataFrame, NDArray[np.int32]]:
    """Return the windows, the empty windows, and the file of each new duplicate reading."""
    timestamp, file = (changed.column(name).to_numpy() for name in ("timestamp", "file"))
    ends = np.unique(window_ends(timestamp, window_seconds))
    new_rows = int(np.count_nonzero(file != _RETRACTED))
    new, retracted = changed.slice(0, new_rows), changed.slice(new_rows)
    changed_keys = np.unique(_window_keys(changed, ends, window_seconds))
    parts = []
    for group in stored.read(ends - window_seconds * SECOND, ends) if len(ends) else ():
        encoded = encoder.encode(group)
        keys = _window_keys(encoded, ends, window_seconds)
        nearest = np.minimum(np.searchsorted(changed_keys, keys), len(changed_keys) - 1)
        parts.append(encoded.filter(changed_keys[nearest] == keys))
    stored_rows = sum(part.num_rows for part in parts)
    readings = pa.concat_tables([*parts, new.drop_columns("file")]).combine_chunks()
    kept, duplicates = drop_duplicates(readings, encoder.pairs)
    empty = _window_keys(retracted, ends, window_seconds)
    if len(empty):
        empty = np.setdiff1d(empty, _window_keys(readings, ends, window_seconds))
    pair, window = np.divmod(empty, max(len(ends), 1))
    return (
        aggregate_distinct(kept, encoder.pairs, window_seconds),
        name_windows(encoder.pairs, pair, ends[window]),
        file[duplicates[duplicates >= stored_rows] - stored_rows],
    )


def _window_keys(
    encoded: pa.Table, ends: NDArray[np.int64], window_seconds: int
) -> NDArray[np.int64]:
    """Return a key for the pair and window of each reading, -1 if its window is not in `ends`."""
    pair, timestamp = (encoded.column(name).to_numpy() for name in ("pair", "timestamp"))
    end = window_ends(timestamp, window_seconds)
    window = np.searchsorted(ends, end)
    window[window == len(ends)] = 0
    keys = pair.astype(np.int64) * len(ends) + window
    return np.where(ends[window] == end, keys, -1)
