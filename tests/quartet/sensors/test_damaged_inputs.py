"""Whatever happened to a file of readings: it is refused in words, or its valid readings count."""

import gzip
import json
import random
from functools import partial

import pytest
from kedro.io import DatasetError

from quartet.datasets.location import Location
from quartet.datasets.sensor_store.reading_table import ReadingTable
from quartet.sensors.capture import decode_capture
from quartet.sensors.events import UnreadableCaptureError
from quartet.sensors.settings import SensorIngestion
from quartet.sensors.table import decode_table
from sensors.fakes import event, reading
from sensors.test_body_formats import COMPRESS, container, encode

SETTINGS = SensorIngestion()
ROWS = 60
NOW = 2_000_000_000_000_000
HOSTILE = (
    *(b"", b"\x00", b"\xff", b"\xc3", b'"', b"\n", b"\r", b",", b"\\", b"[", b"{", b"9" * 400),
    *(b"NaN", b"1e999", b"null", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"-", b"\\ud800"),
)


def mutate(content, generator):
    """Return a copy with one to four changes: other bits, bytes lost, doubled, or hostile ones."""
    content = bytearray(content)
    for _ in range(generator.randint(1, 4)):
        place = generator.randrange(len(content) + 1)
        length = generator.choice((1, 1, 2, 8, 64))
        match generator.randrange(5):
            case 0 if content:
                content[place % len(content)] ^= 1 << generator.randrange(8)
            case 1:
                del content[place : place + length]
            case 2:
                content[place:place] = content[place : place + length]
            case 3:
                content[place : place + length] = generator.choice(HOSTILE)
            case _:
                del content[place:]
    return bytes(content)


def capture_of(codec, lines=False):
    bodies = [reading(second, second / 7) for second in range(ROWS)]
    if lines:
        bodies = ["\n".join(map(json.dumps, bodies[:30])).encode(), *bodies[30:]]
    events = [event(body, number) for number, body in enumerate(bodies)]
    return container([(len(events), COMPRESS[codec](encode(events)))], codec)


def csv_table():
    rows = (
        f"2026-03-02T09:00:{second:02d}Z,press-{second % 3},p,{second / 7}" for second in range(60)
    )
    return ("TS,Device,Sensor,Value\n" + "\n".join(rows) + "\n").encode()


def read_capture(content, folder):
    return [decode_capture(content, "a.avro", SETTINGS)]


def read_table(content, folder, suffix):
    path = folder / f"t{suffix}"
    path.write_bytes(content)
    parts = ReadingTable(Location.from_filepath(str(path))).parts()
    return [decode_table(part, NOW, SETTINGS) for part in parts]


KINDS = {
    **{f"avro {codec}": (capture_of(codec), read_capture) for codec in COMPRESS},
    "avro of lines": (capture_of("null", lines=True), read_capture),
    "csv": (csv_table(), partial(read_table, suffix=".csv")),
    "csv.gz": (gzip.compress(csv_table(), mtime=0), partial(read_table, suffix=".csv.gz")),
}


def run(kind, mutations, folder, seed=0):
    content, read = KINDS[kind]
    for number in range(mutations):
        damaged = mutate(content, random.Random(f"{kind} {seed} {number}"))
        try:
            batches = read(damaged, folder)
        except (UnreadableCaptureError, DatasetError) as error:
            assert str(error).encode()  # and can be written
            assert "\n" not in str(error)[:80], error
            continue
        for batch in batches:
            (entry,) = batch.files
            assert entry.readings == batch.readings.num_rows
            assert entry.quarantined == sum(batch.rejected.values())
            assert all(fault.body.encode() is not None for fault in batch.quarantine)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_file_is_refused_or_its_valid_readings_count(kind, tmp_path):
    run(kind, 25, tmp_path)


@pytest.mark.integration
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(kind, tmp_path):
    run(kind, 200, tmp_path, seed=1)
