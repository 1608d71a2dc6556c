"""Nobody may ever see an output that is not whole, or lose the one before to a failure."""

import fsspec
import pytest

from quartet.datasets.published import PublishedFolderDataset


@pytest.fixture(params=["local", "memory"])
def place(request, tmp_path):
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()
    return str(tmp_path / "out") if request.param == "local" else "memory:///out"


@pytest.fixture
def folder(place):
    return PublishedFolderDataset(filepath=place).load()


def content(folder, name):
    with folder.fetch(name) as path:
        return path.read_bytes()


def listed(place):
    filesystem, path = fsspec.core.url_to_fs(place)
    return filesystem.find(path) if filesystem.exists(path) else []


def test_a_file_appears_under_its_name_when_it_is_whole(folder, place):
    with folder.create("ä 'b;c.mp4") as path:
        path.write_bytes(b"half")
        assert not [name for name in listed(place) if name.endswith("out/ä 'b;c.mp4")]
        path.write_bytes(b"whole")
    assert content(folder, "ä 'b;c.mp4") == b"whole"
    assert len(listed(place)) == 1


def test_a_failure_publishes_nothing_and_keeps_what_was_there(folder, place):
    with folder.create("a.mp4") as path:
        path.write_bytes(b"old")
    with pytest.raises(ValueError, match="one frame too few"), folder.create("a.mp4") as path:
        path.write_bytes(b"new")
        raise ValueError("one frame too few")
    assert content(folder, "a.mp4") == b"old"
    assert len(listed(place)) == 1


def test_a_file_may_lie_in_a_folder(folder):
    with folder.create("holiday_wave/1.png") as path:
        path.write_bytes(b"x")
    assert content(folder, "holiday_wave/1.png") == b"x"
    assert folder.get_path("holiday_wave/1.png").endswith("out/holiday_wave/1.png")
