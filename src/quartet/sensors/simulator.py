"""Simulation of a fleet: capture files of its events, with labelled anomalies.

The same settings give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import groupby
from typing import Any

import fastavro
import pandas as pd
from tqdm import tqdm

from quartet.sensors.event_patterns import SCHEMA
from quartet.sensors.fleet_anomalies import inject_anomalies, make_label_table, plan_anomalies
from quartet.sensors.fleet_events import Event, create_events
from quartet.sensors.fleet_values import SECOND, FleetSensors
from quartet.sensors.settings import Fleet

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OFFSET_STEP = 256
"""Difference of the offsets of consecutive events in a partition; those of Event Hubs are positions
in bytes."""
_COMPRESSION = 9
"""Level of zlib's deflate: the smallest files."""


@dataclass(frozen=True)
class Captured:
    """The capture files of a fleet, and the ground truth.

    Attributes:
        files: Content by path, such as `plant/telemetry/0/2026/03/02/00/00/00.avro`.
        labels: Anomalies: `device`, `sensor`, `start`, `end` (UTC) and `kind`.
        readings: Number of valid readings, without repeated ones.
        faulty: Number of invalid readings.
        repeated: Number of readings that arrive a second time.
        late: Number of readings that arrive hours after they were measured.
    """

    files: dict[str, bytes]
    labels: pd.DataFrame
    readings: int
    faulty: int
    repeated: int
    late: int


def write_captures(fleet: Fleet) -> Captured:
    """Return all capture files of a fleet, with labels and counts to check against.

    Raises:
        ValueError: The days are too few for the anomalies, or for the faulty, repeated and late
            events.
    """
    sensors = FleetSensors(fleet)
    anomalies = plan_anomalies(sensors)
    measurements = inject_anomalies(sensors.measure(), anomalies, fleet.seed)
    events, counts = create_events(sensors, measurements)
    files = dict(
        tqdm(_write_files(fleet, events), desc="simulating", unit="file", disable=None, delay=2)
    )
    return Captured(files, make_label_table(sensors, anomalies), **counts)


def _write_files(fleet: Fleet, events: Sequence[Event]) -> Iterator[tuple[str, bytes]]:
    length = fleet.capture_seconds * SECOND
    next_sequence = [0] * fleet.partitions
    for window, arrived in groupby(events, key=lambda event: event.enqueued // length):
        parts: list[list[Event]] = [[] for _ in range(fleet.partitions)]
        for event in arrived:
            parts[event.device % fleet.partitions].append(event)
        for partition, part in enumerate(parts):
            if part:
                path = _format_path(fleet, partition, window * fleet.capture_seconds)
                yield path, _encode_avro(fleet, path, next_sequence[partition], part)
                next_sequence[partition] += len(part)


def _format_path(fleet: Fleet, partition: int, second: int) -> str:
    start = _EPOCH + timedelta(seconds=second)
    return f"{fleet.namespace}/telemetry/{partition}/{start:%Y/%m/%d/%H/%M/%S}.avro"


def _encode_avro(fleet: Fleet, path: str, first: int, events: list[Event]) -> bytes:
    """Return an Avro container as Event Hubs writes it, whose sync marker is reproducible."""
    seconds = {event.enqueued // SECOND for event in events}
    times = {second: _format_us_time(second) for second in seconds}
    records: list[dict[str, Any]] = [
        {
            "SequenceNumber": number,
            "Offset": str(number * _OFFSET_STEP),
            "EnqueuedTimeUtc": times[event.enqueued // SECOND],
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
        codec_compression_level=_COMPRESSION,
    )
    return file.getvalue()


def _format_us_time(second: int) -> str:
    """Format a time like Event Hubs, such as `3/2/2026 9:05:07 PM`."""
    time = _EPOCH + timedelta(seconds=second)
    hour = time.hour % 12 or 12
    return f"{time.month}/{time.day}/{time.year} {hour}:{time:%M:%S %p}"
