"""Finished segments are found by their key, and by no other."""

import io
from pathlib import Path

import fsspec
import pytest

from quartet.datasets.segments import SegmentStoreDataset


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()
    url = str(tmp_path / "segments") if request.param == "local" else "memory:///segments"
    return SegmentStoreDataset(filepath=url).load()


def test_names_are_listed_by_key(store):
    assert store.names("w1") == set()
    store.write("w1", "0.mp4", b"first")
    store.write("w1", "64.mp4", b"second")
    store.write("w2", "0.mp4", b"other")
    assert store.names("w1") == {"0.mp4", "64.mp4"}
    assert store.read("w2", "0.mp4") == b"other"


def test_names_may_be_hidden_files(store):
    """Segments are named like pictures, which may be hidden files."""
    store.write("w", ".a.png", b"x")
    assert store.names("w") == {".a.png"}


def test_sources_load_segments_on_access(store):
    for name in ("a", "b", "c"):
        store.write("w", name, name.encode())
    sources = store.sources("w", ["c", "a", "b"])
    contents = []
    for source in sources:
        if isinstance(source, str):
            contents.append(Path(source).read_bytes())
        else:
            assert isinstance(source, io.BytesIO)
            assert source.name in "abc"
            contents.append(source.read())
    assert contents == [b"c", b"a", b"b"]
    assert len(sources) == 3
    assert len(sources[1:]) == 2


def test_clear_deletes_the_segments_of_one_key(store):
    store.write("w1", "a", b"x")
    store.write("w2", "a", b"y")
    store.clear("w1")
    store.clear("never begun")
    assert store.names("w1") == set()
    assert store.names("w2") == {"a"}


def test_unfinished_segment_is_not_listed(tmp_path):
    store = SegmentStoreDataset(filepath=str(tmp_path)).load()
    store.write("w", "a", b"x")
    (tmp_path / "w" / ".b.1234abcd.part").write_bytes(b"half")
    assert store.names("w") == {"a"}
