"""The simulated stream has the layout of Event Hubs Capture, and its labels are correct."""

import io
from collections import Counter, defaultdict
from datetime import datetime

import fastavro
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from quartet.sensors.capture import decode_capture
from quartet.sensors.event_patterns import SCHEMA
from quartet.sensors.fleet_anomalies import ANOMALIES
from quartet.sensors.readings import PairEncoder, concatenate
from quartet.sensors.settings import Fleet, SensorIngestion
from quartet.sensors.simulator import write_captures
from quartet.sensors.windows import drop_duplicates

SECOND = 1_000_000
KEYS = ["device", "sensor", "timestamp"]
SAMPLE = Fleet(
    seed=20260302,
    devices=3,
    sensors=3,
    capture_seconds=21_600,
    faulty=16,
    repeated=24,
    late=36,
)
SMALL = Fleet(
    seed=7, devices=2, sensors=3, days=2, normal_days=1, anomalies_per_day=5, capture_seconds=3600
)


@pytest.fixture(scope="module")
def sample():
    return write_captures(SAMPLE)


def decode(path, content):
    return decode_capture(content, path, SensorIngestion())


@pytest.fixture(scope="module")
def decoded(sample):
    return [decode(*file) for file in sample.files.items()]


def to_table(decoded):
    """Return the distinct readings of decoded files."""
    table = concatenate([each.readings for each in decoded]).to_pandas()
    table = table.astype({"device": str, "sensor": str}).drop_duplicates(KEYS)
    return table.assign(time=table["timestamp"].astype("datetime64[us]"))


def records(content):
    return list(fastavro.reader(io.BytesIO(content)))


def quiet(**changes):
    """Return a fleet without anomalies and lost readings."""
    return SMALL.model_copy(update={"anomalies_per_day": 0, "lost": 0.0, **changes})


def select_values(table, pair):
    chosen = table[(table["device"] == pair[0]) & (table["sensor"] == pair[1])]
    return chosen.sort_values("timestamp")


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(sample):
    small = write_captures(SMALL)
    again = write_captures(SMALL)
    assert small.files == again.files
    pd.testing.assert_frame_equal(small.labels, again.labels)
    other = write_captures(SMALL.model_copy(update={"seed": 8}))
    assert not set(small.files.values()) & set(other.files.values())


def test_all_kinds_of_anomaly_come_after_the_normal_days(sample):
    labels = sample.labels
    assert set(labels["kind"]) == set(ANOMALIES)
    counts = Counter(labels["kind"])
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len(labels) == 18  # six a day in three days
    assert labels["start"].min() >= pd.Timestamp("2026-03-07")
    assert labels["end"].max() < pd.Timestamp("2026-03-10")
    assert (labels["end"] >= labels["start"]).all()
    assert labels["start"].is_monotonic_increasing


def test_anomalies_of_one_sensor_are_apart(sample):
    for _, group in sample.labels.groupby(["device", "sensor"]):
        gap = group["start"].to_numpy()[1:] - group["end"].to_numpy()[:-1]
        assert (gap > np.timedelta64(1, "h")).all()


def test_ingestion_finds_all_readings_faults_duplicates_and_late_readings(sample, decoded):
    encoder = PairEncoder()
    encoded = encoder.encode(concatenate([each.readings for each in decoded]))
    distinct, duplicates = drop_duplicates(encoded, encoder.pairs)
    assert len(distinct) == sample.readings
    assert len(duplicates) == sample.repeated > 24
    assert sum(each.files[0].quarantined for each in decoded) == sample.faulty == 16
    assert sample.late > 36
    late = 0
    for (path, content), found in zip(sample.files.items(), decoded, strict=True):
        arrival = {
            event["SequenceNumber"]: parse_enqueued_time(event) for event in records(content)
        }
        columns = (found.readings.column(name).to_pylist() for name in ("sequence", "timestamp"))
        for number, measured in zip(*columns, strict=True):
            late += arrival[number] * SECOND - measured > 3 * 3600 * SECOND + 2 * SECOND
        assert path.startswith("plant/telemetry/")
    # A repeat comes within three hours, a late one after two to twelve.
    assert 0.5 * sample.late < late <= sample.late


def parse_enqueued_time(event):
    moment = datetime.strptime(event["EnqueuedTimeUtc"] + " +0000", "%m/%d/%Y %I:%M:%S %p %z")
    return moment.timestamp()


