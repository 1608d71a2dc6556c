"""Finished segments must be found again by the work they belong to, and by no other."""

import io
from pathlib import Path

import fsspec
import pytest

from quartet.datasets.segments import SegmentStoreDataset


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()
    place = str(tmp_path / "segments") if request.param == "local" else "memory:///segments"
    return SegmentStoreDataset(filepath=place).load()


def test_segments_are_listed_by_work(store):
    assert store.names("w1") == set()
    store.write("w1", "0.mp4", b"first")
    store.write("w1", "64.mp4", b"second")
    store.write("w2", "0.mp4", b"other")
    assert store.names("w1") == {"0.mp4", "64.mp4"}
    assert store.read("w2", "0.mp4") == b"other"


def test_a_segment_of_any_name_is_found_again(store):
    """Segments are called as the pictures are, and one may be hidden."""
    store.write("w", ".a.png", b"x")
    assert store.names("w") == {".a.png"}


def test_segments_are_handed_over_one_by_one(store):
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


def test_given_up_work_is_gone_and_the_other_stays(store):
    store.write("w1", "a", b"x")
    store.write("w2", "a", b"y")
    store.clear("w1")
    store.clear("never begun")
    assert store.names("w1") == set()
    assert store.names("w2") == {"a"}


def test_a_segment_that_is_being_written_is_not_there_yet(tmp_path):
    store = SegmentStoreDataset(filepath=str(tmp_path)).load()
    store.write("w", "a", b"x")
    (tmp_path / "w" / ".b.1234abcd.part").write_bytes(b"half")
    assert store.names("w") == {"a"}
