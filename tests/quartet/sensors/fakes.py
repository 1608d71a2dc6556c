"""Make capture files like those of Event Hubs, and fakes of a folder, a store and a database."""

import io
import json
import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta

import fastavro
import numpy as np
import pandas as pd
import pyarrow as pa

from quartet.sensors.batch import Fault, FileEntry
from quartet.sensors.checks import MAX_QUARANTINED
from quartet.sensors.event_patterns import SCHEMA
from quartet.sensors.ingestion import ingest
from quartet.sensors.readings import dictionary_encode
from quartet.sensors.settings import SensorSvm

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def moment(seconds):
    """Return an ISO 8601 timestamp some seconds after the start."""
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def reading(seconds=0, value=1.0, device="press-1", sensor="pressure", **others):
    return {
        "device": device,
        "sensor": sensor,
        "timestamp": moment(seconds),
        "value": value,
        **others,
    }


def event(body, number=0, enqueued=3600, system=None, properties=None):
    """Return the Avro record of an event; the body is JSON or bytes."""
    arrival = START + timedelta(seconds=enqueued)
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return {
        "SequenceNumber": number,
        "Offset": str(4_294_967_296 + 200 * number),
        "EnqueuedTimeUtc": f"{arrival.month}/{arrival.day}/{arrival:%Y} "
        f"{int(f'{arrival:%I}')}:{arrival:%M:%S %p}",
        "SystemProperties": {"x-opt-enqueued-time": 1_772_438_400_000 + 1000 * enqueued}
        if system is None
        else system,
        "Properties": {} if properties is None else properties,
        "Body": content,
    }


def avro(events, schema=SCHEMA, codec="deflate", **options):
    """Return the bytes of an Avro container file."""
    file = io.BytesIO()
    fastavro.writer(file, schema, events, codec=codec, **options)
    return file.getvalue()


def capture(*bodies, first=0, **options):
    """Return the bytes of a capture file with one event per body, numbered from `first`."""
    return avro([event(body, first + place, **options) for place, body in enumerate(bodies)])


def path(minute=0, partition=0):
    return f"plant/telemetry/{partition}/2026/03/02/08/{minute:02d}/00.avro"


class File:
    """A capture file in memory."""

    def __init__(self, name, content):
        self.name = name
        self.version = str(hash(content))
        self.size = len(content)


class Folder:
    """Capture files in memory, by their names."""

    table = None

    def __init__(self, files=()):
        self.contents = dict(files)

    def files(self):
        return [File(name, self.contents[name]) for name in sorted(self.contents)]

    def read(self, name):
        return self.contents[name]

    def parts(self):
        return iter(())


class KillingFolder(Folder):
    """Files of which one kills the process that reads it, like the out-of-memory killer."""

    def read(self, name):
        if self.contents[name] == b"deadly":
            os._exit(1)
        return super().read(name)


class KillingSettings(SensorSvm):
    """Kills the process that unpickles it; only workers do."""

    def __setstate__(self, state):
        os.kill(os.getpid(), signal.SIGKILL)


class MemoryStore:
    """Stored readings in memory; a group for each batch."""

    def __init__(self):
        self.batches = {}

    def batch_keys(self):
        return {key for key, table in self.batches.items() if table.num_rows}

    def append(self, key, table):
        self.batches[key] = table

    def remove(self, keys):
        for key in keys:
            self.batches.pop(key, None)

    def read_all(self, key):
        return iter([self.batches[key]] if key in self.batch_keys() else [])

    def rows(self, starts, ends, keys):
        return sum(table.num_rows for _, table in self.read(starts, ends, keys))

    def read(self, starts, ends, keys):
        for key in self.batch_keys() & keys:
            yield key, self.batches[key]


class Tables:
    """The contents of the database after the published batches."""

    def __init__(self):
        self.windows = pd.DataFrame()
        self.files = pd.DataFrame(columns=FileEntry._fields)
        self.quarantine = pd.DataFrame()
        self.watermark = None
        self.batches = 0

    def publish(self, batch):
        """Replace by key, as the database does."""
        keys = ["device", "sensor", "window_end"]
        assert batch.windows.set_index(keys).index.is_monotonic_increasing
        assert batch.windows.set_index(keys).index.is_unique
        windows = pd.concat([self.windows, batch.windows]) if len(self.windows) else batch.windows
        windows = windows.drop_duplicates(keys, keep="last").set_index(keys).sort_index()
        gone = batch.empty_windows.set_index(keys).index
        assert gone.isin(windows.index).all()
        assert not gone.isin(batch.windows.set_index(keys).index).any()
        self.windows = windows.drop(gone).reset_index()
        entries = pd.DataFrame(batch.files, columns=FileEntry._fields)
        faults = pd.DataFrame(batch.quarantine, columns=Fault._fields)
        files = pd.concat([self.files, entries]) if len(self.files) else entries
        self.files = files.drop_duplicates("name", keep="last").reset_index(drop=True)
        if len(self.quarantine):
            kept = self.quarantine[~self.quarantine["file"].isin(entries["name"])]
            self.quarantine = pd.concat([kept, faults]) if len(kept) else faults
        else:
            self.quarantine = faults
        self.watermark = batch.watermark
        self.batches += 1


def ingest_all(source, store, tables, settings):
    """Run the ingestion once."""
    for batch in ingest(source, store, tables.files, tables.watermark, settings):
        tables.publish(batch)
    return tables


def make_readings(rows):
    """Return a table of readings from rows of (device, sensor, seconds, value[, sequence])."""
    return pa.table(
        {
            "device": pa.array([row[0] for row in rows], pa.string()).dictionary_encode(),
            "sensor": pa.array([row[1] for row in rows], pa.string()).dictionary_encode(),
            "timestamp": np.array([round(row[2] * 1e6) for row in rows], np.int64),
            "value": np.array([row[3] for row in rows], np.float64),
            "sequence": np.array([row[4] if len(row) > 4 else 0 for row in rows], np.int64),
            "file": dictionary_encode(["file"], np.zeros(len(rows), np.int32)),
        }
    )


def column(batch, name):
    """Return a column of the readings of a decoded file."""
    return batch.readings.column(name).to_pylist()


def list_pairs(batch):
    """Return the pairs of device and sensor of a decoded file."""
    return set(zip(column(batch, "device"), column(batch, "sensor"), strict=True))


def count_reasons(batch):
    """Return the number of faults of a decoded file by reason."""
    (entry,) = batch.files
    reasons = Counter(fault.reason for fault in batch.quarantine)
    assert entry.quarantined == reasons.total() or len(batch.quarantine) == MAX_QUARANTINED
    return dict(reasons)
