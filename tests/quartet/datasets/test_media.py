"""Videos, pictures and folders are distinguished and read on any storage."""

import fsspec
import numpy as np
import pytest
from kedro.io.core import DatasetError
from PIL import Image

from quartet.datasets.media import MediaDataset, encode_picture
from quartet.datasets.pictures import decode_picture


@pytest.fixture
def folder(tmp_path):
    for index, name in enumerate(("b.JPG", "a.png", "notes.txt", "ä b;'c.webp")):
        if not name.endswith(".txt"):
            Image.new("RGB", (30, 20), (index, 9, 9)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def media(path, **options):
    return MediaDataset(filepath=str(path), hint="--params video=FILE", **options).load()


def test_folder_lists_its_pictures_sorted(folder):
    found = media(folder)
    assert found.pictures == ("a.png", "b.JPG", "ä b;'c.webp")
    assert found.is_folder
    assert found.stem == found.name == folder.name
    assert found.read_picture("a.png").shape == (20, 30, 3)


def test_folder_ignores_hidden_files(folder):
    """macOS adds a `._a.png` to each `a.png`."""
    for name in ("._a.png", ".c.jpg"):
        (folder / name).write_bytes((folder / "a.png").read_bytes())
    assert media(folder).pictures == ("a.png", "b.JPG", "ä b;'c.webp")
    (folder / "hidden").mkdir()
    (folder / "hidden/.c.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match="contains no pictures"):
        media(folder / "hidden")


@pytest.mark.parametrize("name", ["clip.mp4", "clip", "a.tar.mkv", "party.gif", "ü 'x;y.webm"])
def test_other_files_are_videos_opened_by_path(tmp_path, name):
    (tmp_path / name).write_bytes(b"frames")
    found = media(tmp_path / name)
    assert found.pictures == ()
    with found.open() as source:
        assert source == str(tmp_path / name)


def test_remote_video_is_opened_as_a_seekable_file():
    fsspec.filesystem("memory").pipe("/incoming/clip.mp4", b"0123456789")
    found = media("memory:///incoming/clip.mp4")
    with found.open() as source:
        assert source.name == "clip.mp4"
        source.seek(4)
        assert source.read(3) == b"456"


def test_pictures_on_remote_storage(folder):
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/pictures/a.png", (folder / "a.png").read_bytes())
    found = media("memory:///pictures")
    assert found.pictures == ("a.png",)
    assert found.read_picture("a.png").shape == (20, 30, 3)


def test_missing_file_and_empty_folder_raise_with_hint(tmp_path):
    with pytest.raises(DatasetError, match=r"clip\.mp4: no such file; --params video=FILE"):
        media(tmp_path / "clip.mp4")
    with pytest.raises(DatasetError, match="contains no pictures; --params video=FILE"):
        media(tmp_path)


def test_encoding_is_lossless_as_png_and_accurate_as_jpeg():
    rows, columns = np.mgrid[:40, :60]
    pixels = np.stack([rows * 6, columns * 4, rows + columns], -1).astype(np.uint8)
    assert np.array_equal(decode_picture(encode_picture(pixels, ".png")), pixels)
    decoded = decode_picture(encode_picture(pixels, ".JPEG")).astype(int)
    assert np.abs(decoded - pixels).max() <= 8
