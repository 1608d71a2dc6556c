"""A small file must not fill memory or run for hours, and honest files must all be read."""

import bz2
import gzip
import lzma
import struct
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from quartet.datasets.compression import FREE_BYTES, check_expansion
from quartet.datasets.dump import DumpFileDataset
from quartet.datasets.idx import IDXDataset
from quartet.datasets.tables import QuestionsDataset, TSVDataset

ZEROS = 150_000_000
PEAK = 60_000_000
"""Bytes that a reader may allocate; less than the limit of any file."""


@pytest.fixture(scope="module")
def gzip_bomb() -> bytes:
    """150 kB that expand to 150 MB."""
    return gzip.compress(bytes(ZEROS))


def peak_of(function) -> int:
    tracemalloc.start()
    try:
        function()
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_dump_that_expands_too_far_is_refused_in_constant_memory(tmp_path, compress) -> None:
    path = tmp_path / "Posts.xml"
    path.write_bytes(compress(b'<posts><row Id="1" />\n' + bytes(ZEROS)))

    def read() -> None:
        with pytest.raises(DatasetError, match=r"Posts.xml: its [\d,]+ bytes expand to more than"):
            for _ in DumpFileDataset(filepath=str(path)).load().lines():
                pass

    assert peak_of(read) < 2 * PEAK  # a line of 16 MB, and its copies


@pytest.mark.parametrize("line", [b"1\tone\n", b""])
def test_table_that_expands_too_far_is_refused(tmp_path, gzip_bomb, line) -> None:
    path = tmp_path / "ans.tsv.gz"
    path.write_bytes(gzip.compress(line) + gzip_bomb)
    dataset = TSVDataset(filepath=str(path), columns=["Id", "Text0"])
    with pytest.raises(DatasetError, match=r"expand to more than|UTF-8"):
        dataset.load()


def test_questions_that_expand_too_far_are_refused(tmp_path) -> None:
    path = tmp_path / "q.csv.gz"
    path.write_bytes(gzip.compress(b"Text0\n" + b"why\n" * (ZEROS // 4)))
    with pytest.raises(DatasetError, match="expand to more than"):
        QuestionsDataset(filepath=str(path)).load()


def test_parquet_questions_that_expand_too_far_are_refused(tmp_path) -> None:
    path = tmp_path / "q.parquet"
    texts = pa.array(["x" * 500_000] * 300)
    pq.write_table(pa.table({"Text0": texts}), path, compression="zstd")
    assert path.stat().st_size < 100_000

    def read() -> None:
        with pytest.raises(DatasetError, match="expand to more than"):
            QuestionsDataset(filepath=str(path)).load()

    assert peak_of(read) < PEAK


def images(path):
    return IDXDataset(filepath=str(path), dtype="uint8")


@pytest.mark.parametrize("content", [b"", bytes(7)])
def test_idx_header_is_checked_before_the_values_are_read(tmp_path, gzip_bomb, content) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    header = struct.pack(">BBBBIII", 0, 0, 8, 3, ZEROS // 784, 28, 28)
    path.write_bytes(gzip.compress(header + content) + gzip_bomb)

    def read() -> None:
        with pytest.raises(DatasetError, match="expand to more than"):
            images(path).load()

    assert peak_of(read) < PEAK
    header = struct.pack(">BBBBIII", 0, 0, 8, 3, 2, 28, 28)
    path.write_bytes(gzip.compress(header + content) + gzip_bomb)
    assert peak_of(read) < PEAK  # longer than its header says


@pytest.mark.parametrize("lengths", [(2**32 - 1,) * 3, (2**20, 2**20, 28)])
def test_idx_header_that_promises_petabytes_is_refused(tmp_path, lengths) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(struct.pack(">BBBBIII", 0, 0, 8, 3, *lengths) + bytes(100))
    with pytest.raises(DatasetError, match="expand to more than"):
        IDXDataset(filepath=str(path)).load()


def test_idx_of_many_dimensions_is_refused(tmp_path) -> None:
    path = tmp_path / "a"
    path.write_bytes(struct.pack(">BBBB200I", 0, 0, 8, 200, *[1] * 200) + b"x")
    with pytest.raises(DatasetError, match="not an IDX file"):
        IDXDataset(filepath=str(path)).load()


def test_honest_files_are_read_whatever_they_repeat(tmp_path) -> None:
    blank = np.zeros((10_000, 28, 28), np.uint8)
    images(tmp_path / "blank.gz").save(blank)
    np.testing.assert_array_equal(images(tmp_path / "blank.gz").load(), blank)
    table = pd.DataFrame({"Text0": ["the same"] * 200_000})
    table.to_csv(tmp_path / "q.csv.gz", index=False)
    table.to_parquet(tmp_path / "q.parquet")
    for name in ("q.csv.gz", "q.parquet"):
        assert len(QuestionsDataset(filepath=str(tmp_path / name)).load()) == len(table)


def test_limit_is_of_the_size_of_the_file() -> None:
    check_expansion("a", 10, FREE_BYTES)
    check_expansion("a", 10_000_000, 1_000_000_000)
    check_expansion("a", None, 10_000_000_000)  # a web server need not tell the size
    with pytest.raises(DatasetError, match="expand to more than 100,000,000 "):
        check_expansion("a", 10, FREE_BYTES + 1)
    with pytest.raises(DatasetError, match="expand to more than 1,000,000,000 "):
        check_expansion("a", 10_000_000, 1_000_000_001)


@pytest.mark.parametrize("name", ["zip", "xz", "7z"])
def test_other_archives_are_named(tmp_path, name) -> None:
    path = tmp_path / "data.csv"
    if name == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("q.csv", "Text0\nwhy\n")
    else:
        path.write_bytes(lzma.compress(b"Text0\n") if name == "xz" else b"7z\xbc\xaf\x27\x1c")
    readers = [
        QuestionsDataset(filepath=str(path)).load,
        TSVDataset(filepath=str(path), columns=["Id"]).load,
        lambda: list(DumpFileDataset(filepath=str(path)).load().lines()),
    ]
    for read in readers:
        with pytest.raises(DatasetError, match=rf"data.csv: is a {name} archive, expected .*extr"):
            read()
