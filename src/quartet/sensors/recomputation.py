"""The windows that a batch of readings touches, computed again from all that is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from quartet.sensors.batch import Batch
from quartet.sensors.readings import NO_READINGS, PairEncoder, dictionary_decode
from quartet.sensors.stored import CountedReadings
from quartet.sensors.windows import (
    SECOND,
    aggregate_distinct,
    drop_duplicates,
    name_windows,
    window_ends,
)

ROWS_AT_A_TIME = 4_000_000
"""Stored readings among which those of the windows are looked for at a time."""
_RETRACTED = -1
"""The file of readings that count no more."""


def recompute(
    batch: Batch, retracted: pa.Table, stored: CountedReadings, window_seconds: int
) -> Batch:
    """Compute every window of a device and a sensor in which one of their readings is, or was.

    Memory stays bounded, however late readings are and however long windows: where too
    many stored readings would have to be looked through, the earlier and the later windows
    are done apart, and one window is done for some of the sensors at a time.

    Args:
        batch: The new readings.
        retracted: Of what their files held before, at least one reading a window.
        stored: All readings of other files.
        window_seconds: Length of the windows.

    Returns:
        The batch with its windows instead of its readings, and its files with their duplicates.
    """
    encoder = PairEncoder()
    files, file = dictionary_decode(batch.readings.column("file"))
    gone = np.full(retracted.num_rows, _RETRACTED, np.int32)
    touched = pa.concat_tables(
        [
            encoder.encode(part).append_column("file", pa.array(codes))
            for part, codes in ((batch.readings, file), (retracted, gone))
        ]
    )
    parts = [
        _recompute_part(part, encoder, stored, window_seconds)
        for part in _split(touched, stored, window_seconds)
    ]
    windows, emptied, duplicates = zip(*parts, strict=True)
    counts = np.bincount(np.concatenate(duplicates), minlength=len(files))
    repeats = dict(zip(files, counts.tolist(), strict=True))
    joined = windows[0]
    if len(windows) > 1:
        keys = ["device", "sensor", "window_end"]
        joined = pd.concat(windows, ignore_index=True).sort_values(keys, ignore_index=True)
    return replace(
        batch,
        files=[entry._replace(repeats=repeats.get(entry.name, 0)) for entry in batch.files],
        readings=NO_READINGS,
        windows=joined,
        emptied=pd.concat(emptied, ignore_index=True),
        window_seconds=window_seconds,
    )


def _split(touched: pa.Table, stored: CountedReadings, window_seconds: int) -> Iterator[pa.Table]:
    """Yield parts of the touched readings for which few enough stored ones are looked through."""
    pair, timestamp = (touched.column(name).to_numpy() for name in ("pair", "timestamp"))
    ends = np.unique(window_ends(timestamp, window_seconds))
    rows = stored.rows(ends - window_seconds * SECOND, ends) if len(ends) else 0
    if rows <= ROWS_AT_A_TIME:
        yield touched
    elif len(ends) > 1:
        early = timestamp <= ends[len(ends) // 2 - 1]
        for half in (early, ~early):
            yield from _split(touched.filter(half), stored, window_seconds)
    else:
        portions = -(-rows // ROWS_AT_A_TIME)
        for portion in range(portions):
            yield touched.filter(pair % portions == portion)


def _recompute_part(
    touched: pa.Table, encoder: PairEncoder, stored: CountedReadings, window_seconds: int
) -> tuple[pd.DataFrame, pd.DataFrame, NDArray[np.int32]]:
    """Return the windows, those emptied, and the file of each new reading that was there before."""
    timestamp, file = (touched.column(name).to_numpy() for name in ("timestamp", "file"))
    ends = np.unique(window_ends(timestamp, window_seconds))
    new = int(np.count_nonzero(file != _RETRACTED))
    own, retracted = touched.slice(0, new), touched.slice(new)
    wanted = np.unique(_window_keys(touched, ends, window_seconds))
    parts = []
    for group in stored.read(ends - window_seconds * SECOND, ends) if len(ends) else ():
        encoded = encoder.encode(group)
        keys = _window_keys(encoded, ends, window_seconds)
        nearest = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
        parts.append(encoded.filter(wanted[nearest] == keys))
    before = sum(part.num_rows for part in parts)
    whole = pa.concat_tables([*parts, own.drop_columns("file")]).combine_chunks()
    kept, duplicates = drop_duplicates(whole, encoder.pairs)
    gone = _window_keys(retracted, ends, window_seconds)
    if len(gone):
        gone = np.setdiff1d(gone, _window_keys(whole, ends, window_seconds))
    pair, window = np.divmod(gone, max(len(ends), 1))
    return (
        aggregate_distinct(kept, encoder.pairs, window_seconds),
        name_windows(encoder.pairs, pair, ends[window]),
        file[duplicates[duplicates >= before] - before],
    )


def _window_keys(
    encoded: pa.Table, ends: NDArray[np.int64], window_seconds: int
) -> NDArray[np.int64]:
    """Return a number for the pair and window of each reading, -1 in windows of other ends."""
    pair, timestamp = (encoded.column(name).to_numpy() for name in ("pair", "timestamp"))
    end = window_ends(timestamp, window_seconds)
    window = np.searchsorted(ends, end)
    window[window == len(ends)] = 0
    keys = pair.astype(np.int64) * len(ends) + window
    return np.where(ends[window] == end, keys, -1)
