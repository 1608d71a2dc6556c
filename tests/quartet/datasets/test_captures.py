"""Capture files are listed in time order on any storage; tables are read in parts."""

import gzip
import io
import os
import pickle

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

import quartet.settings  # noqa: F401  registers the file system, as Kedro does on start-up
from kedro_cloud.compat import dataset_file
from quartet.datasets import utf8
from quartet.datasets.captures import SensorSourceDataset
from quartet.datasets.location import Location
from quartet.datasets.sensor_store.reading_table import ReadingTable
from quartet.datasets.utf8 import SUBSTITUTE

CSV = "TS,Device,Sensor,Value\n" + "".join(
    f"2018-08-28 23:00:{second:02d}.000,{second % 3},s,{second}.5\n" for second in range(10)
)


def write(folder, name, content=b"x"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def source(folder, **options):
    return SensorSourceDataset(filepath=str(folder), **options).load()


def table(path, rows=500_000):
    return ReadingTable(Location.from_filepath(str(path)), rows)


def column(parts, name):
    return [value for part in parts for value in part.table.column(name).to_pylist()]


def test_files_are_sorted_by_time(tmp_path):
    names = [
        "plant/hub/1/2025/12/31/23/59/59.avro",
        "plant/hub/0/2026/03/02/08/00/00.avro",
        "plant/hub/1/2026/03/02/08/00/00.avro",
        "annex/hub/0/2026/03/02/08/05/00.avro",
        "plant/hub/0/2026/3/2/10/0/0.avro",
        "other.avro",
    ]
    for name in reversed(names):
        write(tmp_path, name)
    for name in ("plant/hub/0/2026/03/02/08/00/00.avro.tmp", "labels.csv"):
        write(tmp_path, name)
    assert [file.name for file in source(tmp_path).files()] == names


def test_read_returns_the_content_of_a_file(tmp_path):
    write(tmp_path, "a/b/0/2026/03/02/08/00/00.avro", b"content")
    found = source(f"{tmp_path}/")
    (file,) = found.files()
    assert pickle.loads(pickle.dumps(found)).read(file.name) == b"content"
    assert file.size == 7


def test_relative_paths_are_resolved(tmp_path, monkeypatch):
    write(tmp_path, "captures/a.avro", b"content")
    (tmp_path / "t.csv").write_text(CSV)
    monkeypatch.chdir(tmp_path)
    here = source("captures", table="t.csv")
    assert [file.name for file in here.files()] == ["a.avro"]
    assert here.read("a.avro") == b"content"
    # In the list of files a table is the same, wherever a run is started.
    assert next(here.parts()).name == f"{tmp_path}/t.csv#1"


def test_version_changes_with_the_file(tmp_path):
    path = write(tmp_path, "a.avro", b"1234")
    (first,) = source(tmp_path).files()
    assert source(tmp_path).files() == [first]
    os.utime(path, ns=(0, 5))
    (touched,) = source(tmp_path).files()
    path.write_bytes(b"12345")
    os.utime(path, ns=(0, 5))
    (grown,) = source(tmp_path).files()
    assert len({first.version, touched.version, grown.version}) == 3


def test_folder_on_other_storage():
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/captures/n/h/0/2026/03/02/08/00/00.avro", b"content")
    found = source("memory:///captures")
    (file,) = found.files()
    assert file.name == "n/h/0/2026/03/02/08/00/00.avro"
    assert found.read(file.name) == b"content"
    filesystem.pipe("/captures/n/h/0/2026/03/02/08/00/00.avro", b"content and more")
    (grown,) = found.files()
    assert grown.version != file.version


def test_missing_folder_raises_with_hint(tmp_path):
    with pytest.raises(DatasetError, match=r"gone: no such folder; .*sensor_captures=FOLDER"):
        source(tmp_path / "gone").files()


def test_csv_values_are_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(CSV)
    (part,) = source(tmp_path, table=str(path)).parts()
    assert part.name == f"{path}#1"
    assert part.table.column_names == ["TS", "Device", "Sensor", "Value"]
    assert part.table.slice(1, 1).to_pylist() == [
        {"TS": "2018-08-28 23:00:01.000", "Device": "1", "Sensor": "s", "Value": "1.5"}
    ]
    assert part.rows.tolist() == list(range(1, 11))
    assert part.malformed == []


def test_parts_have_the_same_length_for_csv_and_parquet(tmp_path):
    (tmp_path / "t.csv").write_text("\ufeff" + CSV)
    frame = pd.read_csv(tmp_path / "t.csv", dtype=str)
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "t.parquet", row_group_size=3)
    for name in ("t.csv", "t.parquet"):
        parts = list(table(tmp_path / name, rows=4).parts())
        assert [part.table.num_rows for part in parts] == [4, 4, 2]
        assert [part.name[-2:] for part in parts] == ["#1", "#5", "#9"]
        assert column(parts, "Value") == [f"{second}.5" for second in range(10)]
        assert np.concatenate([part.rows for part in parts]).tolist() == list(range(1, 11))
        assert len({part.version for part in parts}) == 1
        assert len(list(table(tmp_path / name, rows=5).parts())) == 2