def test_files_have_the_layout_of_event_hubs_capture(sample):
    following = defaultdict(int)
    for path, content in sample.files.items():
        reader = fastavro.reader(io.BytesIO(content))
        assert [field["name"] for field in reader.writer_schema["fields"]] == [
            field["name"] for field in SCHEMA["fields"]
        ]
        assert reader.codec == "deflate"
        events = list(reader)
        namespace, hub, partition, *time = path.removesuffix(".avro").split("/")
        assert (namespace, hub, len(time)) == ("plant", "telemetry", 6)
        start = datetime.strptime("/".join(time) + " +0000", "%Y/%m/%d/%H/%M/%S %z").timestamp()
        numbers = [event["SequenceNumber"] for event in events]
        assert numbers == list(range(following[partition], following[partition] + len(events)))
        following[partition] += len(events)
        arrivals = [parse_enqueued_time(event) for event in events]
        assert arrivals == sorted(arrivals)
        assert start <= arrivals[0]
        assert arrivals[-1] < start + 21_600
        devices = {event["SystemProperties"]["x-opt-partition-key"] for event in events}
        assert devices <= ({"device-1", "device-3"} if partition == "0" else {"device-2"})
    assert set(following) == {"0", "1"}


def around(table, label):
    """Return the values during an event, and those of the sensor's five normal days."""
    values = select_values(table, (label.device, label.sensor))
    during = values[(values["time"] >= label.start) & (values["time"] <= label.end)]
    normal = values[values["time"] < pd.Timestamp("2026-03-07")]
    return during["value"].to_numpy(), normal


def test_labels_match_the_disturbed_readings(sample, decoded):
    table = to_table(decoded)
    for label in sample.labels.itertuples():
        during, normal = around(table, label)
        center, deviation = normal["value"].mean(), normal["value"].std()
        minutes = (label.end - label.start) // pd.Timedelta("1min") + 1
        far = np.abs(during - center) / deviation
        match label.kind:
            case "spike":
                assert minutes <= 3
                assert far.max() > 2
            case "stuck":
                assert minutes >= 60
                assert len(set(during)) == 1
            case "dropout":
                assert minutes >= 30
                assert len(during) < 0.5 * minutes
            case "level_shift":
                assert minutes >= 60
                assert abs(during.mean() - center) > 1.2 * deviation
            case "drift":
                assert minutes >= 240
                last, first = during[-20:].mean(), during[:20].mean()
                assert abs(last - first) > 1.2 * deviation


def test_anomalies_change_only_labelled_readings(sample, decoded):
    calm = write_captures(SAMPLE.model_copy(update={"anomalies_per_day": 0}))
    expected = to_table([decode(*file) for file in calm.files.items()])
    both = to_table(decoded).merge(expected, on=KEYS, how="right", suffixes=("", "_calm"))
    both["time"] = both["timestamp"].astype("datetime64[us]")
    different = both["value"].isna() | (both["value"] != both["value_calm"])
    inside = np.zeros(len(both), dtype=bool)
    for label in sample.labels.itertuples():
        inside |= (
            (both["device"] == label.device)
            & (both["sensor"] == label.sensor)
            & (both["time"] >= label.start)
            & (both["time"] <= label.end)
        ).to_numpy()
    assert not different[~inside].any()
    assert different[inside].mean() > 0.8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"anomalies_per_day": 500}, "500 anomalies do not fit"),
        ({"period_seconds": 43_200}, "too few for an anomaly"),
        ({"late": 10_000}, "more than half"),
    ],
)
def test_an_impossible_fleet_is_rejected_with_a_hint(changes, words):
    with pytest.raises(ValueError, match=words):
        write_captures(SMALL.model_copy(update=changes))


@pytest.mark.parametrize("start", ["2026-03-02T00:00:00", "Monday"])
def test_a_start_without_time_zone_is_rejected(start):
    with pytest.raises(ValidationError, match="with a zone"):
        Fleet(seed=1, start=start)


def test_periods_below_a_second_are_supported():
    fleet = quiet(days=0.01, normal_days=0, period_seconds=0.5, devices=1, sensors=1)
    (content,) = write_captures(fleet).files.values()
    times = decode("x", content).readings.column("timestamp").to_numpy()
    np.testing.assert_array_equal(np.diff(np.sort(times)), 500_000)
