"""Make batches of windows for tests of the sensor tables, and read the tables' contents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from quartet.datasets.sensor_store.database import Database
from quartet.datasets.sensor_store.tables import SensorTables
from quartet.sensors.batch import Batch, Fault, FileEntry

STATISTICS = ["mean", "standard_deviation", "minimum", "maximum", "last_value"]
KEYS = ["device", "sensor", "window_end"]
START = pd.Timestamp("2026-03-02")

Key = tuple[str, str, int]


def tables(url: str, **options: Any) -> SensorTables:
    """Return tables that do not wait long for an unreachable database."""
    return SensorTables(Database(url, **{"wait_seconds": 0.01, **options}))


def end(minutes: int) -> pd.Timestamp:
    """Return a time in minutes after the start of the stream."""
    return START + pd.Timedelta(minutes=minutes)


def windows(keys: Iterable[Key], seed: int = 0) -> pd.DataFrame:
    """Return windows with random statistics; a key is device, sensor and end in minutes."""
    keys = list(keys)
    random = np.random.default_rng([seed, len(keys)])
    columns = dict(zip(KEYS, zip(*keys, strict=True), strict=True)) if keys else {}
    table = pd.DataFrame(columns, columns=KEYS)
    table["window_end"] = [end(minutes) for minutes in table["window_end"]]
    table["window_end"] = table["window_end"].astype("datetime64[s]")
    table["readings"] = random.integers(1, 1000, len(keys))
    for name in STATISTICS:
        table[name] = random.normal(size=len(keys)) * 10.0 ** random.integers(-9, 9, len(keys))
    return table


def fleet(devices: int, sensors: int, minutes: Iterable[int]) -> list[Key]:
    """Return the keys of all windows of a fleet."""
    return [(f"d{d}", f"s{s}", m) for m in minutes for d in range(devices) for s in range(sensors)]


def ledger(*names: str, quarantined: int = 0, version: str = "1") -> list[FileEntry]:
    """Return ledger entries of ingested files."""
    return [FileEntry(name, version, 10, 1, quarantined) for name in names]


def faults(**positions: Iterable[int]) -> list[Fault]:
    """Return faults at positions of files."""
    return [
        Fault(name, position, "the value is no number", f"body {position}")
        for name, places in positions.items()
        for position in places
    ]


def batch(
    table: pd.DataFrame,
    files: Sequence[FileEntry] = (),
    quarantine: Sequence[Fault] = (),
    watermark: pd.Timestamp | None = None,
    **others: Any,
) -> Batch:
    """Return a batch."""
    return Batch(list(files), list(quarantine), windows=table, watermark=watermark, **others)


def rows(table: pd.DataFrame) -> dict[Key, tuple[Any, ...]]:
    """Return the windows of a table by key."""
    values = [name for name in table if name not in KEYS]
    keys = list(zip(*(table[name] for name in KEYS), strict=True))
    assert len(keys) == len(set(keys)), "a window comes twice"
    return dict(zip(keys, table[values].itertuples(index=False, name=None), strict=True))


def everything(store: SensorTables) -> Mapping[str, Any]:
    """Return the contents of the tables without the times of ingestion."""
    return {
        "windows": rows(store.read_windows()),
        "files": store.files().drop(columns="ingested_at").to_dict("records"),
        "faults": store.quarantine().to_dict("records"),
        "anomalies": rows(store.anomalies()),
        "window_seconds": store.window_seconds(),
        "ingestion": store.cursor("ingestion"),
        "scoring": store.cursor("scoring"),
    }
