"""What was dropped in must be told apart, read where it lies, and named when it is broken."""

import fsspec
import numpy as np
import pytest
from kedro.io.core import DatasetError
from PIL import Image

from quartet.datasets.media import MediaDataset, encode_picture
from quartet.datasets.pictures import decode_picture


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("b.JPG", "a.png", "notes.txt", "ä b;'c.webp")):
        if not name.endswith(".txt"):
            Image.new("RGB", (30, 20), (number, 9, 9)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def media(path, **options):
    return MediaDataset(filepath=str(path), hint="--params video=FILE", **options).load()


def test_a_folder_has_its_pictures_in_order_and_nothing_else(folder):
    found = media(folder)
    assert found.pictures == ("a.png", "b.JPG", "ä b;'c.webp")
    assert found.is_folder
    assert found.stem == found.name == folder.name
    assert found.read_picture("a.png").shape == (20, 30, 3)


def test_hidden_files_are_no_pictures_of_a_folder(folder):
    """macOS lays a `._a.png` beside each `a.png`; nobody wants it stylized."""
    for name in ("._a.png", ".c.jpg"):
        (folder / name).write_bytes((folder / "a.png").read_bytes())
    assert media(folder).pictures == ("a.png", "b.JPG", "ä b;'c.webp")
    (folder / "hidden").mkdir()
    (folder / "hidden/.c.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match="a folder without pictures"):
        media(folder / "hidden")


def test_a_picture_is_one_of_its_own(folder):
    found = media(folder / "a.png")
    assert (found.pictures, found.is_folder, found.stem) == (("a.png",), False, "a")
    assert found.read_picture("a.png")[0, 0].tolist() == [1, 9, 9]


@pytest.mark.parametrize("name", ["clip.mp4", "clip", "a.tar.mkv", "party.gif", "ü 'x;y.webm"])
def test_all_else_is_taken_for_a_video_and_handed_over_as_a_path(tmp_path, name):
    (tmp_path / name).write_bytes(b"frames")
    found = media(tmp_path / name)
    assert found.pictures == ()
    with found.open() as source:
        assert source == str(tmp_path / name)


def test_a_video_on_remote_storage_is_read_where_it_lies():
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


def test_what_is_missing_or_empty_is_named_with_what_to_do(tmp_path):
    with pytest.raises(DatasetError, match=r"clip\.mp4: no such file; --params video=FILE"):
        media(tmp_path / "clip.mp4")
    with pytest.raises(DatasetError, match="a folder without pictures; --params video=FILE"):
        media(tmp_path)


def test_a_damaged_picture_is_named(folder):
    content = (folder / "b.JPG").read_bytes()
    (folder / "b.JPG").write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match=r"b\.JPG: not a whole picture"):
        media(folder).read_picture("b.JPG")


def test_it_is_never_written(tmp_path):
    with pytest.raises(DatasetError, match="an input, never an output"):
        MediaDataset(filepath=str(tmp_path / "a.mp4")).save("frames")


def test_a_picture_is_kept_exactly_as_png_and_nearly_as_jpeg():
    rows, columns = np.mgrid[:40, :60]
    pixels = np.stack([rows * 6, columns * 4, rows + columns], -1).astype(np.uint8)
    assert np.array_equal(decode_picture(encode_picture(pixels, ".png")), pixels)
    kept = decode_picture(encode_picture(pixels, ".JPEG")).astype(int)
    assert np.abs(kept - pixels).max() <= 8
