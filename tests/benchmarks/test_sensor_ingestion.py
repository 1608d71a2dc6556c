"""Throughput and memory of ingesting capture files into SQLite."""

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import fastavro
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import create_engine

from quartet.sensors.event_patterns import SCHEMA
from sensors.fakes import avro
from support import clean_environment

SECTION = "Sensor ingestion"
SENSORS = 1000
PERIOD = 9
"""Seconds between two readings of a sensor."""
A_FILE = 900 // PERIOD * SENSORS
"""Readings of the quarter of an hour that a capture file holds: 100,000."""
SIZES = (1_000_000, 5_000_000, 20_000_000)
LEAST_A_SECOND = 200_000
MAX_MIB = 1536
PROCESSES = 2
FIRST = datetime(2026, 3, 2, 8, tzinfo=UTC)

INGEST = (
    "import json, resource, sys, time\n"
    "import quartet.settings\n"
    "from quartet.datasets.captures import SensorSourceDataset\n"
    "from quartet.datasets.sensor_store.readings import ReadingStoreDataset\n"
    "from quartet.datasets.sensor_store.tables import SensorTablesDataset\n"
    "from quartet.sensors.ingestion import ingest\n"
    "from quartet.sensors.settings import SensorIngestion\n"
    "captures, folder, workers = sys.argv[1:]\n"
    "start = time.perf_counter()\n"
    "source = SensorSourceDataset(filepath=captures).load()\n"
    "store = ReadingStoreDataset(filepath=f'{folder}/readings').load()\n"
    "tables = SensorTablesDataset(url=f'sqlite:///{folder}/sensors.db').load()\n"
    "cursor = tables.cursor('ingestion')\n"
    "watermark = cursor and cursor.watermark\n"
    "settings = SensorIngestion(workers=int(workers))\n"
    "readings = windows = 0\n"
    "for batch in ingest(source, store, tables.files(), watermark, settings):\n"
    "    tables.publish(batch)\n"
    "    readings += sum(entry.readings for entry in batch.files)\n"
    "    windows += len(batch.windows)\n"
    "seconds = time.perf_counter() - start\n"
    "own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF,"
    " resource.RUSAGE_CHILDREN))\n"
    "busy = sum(usage.ru_utime + usage.ru_stime for usage in (own, others))\n"
    "peaks = [usage.ru_maxrss / 1024 for usage in (own, others)]\n"
    "print(json.dumps({'readings': readings, 'windows': windows, 'seconds': seconds,"
    " 'busy': busy, 'own_mib': peaks[0], 'other_mib': peaks[1]}))\n"
)


def make_quarter_hour(quarter):
    """The events of a quarter of the first hour, uncompressed."""
    generator = np.random.default_rng(quarter)
    values = generator.normal(60, 5, A_FILE).round(4).tolist()
    kinds = ("temperature", "vibration", "pressure", "current")
    start = FIRST + timedelta(minutes=15 * quarter)
    events = []
    for number in range(A_FILE):
        sensor = number % SENSORS
        moment = start + timedelta(seconds=number * PERIOD / SENSORS)
        timestamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = {
            "device": f"press-{sensor // 4:04d}",
            "sensor": kinds[sensor % 4],
            "timestamp": timestamp,
            "value": values[number],
        }
        events.append(
            {
                "SequenceNumber": 1_000_000 + number,
                "Offset": str(4_294_967_296 + 240 * number),
                # Of fixed length, so that another hour can be put in its place.
                "EnqueuedTimeUtc": f"{moment:%m/%d/%Y %I:%M:%S %p}",
                "SystemProperties": {"x-opt-enqueued-time": int(moment.timestamp() * 1000)},
                "Properties": {"schema": "v1"},
                "Body": json.dumps(body).encode(),
            }
        )
    return avro(events, codec="null")