def test_parquet_keeps_types_and_may_have_more_columns(tmp_path):
    columns = {"More": [0], "Value": [1.5], "Sensor": [2], "Device": [1], "TS": [pd.Timestamp(0)]}
    pd.DataFrame(columns).to_parquet(tmp_path / "t.parquet")
    (part,) = table(tmp_path / "t.parquet").parts()
    assert part.table.column("Device").to_pylist() == [1]
    assert pa.types.is_timestamp(part.table.schema.field("TS").type)


def test_rows_with_another_number_of_columns_are_malformed(tmp_path):
    lines = CSV.splitlines()
    lines.insert(3, "2018,1")  # the third row
    lines.insert(8, "2018,1,s,1.0,more")  # the eighth
    lines.append("the end")  # the thirteenth
    (tmp_path / "t.csv").write_text("\n".join(lines))
    for rows in (4, 5, 100):
        parts = list(table(tmp_path / "t.csv", rows).parts())
        malformed = [row for part in parts for row in part.malformed]
        assert malformed == [(3, "2018,1"), (8, "2018,1,s,1.0,more"), (13, "the end")]
        numbers = np.concatenate([part.rows for part in parts]).tolist()
        assert numbers == [1, 2, 4, 5, 6, 7, 9, 10, 11, 12]


def test_missing_values_are_not_text(tmp_path):
    (tmp_path / "t.csv").write_text("TS,Device,Sensor,Value\n,NA,null,\n")
    (part,) = table(tmp_path / "t.csv").parts()
    assert part.table.to_pylist() == [{"TS": None, "Device": "NA", "Sensor": "null", "Value": None}]


def test_table_of_malformed_rows_only(tmp_path):
    (tmp_path / "t.csv").write_text("TS,Device,Sensor,Value\n1,2\n")
    (part,) = table(tmp_path / "t.csv").parts()
    assert (part.table.num_rows, part.malformed) == (0, [(1, "1,2")])


def test_suffix_may_be_uppercase(tmp_path):
    (tmp_path / "T.CSV").write_text(CSV)
    (tmp_path / "T.CSV.GZ").write_bytes(gzip.compress(CSV.encode()))
    plain, compressed = (list(table(tmp_path / name).parts()) for name in ("T.CSV", "T.CSV.GZ"))
    assert plain[0].table.equals(compressed[0].table)


def test_empty_table_has_one_empty_part(tmp_path):
    """Otherwise its removed rows would not be retracted."""
    (tmp_path / "t.csv").write_text("TS,Device,Sensor,Value\n")
    (part,) = table(tmp_path / "t.csv").parts()
    assert part.name == f"{tmp_path}/t.csv#1"
    assert part.table.num_rows == len(part.rows) == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "t.csv",
            b"TS,Device,Value\n1,2,3\n",
            "column Sensor is missing; found TS, Device, Value; .*sensor_columns.layout=wide",
        ),
        ("t.csv", b"", "cannot be read as a table"),
        ("t.csv", CSV.encode("utf-16"), "its text is not UTF-8; save it as UTF-8"),
        ("t.csv.gz", gzip.compress(CSV.encode() * 99, mtime=0)[:-9], "cannot be read as a table"),
        ("t.csv.gz", CSV.encode(), "cannot be read as a table"),
        ("t.parquet", b"PAR1 and no more", "cannot be read as a table"),
        ("t.xlsx", b"PK", r"suffix is \.xlsx; expected \.csv, \.csv\.gz, \.parquet"),
        ("t.csv.zip", b"PK", r"suffix is \.zip; expected "),
        ("table", CSV.encode(), "suffix is missing; expected "),
        ("gone.xlsx", None, "no such file; set it with --params sensor_table=FILE"),
        ("gone.csv", None, "no such file; set it with --params sensor_table=FILE"),
    ],
)
def test_unreadable_table_raises_with_reason(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message) as error:
        list(table(tmp_path / name).parts())
    assert str(tmp_path / name) in str(error.value)


