"""Tables of readings in the names, layouts and formats that people have them in."""

import gzip
import logging
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

import quartet.settings  # noqa: F401  registers the file system, as Kedro does on start-up
from quartet.datasets.captures import SensorSourceDataset
from quartet.sensors.settings import SensorIngestion
from quartet.sensors.table import decode_table
from sensors.fakes import column, count_reasons, list_pairs

NOW = 1_800_000_000_000_000
TIMES = ["2026-03-02T08:00:00Z", "2026-03-02T08:00:10Z"]


def source(path, **columns):
    return SensorSourceDataset(filepath=str(path.parent), table=str(path), columns=columns)


def parts(path, **columns):
    return list(source(path, **columns).load().parts())


def write(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def readings(path, **columns):
    """Time, device, sensor and value of each reading, in order."""
    found = set()
    for part in parts(path, **columns):
        batch = decode_table(part, NOW, SensorIngestion())
        assert not batch.rejected
        names = ("timestamp", "device", "sensor", "value")
        times, *others = (column(batch, name) for name in names)
        texts = [pd.Timestamp(time, unit="us").isoformat() for time in times]
        found |= set(zip(texts, *others, strict=True))
    return sorted(found)


EXPECTED = [
    ("2026-03-02T08:00:00", "press-1", "p", 1.5),
    ("2026-03-02T08:00:10", "press-1", "p", 2.5),
]


@pytest.mark.parametrize(
    ("name", "lines", "columns"),
    [
        ("t.csv", ["ts,DEVICE,sensor,value", "{0}Z,press-1,p,1.5", "{1}Z,press-1,p,2.5"], {}),
        (
            "t.tsv",
            ["TS\tDevice\tSensor\tValue", "{0}\tpress-1\tp\t1.5", "{1}\tpress-1\tp\t2.5"],
            {},
        ),
        ("t.txt", ["Value;TS;Device;Sensor", "1,5;{0};press-1;p", "2,5;{1};press-1;p"], {}),
        (
            "t.csv",
            ["when,machine,signal,reading", "{0},press-1,p,1.5", "{1},press-1,p,2.5"],
            {"time": "when", "device": "machine", "sensor": "signal", "value": "Reading"},
        ),
        ("press-1.csv", ["TS,p", "{0},1.5", "{1},2.5"], {"layout": "wide"}),
        ("press-1.csv", ["TS,Sensor,Value", "{0},p,1.5", "{1},p,2.5"], {"device": "file_name"}),
        ("t.csv", ["Device,p,TS", "press-1,1.5,{0}", "press-1,2.5,{1}"], {"layout": "wide"}),
        (
            "t.csv",
            ["sep=|", "TS|Device|Sensor|Value", "{0}|press-1|p|1.5", "{1}|press-1|p|2.5"],
            {},
        ),
    ],
)
def test_delimited_file_is_read(tmp_path, name, lines, columns) -> None:
    lines = [line.format(*(time.removesuffix("Z") for time in TIMES)) for line in lines]
    path = write(tmp_path / name, *lines)
    assert readings(path, **columns) == EXPECTED
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert readings(tmp_path / f"{name}.gz", **columns) == EXPECTED


@pytest.mark.parametrize(
    ("lines", "proposal"),
    [
        (
            ["time,machine,sensor,value", "1,2,3,4"],
            "sensor_columns.time=time,sensor_columns.device=machine",
        ),
        (["timestamp,temperature", "1,2"], "sensor_columns.layout=wide"),
        (["TS,Sensor,Value", "1,2,3"], "set sensor_columns.device=file_name"),
    ],
)
def test_error_proposes_what_to_set(tmp_path, lines, proposal) -> None:
    with pytest.raises(DatasetError) as raised:
        source(write(tmp_path / "t.csv", *lines)).check_at_start()
    assert proposal in str(raised.value)


def test_device_of_a_wide_table_is_not_guessed(tmp_path) -> None:
    """Or the readings of all machines would be those of one."""
    path = write(tmp_path / "t.csv", "TS,machine,p", f"{TIMES[0]},1,2")
    with pytest.raises(DatasetError, match=r"sensor_columns\.device=machine"):
        parts(path, layout="wide")
    found = readings(path, layout="wide", device="machine")
    assert found == [("2026-03-02T08:00:00", "1", "p", 2.0)]


def test_formats_are_checked_before_the_run(tmp_path) -> None:
    path = write(tmp_path / "t.csv", "TS,Device,Sensor,Value", "01/02/2026,d,s,1")
    with pytest.raises(DatasetError, match=r"sensor_columns\.time_format=MM/DD/YYYY"):
        source(path).check_at_start()
    found = readings(path, time_format="MM/DD/YYYY")
    assert found == [("2026-01-02T00:00:00", "d", "s", 1.0)]


def test_wide_table_has_a_reading_in_each_cell(tmp_path, caplog) -> None:
    path = write(
        tmp_path / "pump.csv",
        ",TS,temperature,state,vibration",
        f"0,{TIMES[0]},60.5,ok,",
        "1,2",
        f"2,{TIMES[1]},NaN,ok,0.25",
        f"3,{TIMES[1]},high,ok,0.5",
    )
    with caplog.at_level(logging.WARNING):
        (part,) = parts(path, layout="wide")
    assert "ignored columns without numbers: state" in caplog.text
    assert sorted(
        zip(
            part.rows, *(part.table.column(n).to_pylist() for n in ("Sensor", "Value")), strict=True
        )
    ) == [
        (1, "temperature", "60.5"),
        (3, "vibration", "0.25"),
        (4, "temperature", "high"),
        (4, "vibration", "0.5"),
    ]
    assert set(part.table.column("Device").to_pylist()) == {"pump"}
    batch = decode_table(part, NOW, SensorIngestion())
    assert count_reasons(batch) == {"value is not a number": 1, "wrong number of columns": 1}


def test_wide_parquet_may_mix_types(tmp_path) -> None:
    frame = pd.DataFrame(
        {"a": [1, 2], "b": [1.5, np.nan], "c": [Decimal("2.5"), None], "d": ["3,5", "4"]},
        index=pd.to_datetime(TIMES).rename("ts"),
    )
    frame["ok"] = True
    frame.to_parquet(tmp_path / "press-1.parquet")
    values = [
        (sensor, value)
        for _, _, sensor, value in readings(tmp_path / "press-1.parquet", layout="wide")
    ]
    assert sorted(values) == [("a", 1), ("a", 2), ("b", 1.5), ("c", 2.5), ("d", 3.5), ("d", 4)]


def test_parts_of_a_wide_table_have_as_many_readings(tmp_path) -> None:
    from quartet.datasets.location import Location
    from quartet.datasets.sensor_store.reading_table import ReadingTable
    from quartet.datasets.sensor_store.sensor_columns import SensorColumns

    path = write(tmp_path / "d.csv", "TS,a,b", *(f"{TIMES[0]},{row},{row}" for row in range(7)))
    table = ReadingTable(Location.from_filepath(str(path)), 4, SensorColumns(layout="wide"))
    found = list(table.parts())
    assert [part.table.num_rows for part in found] == [4, 4, 4, 2]
    assert [part.name[-2:] for part in found] == ["#1", "#3", "#5", "#7"]


def test_identifiers_are_exact_text(tmp_path) -> None:
    ids = ["007", "7", "Q-10", "12345678901234567890"]
    path = write(
        tmp_path / "t.csv", "TS,Device,Sensor,Value", *(f"{TIMES[0]},{each},1e5,1" for each in ids)
    )
    (part,) = parts(path)
    assert list_pairs(decode_table(part, NOW, SensorIngestion())) == {(each, "1e5") for each in ids}
    large = [Decimal("12345678901234567890123"), Decimal(7)]
    rows = {"TS": TIMES, "Device": large, "Sensor": [2**60 + 1] * 2, "Value": [1.0, 2.0]}
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    (part,) = parts(tmp_path / "t.parquet")
    assert list_pairs(decode_table(part, NOW, SensorIngestion())) == {
        ("12345678901234567890123", "1152921504606846977"),
        ("7", "1152921504606846977"),
    }


def test_version_changes_with_the_options(tmp_path) -> None:
    """Or a table with a corrected option would count as ingested."""
    path = write(tmp_path / "t.csv", "TS,Device,Sensor,Value,Other", f"{TIMES[0]},d,s,1,2")
    plain, same, other = (
        parts(path, **options)[0].version
        for options in ({}, {"value": "Value"}, {"value": "other"})
    )
    assert plain == same != other


def test_reason_names_the_format(tmp_path) -> None:
    rows = ["15.02.2026,d,s,1", "soon,d,s,1"]
    (part,) = parts(write(tmp_path / "t.csv", "TS,Device,Sensor,Value", *rows))
    assert count_reasons(decode_table(part, NOW, SensorIngestion())) == {
        "timestamp is not DD.MM.YYYY": 1
    }


def test_columns_without_a_table_are_an_error(tmp_path) -> None:
    """Or the setting would have no effect, and nobody would know."""
    captures = SensorSourceDataset(filepath=str(tmp_path), columns={"time": "t"})
    with pytest.raises(DatasetError, match="set --params sensor_table=FILE"):
        captures.check_at_start()
    SensorSourceDataset(filepath=str(tmp_path), columns={"time": "TS"}).check_at_start()