def shift_to_hour(content, start):
    """The same quarter of an hour later, deflated as Capture does."""
    for old, new in (
        (b"2026-03-02T08:", f"{start:%Y-%m-%dT%H:}"),
        (b"03/02/2026 08:", f"{start:%m/%d/%Y %I:}"),
        (b" AM", f" {start:%p}"),
    ):
        content = content.replace(old, new.encode())
    deflated = io.BytesIO()
    writer = fastavro.write.Writer(deflated, SCHEMA, codec="deflate")
    for block in fastavro.block_reader(io.BytesIO(content)):
        writer.write_block(block)
    writer.flush()
    return deflated.getvalue()


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    """A folder of capture files for each number of readings; the smaller link to the largest."""
    folders = {size: tmp_path_factory.mktemp("captures") for size in SIZES}
    quarters = [make_quarter_hour(quarter) for quarter in range(4)]
    for number in range(SIZES[-1] // A_FILE):
        start = FIRST + timedelta(minutes=15 * number)
        name = f"plant/telemetry/0/{start:%Y/%m/%d/%H/%M/%S}.avro"
        largest = folders[SIZES[-1]] / name
        largest.parent.mkdir(parents=True, exist_ok=True)
        largest.write_bytes(shift_to_hour(quarters[number % 4], start))
        for size in SIZES[:-1]:
            if number < size // A_FILE:
                link = folders[size] / name
                link.parent.mkdir(parents=True, exist_ok=True)
                os.link(largest, link)
    return folders


def run(captures, folder, workers=PROCESSES):
    result = subprocess.run(
        [sys.executable, "-c", INGEST, str(captures), str(folder), str(workers)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def measured(captures, tmp_path_factory):
    """What ingesting each number took, in processes of its own."""
    found = {}
    for size in SIZES:
        folder = tmp_path_factory.mktemp("ingested")
        found[size] = run(captures[size], folder)
        assert found[size]["readings"] == size
        found[size]["again"] = run(captures[size], folder)
        assert found[size]["again"]["readings"] == 0
    return found


def plain_recipe(content, folder):
    """The windows of one capture file as one would write it down."""
    events = fastavro.reader(io.BytesIO(content))
    frame = pd.DataFrame([json.loads(event["Body"]) for event in events])
    frame["timestamp"] = pd.to_datetime(frame["timestamp"])
    frame = frame.drop_duplicates(["device", "sensor", "timestamp"])
    end = frame["timestamp"].dt.ceil("300s").rename("window_end")
    windows = frame.groupby(["device", "sensor", end])["value"].agg(
        ["count", "mean", "std", "min", "max", "last"]
    )
    windows.to_sql("windows", create_engine(f"sqlite:///{folder}/plain.db"))
    return windows


def test_readings_per_second(captures, measured, record, tmp_path):
    start = os.times()
    file = next(path for path in sorted(captures[SIZES[0]].rglob("*.avro")))
    assert plain_recipe(file.read_bytes(), tmp_path)["count"].sum() == A_FILE
    end = os.times()
    plain = A_FILE / (end.elapsed - start.elapsed)
    speeds = {size: size / facts["seconds"] for size, facts in measured.items()}
    record(
        SECTION,
        f"readings ingested a second into SQLite by {PROCESSES} processes, of so many",
        reference=f"{plain:,.0f} by fastavro, json, pandas and to_sql, of {A_FILE:,}",
        quartet=", ".join(f"{speed:,.0f} of {size:,}" for size, speed in speeds.items()),
        target=f"≥ {LEAST_A_SECOND:,}",
        reached=speeds[SIZES[-1]] >= LEAST_A_SECOND,
    )
    busy = {size: 1e6 * facts["busy"] / size for size, facts in measured.items()}
    record(
        SECTION,
        "processor time a reading, all processes, of so many",
        quartet=", ".join(f"{each:.1f} µs of {size:,}" for size, each in busy.items()),
        target=f"≤ {1e6 * PROCESSES / LEAST_A_SECOND:.0f} µs",
        reached=max(busy.values()) <= 1e6 * PROCESSES / LEAST_A_SECOND,
    )


def test_peak_memory(measured, record):
    peaks = {
        size: facts["own_mib"] + PROCESSES * facts["other_mib"] for size, facts in measured.items()
    }
    _, middle, last = SIZES
    slope = (peaks[last] - peaks[middle]) / ((last - middle) / 1e6)
    at_100_million = peaks[last] + slope * (100 - last / 1e6)
    record(
        SECTION,
        "peak memory of all processes together, of so many readings",
        reference="grows with the file",
        quartet=", ".join(f"{peak:,.0f} MiB of {size:,}" for size, peak in peaks.items())
        + f"; {slope:+.1f} MiB a million from {middle:,} on",
        target=f"< {MAX_MIB} MiB at 100 million",
        reached=max(at_100_million, *peaks.values()) < MAX_MIB,
    )


def test_a_run_without_new_files(measured, record):
    seconds = {size: facts["again"]["seconds"] for size, facts in measured.items()}
    record(
        SECTION,
        "seconds of a run that finds nothing new, after so many readings",
        reference="reads all again",
        quartet=", ".join(f"{each:.2f} s of {size:,}" for size, each in seconds.items()),
    )
