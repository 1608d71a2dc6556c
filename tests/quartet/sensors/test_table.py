"""Rows of a table are read as readings, and invalid rows are quarantined."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import quartet.settings  # noqa: F401  registers the file system, as Kedro does on start-up
from quartet.datasets.captures import SensorSourceDataset
from quartet.datasets.sensor_store.readings import ReadingStoreDataset
from quartet.sensors.settings import SensorIngestion
from quartet.sensors.table import decode_table
from sensors.fakes import MemoryStore, Tables, column, count_reasons, ingest_all, list_pairs
from support import real_data

NOON = 1_535_544_000_000_000  # 2018-08-29 12:00 UTC
SETTINGS = SensorIngestion(window_seconds=300, workers=1)


@dataclass
class Part:
    table: pa.Table
    malformed: list = field(default_factory=list)
    name: str = "t.csv#1"
    version: str = "1"
    time_format: str = "ISO 8601"

    @property
    def rows(self):
        return np.arange(1, self.table.num_rows + 1)


def part(stamps, values, devices="d", sensors="s"):
    columns = {"TS": stamps, "Device": devices, "Sensor": sensors, "Value": values}
    rows = len(stamps)
    spread = {
        name: [column] * rows if isinstance(column, str) else column
        for name, column in columns.items()
    }
    return Part(pa.table(spread))


def decoded(part, **options):
    return decode_table(part, NOON, SensorIngestion(**options))


def seconds(result):
    return [time / 1e6 for time in column(result, "timestamp")]


def test_text_without_a_zone_is_read_in_the_zone_of_the_table():
    stamps = ["2018-08-28 23:00:05.000", "2018-08-28T23:00:05"]
    expected = pd.Timestamp("2018-08-28T23:00:05Z").timestamp()
    assert seconds(decoded(part(stamps, ["1", "2"]))) == [expected] * 2
    madrid = decoded(part(stamps, ["1", "2"]), table_zone="Europe/Madrid")
    assert seconds(madrid) == [expected - 7200] * 2


def test_an_explicit_time_zone_is_used():
    stamps = ["2018-08-28 23:00:05Z", "2018-08-28 23:00:05+02:00", "2018-08-28 23:00:05"]
    result = decoded(part(stamps, ["1", "2", "3"]), table_zone="America/New_York")
    first = pd.Timestamp("2018-08-28T23:00:05Z").timestamp()
    assert seconds(result) == [first, first - 7200, first + 4 * 3600]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_typed_columns_are_read_like_text(unit):
    moment = pd.Timestamp("2018-08-28T23:00:05")
    plain = pa.array([moment], pa.timestamp(unit))
    zoned = pa.array([moment.tz_localize("Europe/Madrid")], pa.timestamp(unit, "Europe/Madrid"))
    for stamps in (plain, zoned):
        for values in (
            pa.array([4.5], pa.float64()),
            pa.array([4.5], pa.float32()),
            pa.array([Decimal("4.5")], pa.decimal128(9, 3)),
            pa.array(["4.5"], pa.large_string()),
        ):
            result = decoded(
                part(stamps, values, pa.array([1], pa.int8()), pa.array(["s"]).dictionary_encode()),
                table_zone="Europe/Madrid",
            )
            assert seconds(result) == [moment.timestamp() - 7200]
            assert column(result, "value") == [4.5]
            assert list_pairs(result) == {("1", "s")}


@pytest.mark.parametrize(
    ("stamp", "value", "reason"),
    [
        (None, "1", "timestamp is missing"),
        ("28/08/2018 23:00", "1", "timestamp is not ISO 8601"),
        ("2018-08-29 12:05:01", "1", "timestamp is in the future"),
        ("2018-08-29", "high", "value is not a number"),
    ],
)
def test_an_invalid_row_is_quarantined_with_its_number(stamp, value, reason):
    stamps = ["2018-08-29 00:00:01", stamp, "2018-08-29 00:00:02"]
    result = decoded(part(stamps, ["1", value, "2"]))
    assert column(result, "sequence") == [1, 3]
    assert result.quarantine == [("t.csv#1", 2, reason, f"d,s,{stamp},{value}")]


def test_integers_are_values_and_booleans_are_not():
    result = decoded(part(["2018-08-29"], pa.array([7], pa.int32())))
    assert column(result, "value") == [7.0]
    flags = decoded(part(["2018-08-29"], pa.array([True])))
    assert count_reasons(flags) == {"value is not a number": 1}


def table_source(path):
    return SensorSourceDataset(filepath=str(path.parent), table=str(path)).load()


def write(path, *rows):
    path.write_text("TS,Device,Sensor,Value\n" + "".join(f"{row}\n" for row in rows))


def test_a_corrected_table_replaces_its_readings(tmp_path):
    path, store, tables = tmp_path / "t.csv", MemoryStore(), Tables()
    write(path, "2018-08-28 23:00:05,1,1,10", "2018-08-28 23:00:06,1,1,99")
    ingest_all(table_source(path), store, tables, SETTINGS)
    assert tables.windows["maximum"].tolist() == [99]
    write(path, "2018-08-28 23:00:05,1,1,10", "2018-08-28 23:00:06,1,1,9.5")
    ingest_all(table_source(path), store, tables, SETTINGS)
    assert tables.windows["maximum"].tolist() == [10]
    assert tables.windows["readings"].tolist() == [2]
    assert tables.files[["readings", "duplicates"]].to_numpy().tolist() == [[2, 0]]
    other = tmp_path / "other.csv"
    write(other, "2018-08-28 23:00:07,1,1,11")
    ingest_all(table_source(other), store, tables, SETTINGS)
    assert tables.windows[["readings", "maximum"]].to_numpy().tolist() == [[3, 11]]


def test_windows_of_the_reference_table_equal_those_of_pandas(tmp_path):
    """17,768 rows of 15 sensors, with timestamps without a time zone."""
    uniform = real_data("sensors/uniform_15_sensors.csv")
    store = ReadingStoreDataset(filepath=str(tmp_path)).load()
    tables = ingest_all(table_source(uniform), store, Tables(), SETTINGS)
    assert tables.files[["readings", "duplicates", "quarantined"]].to_numpy().tolist() == [
        [17_768, 0, 0]
    ]
    frame = pd.read_csv(uniform, parse_dates=["TS"])
    end = frame["TS"].dt.ceil("300s")
    expected = frame.groupby(["Device", "Sensor", end])["Value"].agg(
        ["count", "mean", "min", "max", "last"]
    )
    deviation = frame.groupby(["Device", "Sensor", end])["Value"].std(ddof=0)
    found = tables.windows
    assert found["window_end"].tolist() == expected.index.get_level_values("TS").tolist()
    assert found["device"].astype(int).tolist() == expected.index.get_level_values(0).tolist()
    assert found["readings"].tolist() == expected["count"].tolist()
    np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-12)
    np.testing.assert_allclose(found["standard_deviation"], deviation, rtol=1e-9)
    for statistic, name in (("minimum", "min"), ("maximum", "max"), ("last_value", "last")):
        assert found[statistic].tolist() == expected[name].tolist()
    assert tables.watermark == pd.Timestamp("2018-08-29 03:10:00")


@pytest.mark.parametrize(
    ("stamps", "is_local"),
    [
        (["2018-08-28 23:00:05", "2018-08-28 23:00:06"], True),
        (["2018-08-28 23:00:05Z", "2018-08-28 23:00:06"], True),
        (["2018-08-28 23:00:05Z", "2018-08-28 23:00:06+02:00"], False),
        (["2018-08-28 23:00:05Z", "soon"], False),
        (["1535497205", "1535497206"], False),
    ],
)
def test_the_zone_of_times_without_one_is_logged_with_its_parameter(
    tmp_path, caplog, stamps, is_local
):
    path = tmp_path / "t.csv"
    write(path, *(f"{stamp},1,1,10" for stamp in stamps))
    settings = SETTINGS.model_copy(update={"table_zone": "Europe/Madrid"})
    with caplog.at_level("INFO", "quartet.sensors.ingestion"):
        ingest_all(table_source(path), MemoryStore(), Tables(), settings)
    expected = (
        f"{path}: times without a zone are read as Europe/Madrid; set sensor_ingestion.table_zone "
        "for another zone"
    )
    assert [text for text in caplog.messages if "zone" in text] == [expected] * is_local


def test_the_zone_is_logged_once_for_all_parts_of_a_table(caplog):
    names = ("t.csv#1", "t.csv#2", "t.csv#3")
    parts = [replace(part(["2018-08-28 23:00:05"], ["1"]), name=name) for name in names]
    source = SimpleNamespace(table=parts, parts=lambda: iter(parts))
    with caplog.at_level("INFO", "quartet.sensors.ingestion"):
        ingest_all(source, MemoryStore(), Tables(), SETTINGS)
    assert sum("without a zone" in text for text in caplog.messages) == 1
