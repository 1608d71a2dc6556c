"""A simulated fleet: its readings with all that goes wrong, and the capture files that hold them.

The same settings give the same bytes. The readings of a fleet of any size can be had as a
stream, in memory that does not grow with its length.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import groupby
from typing import Any

import fastavro
import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from quartet.sensors.event_patterns import SCHEMA
from quartet.sensors.fleet_anomalies import AnomalyInjector, make_label_table, plan_anomalies
from quartet.sensors.fleet_events import Event, FleetEvents
from quartet.sensors.fleet_values import SECOND, FleetValues
from quartet.sensors.readings import concatenate
from quartet.sensors.settings import Fleet

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OFFSET_STEP = 256


@dataclass(frozen=True)
class Captured:
    """What a fleet sent, as capture files, and the truth about it.

    Attributes:
        files: Content by path, such as `plant/telemetry/0/2026/03/02/00/00/00.avro`.
        labels: Anomalies: `device`, `sensor`, `start`, `end` (UTC) and `kind`.
        readings: Readings that can be taken, each counted once.
        faulty: Readings that cannot be taken.
        repeated: Readings that are there a second time.
        late: Readings that arrive hours after they were measured.
    """

    files: dict[str, bytes]
    labels: pd.DataFrame
    readings: int
    faulty: int
    repeated: int
    late: int


def simulate(fleet: Fleet) -> tuple[pa.Table, pd.DataFrame]:
    """Return all readings of a fleet in the order of time, and the labels of its anomalies.

    Faults, repeats and delays of sending are not among them.
    """
    values = FleetValues(fleet)
    return concatenate(list(stream_readings(fleet))), make_label_table(
        values, plan_anomalies(values)
    )


def stream_readings(fleet: Fleet) -> Iterator[pa.Table]:
    """Yield the readings of a fleet, about a million at a time."""
    values = FleetValues(fleet)
    disturbances = AnomalyInjector(fleet.seed, plan_anomalies(values))
    devices, sensors = (
        pa.array(names).dictionary_encode() for names in zip(*values.pairs, strict=True)
    )
    count = 0
    for part in map(disturbances.apply, values.parts()):
        row, pair = np.nonzero(part.present)
        rounded = values.round(part.measured)[row, pair]
        time = part.time[row, pair // fleet.sensors]
        order = np.argsort(time, kind="stable")
        yield pa.table(
            {
                "device": devices.take(pa.array(pair[order])),
                "sensor": sensors.take(pa.array(pair[order])),
                "timestamp": time[order],
                "value": rounded[order],
                "sequence": np.arange(count, count + len(order)),
            }
        )
        count += len(order)


def write_captures(fleet: Fleet) -> Captured:
    """All capture files of a fleet, with labels and numbers to check against."""
    values = FleetValues(fleet)
    events = FleetEvents(values)
    written = tqdm(_files(fleet, events), desc="simulating", unit="file", disable=None, delay=2)
    files = dict(written)
    return Captured(files, make_label_table(values, plan_anomalies(values)), **events.counts)


def _files(fleet: Fleet, events: FleetEvents) -> Iterator[tuple[str, bytes]]:
    length = fleet.capture_seconds * SECOND
    numbers = [0] * fleet.partitions
    for window, arrived in groupby(events.stream(), key=lambda event: event.enqueued // length):
        parts: list[list[Event]] = [[] for _ in range(fleet.partitions)]
        for event in arrived:
            parts[event.device % fleet.partitions].append(event)
        for partition, held in enumerate(parts):
            if held:
                path = _path(fleet, partition, window * fleet.capture_seconds)
                yield path, _avro(fleet, path, numbers[partition], held)
                numbers[partition] += len(held)


def _path(fleet: Fleet, partition: int, second: int) -> str:
    start = _EPOCH + timedelta(seconds=second)
    return f"{fleet.namespace}/{fleet.hub}/{partition}/{start:%Y/%m/%d/%H/%M/%S}.avro"


def _avro(fleet: Fleet, path: str, first: int, events: list[Event]) -> bytes:
    """An Avro container as Event Hubs writes it; its sync marker comes from seed and path."""
    seconds = {event.enqueued // SECOND for event in events}
    written = {second: _us_time(second) for second in seconds}
    records: list[dict[str, Any]] = [
        {
            "SequenceNumber": number,
            "Offset": str(number * _OFFSET_STEP),
            "EnqueuedTimeUtc": written[event.enqueued // SECOND],
            "SystemProperties": {"x-opt-partition-key": f"device-{event.device + 1}"},
            "Properties": {},
            "Body": event.body,
        }
        for number, event in enumerate(events, first)
    ]
    file = io.BytesIO()
    marker = blake2b(f"{fleet.seed}/{path}".encode(), digest_size=16).digest()
    fastavro.writer(
        file,
        SCHEMA,
        records,
        codec="deflate",
        sync_marker=marker,
        codec_compression_level=fleet.compression,
    )
    return file.getvalue()


def _us_time(second: int) -> str:
    """As Event Hubs states times, such as `3/2/2026 9:05:07 PM`."""
    time = _EPOCH + timedelta(seconds=second)
    hour = time.hour % 12 or 12
    return f"{time.month}/{time.day}/{time.year} {hour}:{time:%M:%S %p}"
