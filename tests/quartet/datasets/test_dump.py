"""A dump must be found however it is packed, and a broken download must not pass as a whole one."""

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
    *(b'  <row Id="%d" />\r\n' % i for i in range(50_000)),
    b"</posts>",
]
CONTENT = b"".join(LINES)
PACKED = {"": CONTENT, ".gz": gzip.compress(CONTENT), ".bz2": bz2.compress(CONTENT)}


def dataset(path):
    return DumpFileDataset(filepath=str(path))


@pytest.mark.parametrize("there", ["", ".gz", ".bz2"])
@pytest.mark.parametrize("named", ["", ".gz", ".bz2"])
def test_a_file_is_found_under_its_other_names(tmp_path, named, there):
    (tmp_path / f"Posts.xml{there}").write_bytes(PACKED[there])
    file = dataset(tmp_path / f"Posts.xml{named}").load()
    assert file.name.endswith(f"Posts.xml{there}")
    assert list(file.lines()) == LINES
    assert list(file.lines()) == LINES


@pytest.mark.parametrize("there", [".gz", ".bz2"])
def test_content_not_name_tells_whether_a_file_is_packed(tmp_path, there):
    path = tmp_path / "Posts.xml"
    path.write_bytes(PACKED[there])
    assert list(dataset(path).load().lines()) == LINES


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_streams_packed_one_after_the_other_are_all_read(tmp_path, pack):
    path = tmp_path / "Posts.xml.gz"
    parts = [pack(CONTENT[start : start + 100_000]) for start in range(0, len(CONTENT), 100_000)]
    path.write_bytes(b"".join(parts))
    assert b"".join(dataset(path).load().lines()) == CONTENT


@pytest.mark.parametrize("padding", [0, 1, 5_000])
@pytest.mark.parametrize("further", [-1, 0, 1])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_stream_may_end_where_a_chunk_does_with_or_without_padding(
    tmp_path, monkeypatch, pack, further, padding
):
    first, second = pack(LINES[0]), pack(b"".join(LINES[1:]))
    path = tmp_path / "Posts.xml"
    path.write_bytes(first + b"\0" * padding + second + b"\0" * padding)
    monkeypatch.setattr(dump, "_CHUNK_BYTES", len(first) + further)
    assert list(dataset(path).load().lines()) == LINES


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_empty_streams_are_passed_over(tmp_path, monkeypatch, pack):
    empty = pack(b"")
    path = tmp_path / "Posts.xml"
    path.write_bytes(empty + pack(LINES[0]) + empty + pack(b"".join(LINES[1:])) + empty)
    monkeypatch.setattr(dump, "_CHUNK_BYTES", len(empty))
    assert list(dataset(path).load().lines()) == LINES


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_damaged_stream_after_a_sound_one_is_refused_with_the_place(tmp_path, monkeypatch, pack):
    first, second = pack(LINES[0]), pack(LINES[1])
    path = tmp_path / "Posts.xml"
    monkeypatch.setattr(dump, "_CHUNK_BYTES", len(first))
    path.write_bytes(first + b"garbage " * 5)
    with pytest.raises(DatasetError, match=r"damaged compressed file .* before byte [\d,]+; fetch"):
        list(dataset(path).load().lines())
    path.write_bytes(first + second[:-1])
    with pytest.raises(DatasetError, match="ends in the middle of its compressed stream"):
        list(dataset(path).load().lines())


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
@pytest.mark.parametrize("missing", [1, 9, 1000])
def test_a_packed_file_cut_short_is_refused_with_its_length(tmp_path, suffix, missing):
    path = tmp_path / f"Posts.xml{suffix}"
    path.write_bytes(PACKED[suffix][:-missing])
    length = f"{len(PACKED[suffix]) - missing:,}"
    with pytest.raises(DatasetError, match=f"ends in the middle .* at byte {length}") as error:
        list(dataset(path).load().lines())
    assert str(path) in str(error.value)


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
def test_a_damaged_packed_file_is_refused_with_the_place(tmp_path, suffix):
    content = bytearray(PACKED[suffix])
    middle = len(content) // 2
    content[middle : middle + 40] = b"garbage " * 5
    path = tmp_path / f"Posts.xml{suffix}"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"damaged compressed file .* before byte [\d,]+; fetch"):
        list(dataset(path).load().lines())


def test_an_archive_as_downloaded_is_told_to_be_unpacked(tmp_path):
    path = tmp_path / "Posts.xml"
    path.write_bytes(b"7z\xbc\xaf\x27\x1c" + b"\0" * 100)
    with pytest.raises(DatasetError, match="7z archive; unpack it first"):
        list(dataset(path).load().lines())


def test_a_missing_file_is_named_with_what_was_looked_for(tmp_path):
    with pytest.raises(DatasetError) as error:
        dataset(tmp_path / "Posts.xml.gz").load()
    message = str(error.value)
    assert str(tmp_path / "Posts.xml.gz") in message
    assert "nor Posts.xml, Posts.xml.bz2 beside it" in message
    assert "--params faq_dump=FOLDER" in message


def test_a_file_without_line_ends_is_not_read_into_memory_at_once(tmp_path):
    path = tmp_path / "Posts.xml"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    tracemalloc.start()
    size = sum(len(line) for line in dataset(path).load().lines())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 200_000_000
    assert peak < 80_000_000


def test_reading_may_stop_early(tmp_path):
    path = tmp_path / "Posts.xml.gz"
    path.write_bytes(PACKED[".gz"])
    lines = dataset(path).load().lines()
    assert next(lines) == LINES[0]
    lines.close()


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
def test_the_same_lines_give_the_same_file_on_any_file_system(tmp_path, suffix):
    path, url = tmp_path / f"Posts.xml{suffix}", f"memory:///dump-test/Posts.xml{suffix}"
    dataset(path).save(CONTENT)
    dataset(url).save(iter(LINES))
    assert path.read_bytes() == fsspec.filesystem("memory").cat(url)
    assert list(dataset(url).load().lines()) == LINES


def test_a_failed_save_keeps_the_file_that_was_there(tmp_path):
    path = tmp_path / "Posts.xml.gz"
    dataset(path).save(CONTENT)

    def failing():
        yield LINES[0]
        raise OSError("the disk is full")

    with pytest.raises((OSError, DatasetError)):
        dataset(path).save(failing())
    assert list(dataset(path).load().lines()) == LINES
