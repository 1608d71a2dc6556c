"""Only complete files are published, and failures keep the previous ones."""

import fsspec
import pytest

from quartet.datasets.published import PublishedFolderDataset


@pytest.fixture(params=["local", "memory"])
def url(request, tmp_path):
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()
    return str(tmp_path / "out") if request.param == "local" else "memory:///out"


@pytest.fixture
def folder(url):
    return PublishedFolderDataset(filepath=url).load()


def content(folder, name):
    with folder.fetch(name) as path:
        return path.read_bytes()


def list_files(url):
    filesystem, path = fsspec.core.url_to_fs(url)
    return filesystem.find(path) if filesystem.exists(path) else []


def test_file_appears_when_it_is_complete(folder, url):
    with folder.create("ä 'b;c.mp4") as path:
        path.write_bytes(b"half")
        assert not [name for name in list_files(url) if name.endswith("out/ä 'b;c.mp4")]
        path.write_bytes(b"whole")
    assert content(folder, "ä 'b;c.mp4") == b"whole"
    assert len(list_files(url)) == 1


def test_failure_keeps_the_previous_file(folder, url):
    with folder.create("a.mp4") as path:
        path.write_bytes(b"old")
    with pytest.raises(ValueError, match="one frame too few"), folder.create("a.mp4") as path:
        path.write_bytes(b"new")
        raise ValueError("one frame too few")
    assert content(folder, "a.mp4") == b"old"
    assert len(list_files(url)) == 1


def test_name_may_contain_a_folder(folder):
    with folder.create("holiday_wave/1.png") as path:
        path.write_bytes(b"x")
    assert content(folder, "holiday_wave/1.png") == b"x"
    assert folder.get_path("holiday_wave/1.png").endswith("out/holiday_wave/1.png")


def test_rehearsal_publishes_nothing(folder, url):
    with folder.rehearse("holiday_wave/1.png") as path:
        assert path.name == "1.png"
        path.write_bytes(b"x")
    assert list_files(url) == []


def test_rehearsal_finds_names_that_cannot_be_published(folder, tmp_path):
    with pytest.raises(ValueError, match="would have 256 bytes"), folder.rehearse("ä" * 128):
        pass
    with folder.create("taken/1.png") as path:
        path.write_bytes(b"x")
    if folder._location.is_local:
        with pytest.raises(ValueError, match="taken: is a folder"), folder.rehearse("taken"):
            pass


def test_failure_publishes_none_of_several_files(folder, url):
    with pytest.raises(OSError, match="No space"), folder.create_all(["a/1", "a/2"]) as paths:
        paths[0].write_bytes(b"x")
        raise OSError(28, "No space left on device")
    assert list_files(url) == []
    with folder.create_all(["a/1", "a/2"]) as paths:
        for path in paths:
            path.write_bytes(b"x")
    assert len(list_files(url)) == 2
