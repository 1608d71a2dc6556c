"""Dumps are read with any compression, and damaged downloads raise errors."""

import bz2
import gzip
import tracemalloc

import fsspec
import pytest
from kedro.io import DatasetError

import quartet.settings  # noqa: F401  registers the file system, as Kedro does on start-up
from quartet.datasets import dump
from quartet.datasets.dump import DumpFileDataset

LINES = [
    b"\xef\xbb\xbf<posts>\r\n",
    *(b'  <row Id="%d" />\r\n' % i for i in range(20_000)),
    b"</posts>",
]
CONTENT = b"".join(LINES)
COMPRESSED = {"": CONTENT, ".gz": gzip.compress(CONTENT), ".bz2": bz2.compress(CONTENT)}


def dataset(path):
    return DumpFileDataset(filepath=str(path))


@pytest.mark.parametrize("suffix_on_disk", ["", ".gz", ".bz2"])
@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
def test_file_is_found_under_alternative_names(tmp_path, suffix, suffix_on_disk):
    (tmp_path / f"Posts.xml{suffix_on_disk}").write_bytes(COMPRESSED[suffix_on_disk])
    file = dataset(tmp_path / f"Posts.xml{suffix}").load()
    assert file.name.endswith(f"Posts.xml{suffix_on_disk}")
    assert list(file.lines()) == LINES
    assert list(file.lines()) == LINES


@pytest.mark.parametrize("padding", [0, 5_000])
@pytest.mark.parametrize("further", [-1, 0, 1])
@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_stream_may_end_at_a_chunk_boundary(tmp_path, monkeypatch, compress, further, padding):
    first, second = compress(LINES[0]), compress(b"".join(LINES[1:]))
    path = tmp_path / "Posts.xml"
    path.write_bytes(first + b"\0" * padding + second + b"\0" * padding)
    monkeypatch.setattr(dump, "_CHUNK_BYTES", len(first) + further)
    assert list(dataset(path).load().lines()) == LINES


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_empty_streams_are_skipped(tmp_path, monkeypatch, compress):
    empty = compress(b"")
    path = tmp_path / "Posts.xml"
    path.write_bytes(empty + compress(LINES[0]) + empty + compress(b"".join(LINES[1:])) + empty)
    monkeypatch.setattr(dump, "_CHUNK_BYTES", len(empty))
    assert list(dataset(path).load().lines()) == LINES


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_damaged_second_stream_raises_with_position(tmp_path, monkeypatch, compress):
    first, second = compress(LINES[0]), compress(LINES[1])
    path = tmp_path / "Posts.xml"
    monkeypatch.setattr(dump, "_CHUNK_BYTES", len(first))
    path.write_bytes(first + b"garbage " * 5)
    with pytest.raises(DatasetError, match=r"is damaged .* before byte [\d,]+; download"):
        list(dataset(path).load().lines())
    path.write_bytes(first + second[:-1])
    with pytest.raises(DatasetError, match="compressed stream is truncated"):
        list(dataset(path).load().lines())


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
@pytest.mark.parametrize("missing", [1, 9, 1000])
def test_truncated_file_raises_with_length(tmp_path, suffix, missing):
    path = tmp_path / f"Posts.xml{suffix}"
    path.write_bytes(COMPRESSED[suffix][:-missing])
    length = f"{len(COMPRESSED[suffix]) - missing:,}"
    with pytest.raises(DatasetError, match=f"stream is truncated at byte {length}") as error:
        list(dataset(path).load().lines())
    assert str(path) in str(error.value)


def test_missing_file_raises_with_alternative_names(tmp_path):
    with pytest.raises(DatasetError) as error:
        dataset(tmp_path / "Posts.xml.gz").load()
    message = str(error.value)
    assert str(tmp_path / "Posts.xml.gz") in message
    assert "nor Posts.xml, Posts.xml.bz2 beside it" in message
    assert "--params faq_dump=FOLDER" in message


def test_file_without_line_ends_uses_bounded_memory(tmp_path):
    path = tmp_path / "Posts.xml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    tracemalloc.start()
    size = sum(len(line) for line in dataset(path).load().lines())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 100_000_000
    assert peak < 60_000_000


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
def test_saved_bytes_are_reproducible_on_any_storage(tmp_path, suffix):
    path, url = tmp_path / f"Posts.xml{suffix}", f"memory:///dump-test/Posts.xml{suffix}"
    dataset(path).save(CONTENT)
    dataset(url).save(iter(LINES))
    assert path.read_bytes() == fsspec.filesystem("memory").cat(url)
    assert list(dataset(url).load().lines()) == LINES


def test_failed_save_keeps_the_old_file(tmp_path):
    path = tmp_path / "Posts.xml.gz"
    dataset(path).save(CONTENT)

    def failing():
        yield LINES[0]
        raise OSError("the disk is full")

    with pytest.raises((OSError, DatasetError)):
        dataset(path).save(failing())
    assert list(dataset(path).load().lines()) == LINES