def test_column_that_appears_twice_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("TS,Device,Sensor,Value,Value\n1,d,s,1,2\n")
    columns = [pa.array(["1"])] * 5
    twice = pa.Table.from_arrays(columns, names=["TS", "TS", "Device", "Sensor", "Value"])
    pq.write_table(twice, tmp_path / "t.parquet")
    for name, column_name in (("t.csv", "Value"), ("t.parquet", "TS")):
        with pytest.raises(DatasetError, match=f"column '{column_name}' appears twice; rename"):
            list(table(tmp_path / name).parts())


def test_undecodable_bytes_are_marked_in_their_row_only(tmp_path):
    rows = ["t,press,s,1", "t,caf\xe9,s,2", "t,\xc3\xa9,s,3", "t,caf\xe9,s"]
    (tmp_path / "t.csv").write_bytes(
        "\n".join(["TS,Device,Sensor,Value", *rows]).encode("latin-1") + b"\n"
    )
    (part,) = table(tmp_path / "t.csv").parts()
    assert part.table.column("Device").to_pylist() == ["press", f"caf{SUBSTITUTE}\\xe9", "é"]
    assert part.malformed == [(4, f"t,caf{SUBSTITUTE}\\xe9,s")]


def test_undecodable_header_is_no_obstacle(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"TS,Device,Sensor,Value,Gr\xf6sse\nt,d,s,1,2\n")
    (part,) = table(tmp_path / "t.csv").parts()
    assert part.table.num_rows == 1


def test_undecodable_text_of_parquet_is_marked(tmp_path):
    content = pa.array([b"press", b"caf\xe9", None], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, content.buffers())
    plain = pa.array(["a", "b", "c"])
    pq.write_table(
        pa.table({"TS": plain, "Device": text, "Sensor": plain, "Value": plain}),
        tmp_path / "t.parquet",
    )
    (part,) = table(tmp_path / "t.parquet").parts()
    assert part.table.column("Device").to_pylist() == ["press", f"caf{SUBSTITUTE}\\xe9", None]


@pytest.mark.parametrize("size", [1, 2, 3, 1 << 20])
def test_characters_across_chunks_are_decoded(size, monkeypatch):
    monkeypatch.setattr(utf8, "_CHUNK_BYTES", size)
    content = "a\u00e9\u20ac\U0001f600".encode() + b"\xff\xc3"
    stream = io.BufferedReader(utf8.UTF8Stream(io.BytesIO(content)), 7)
    expected = f"a\u00e9\u20ac\U0001f600{SUBSTITUTE}\\xff{SUBSTITUTE}\\xc3"
    assert stream.read().decode() == expected


def test_unclosed_quotation_mark_counts_every_row_that_it_takes(tmp_path):
    """Or one of ten rows would be reported, and nine missed."""
    rows = ["t,d,s,1"] * 3 + ['t,d,"s,1'] + ["t,d,s,1"] * 6
    (tmp_path / "t.csv").write_text("\n".join(["TS,Device,Sensor,Value", *rows]) + "\n")
    (part,) = table(tmp_path / "t.csv").parts()
    assert (part.table.num_rows, len(part.malformed)) == (3, 7)


@pytest.mark.parametrize("name", ["readings.csv", "~/readings.csv"])
def test_the_tracked_path_of_a_table_is_absolute(name, tmp_path, monkeypatch):
    """MLflow shows it, and does not log a table that it cannot find."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "readings.csv").write_text(CSV)
    dataset = SensorSourceDataset(filepath=str(tmp_path), table=name)
    assert dataset_file(dataset) == ("file", str(tmp_path / "readings.csv"))
