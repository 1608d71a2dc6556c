"""Pictures are decoded as displayed, and a damaged file does not affect the others."""

import base64
import hashlib
import io
import logging

import numpy as np
import pytest
from kedro.io import DatasetError
from PIL import Image

from quartet.datasets.live_picture import LivePictureDataset
from quartet.datasets.picture_folder import PictureFolderDataset
from quartet.datasets.pictures import PictureDataset, decode_picture

RED, WHITE = (250, 10, 10), (255, 255, 255)


def encode(picture, form="PNG", **options):
    content = io.BytesIO()
    picture.save(content, form, **options)
    return content.getvalue()


def two_halves(size=(40, 20)):
    """Red on the left, white on the right."""
    picture = Image.new("RGB", size, WHITE)
    picture.paste(RED, (0, 0, size[0] // 2, size[1]))
    return picture


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_common_formats_decode_to_rgb(form):
    pixels = decode_picture(encode(two_halves(), form))
    assert pixels.shape == (20, 40, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels[10, 5].astype(int) - RED).max() <= 10
    assert np.abs(pixels[10, 35].astype(int) - WHITE).max() <= 10


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "I;16", "I", "F", "RGBA"])
def test_all_modes_keep_their_brightness(mode):
    grey = np.repeat(np.uint8([[0, 128, 255]]), 2, axis=0)
    if mode in {"I;16", "I"}:
        picture = Image.fromarray(grey.astype(np.uint16) * 257).convert(mode)
    elif mode == "F":
        picture = Image.fromarray(grey.astype(np.float32) / 255)
    else:
        picture = Image.fromarray(grey).convert("RGB" if mode == "CMYK" else "L").convert(mode)
    pixels = decode_picture(encode(picture, "TIFF")).astype(int)
    assert pixels.shape == (2, 3, 3)
    ends = [0, 2] if mode == "1" else [0, 1, 2]  # there is no grey in black and white
    assert np.abs(pixels[:, ends] - grey[:, ends, None]).max() <= 2


def test_transparent_pixels_are_white():
    picture = two_halves().convert("RGBA")
    picture.putalpha(Image.new("L", picture.size, 0))
    assert (decode_picture(encode(picture)) == 255).all()
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0] * 256)
    assert (decode_picture(encode(palette, transparency=0)) == 255).all()


@pytest.mark.parametrize("longest", [None, 20])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(form, longest):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    pixels = decode_picture(encode(two_halves((80, 40)), form, exif=exif), longest)
    assert pixels.shape == ((80, 40, 3) if longest is None else (20, 10, 3))
    quarter = pixels.shape[0] // 4
    assert np.abs(pixels[quarter, 5].astype(int) - RED).max() <= 12
    assert np.abs(pixels[-quarter, 5].astype(int) - WHITE).max() <= 12


def test_only_large_pictures_are_scaled_down():
    content = encode(two_halves((3000, 1500)), "JPEG")
    assert decode_picture(content, 768).shape == (384, 768, 3)
    assert decode_picture(encode(two_halves()), 768).shape == (20, 40, 3)


def make_truncated(form):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    content = encode(Image.fromarray(noise), form)
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture", b"\xff\xd8\xff", *map(make_truncated, ("PNG", "JPEG", "WEBP"))],
    ids=["nothing", "text", "start", "PNG", "JPEG", "WEBP"],
)
def test_other_or_truncated_content_raises(content):
    with pytest.raises(ValueError, match=r".+"):
        decode_picture(content)


@pytest.mark.parametrize("root", ["{tmp}", "memory://pictures/painting"])
def test_picture_has_name_and_checksum(tmp_path, root):
    content = encode(two_halves())
    dataset = PictureDataset(filepath=f"{root.format(tmp=tmp_path)}/The wave (1).png")
    dataset._location.write(content)
    painting = dataset.load()
    assert painting.name == "The wave (1).png"
    assert painting.sha256 == hashlib.sha256(content).hexdigest()
    np.testing.assert_array_equal(painting.pixels, np.asarray(two_halves()))
    shown = Image.open(io.BytesIO(base64.b64decode(dataset.preview())))
    assert shown.size == two_halves().size


def test_missing_or_damaged_picture_raises_with_hint(tmp_path):
    path = tmp_path / "painting.jpg"
    dataset = PictureDataset(filepath=str(path), hint="--params painting=FILE")
    with pytest.raises(DatasetError, match=rf"{path}: no such file; --params painting=FILE"):
        dataset.load()
    path.write_bytes(encode(two_halves((200, 100)), "JPEG")[:300])
    with pytest.raises(DatasetError, match=rf"{path}: not a complete picture .*--params painting"):
        dataset.load()
    with pytest.raises(DatasetError, match="read-only"):
        dataset.save("a picture")


@pytest.fixture(params=["{tmp}/photos", "memory://pictures/photos"])
def folder(tmp_path, request):
    """A folder of five pictures, two of them broken, among other files; and its dataset."""
    dataset = PictureFolderDataset(folder=request.param.format(tmp=tmp_path), longest_side=32)
    contents = {
        "b.PNG": encode(two_halves()),
        "holiday/a.jpg": encode(two_halves((100, 200)), "JPEG"),
        "c.webp": encode(two_halves((8, 8)), "WEBP"),
        "broken.jpg": encode(two_halves((200, 200)), "JPEG")[:400],
        "text.png": b"no picture",
        "notes.txt": b"no picture either",
        ".hidden.png": encode(two_halves()),
        ".thumbnails/b.png": encode(two_halves()),
    }
    for name, content in contents.items():
        path = f"{dataset._location.path}/{name}"
        dataset._location.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        dataset._location.filesystem.pipe_file(path, content)
    yield dataset
    dataset._location.filesystem.rm(dataset._location.path, recursive=True)


def test_folder_is_a_mapping_of_scaled_pictures(folder):
    pictures = folder.load()
    assert list(pictures) == ["b.PNG", "broken.jpg", "c.webp", "holiday/a.jpg", "text.png"]
    assert len(pictures) == 5
    assert pictures["b.PNG"].shape == (16, 32, 3)
    assert pictures["holiday/a.jpg"].shape == (32, 16, 3)
    assert pictures["c.webp"].shape == (8, 8, 3)
    with pytest.raises(KeyError):
        pictures["notes.txt"]


def test_damaged_picture_warns_once(folder, caplog):
    pictures = folder.load()
    with caplog.at_level(logging.WARNING, "quartet"):
        for name in ("broken.jpg", "text.png", "broken.jpg", "b.PNG"):
            try:
                assert pictures[name].any()
            except ValueError:
                assert name in {"broken.jpg", "text.png"}
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "broken.jpg cannot be read and is skipped: " in messages[0]
    assert (
        "text.png cannot be read and is skipped: not a picture of a supported format" in messages[1]
    )
    assert pictures.unreadable.keys() == {"broken.jpg", "text.png"}


def test_cache_is_bounded_and_keeps_recent_pictures(tmp_path, monkeypatch):
    for index in range(6):
        (tmp_path / f"{index}.png").write_bytes(encode(two_halves((512, 512))))
    pictures = PictureFolderDataset(folder=str(tmp_path), memory_mib=2).load()
    for name in [*pictures, "5.png", "4.png"]:
        assert pictures[name].nbytes == 512 * 512 * 3
        assert sum(cached.nbytes for cached in pictures._cache.values()) <= 2 << 20
    assert list(pictures._cache) == ["5.png", "4.png"]
    read = []
    monkeypatch.setattr(pictures, "_read", lambda name: read.append(name) or np.zeros((1, 1, 3)))
    for name in ("4.png", "5.png", "0.png", "5.png"):
        assert pictures[name] is not None
    assert read == ["0.png"]


def test_fingerprint_depends_on_files_and_scale(folder):
    first = folder.load().fingerprint
    assert folder.load().fingerprint == first
    folder._location.filesystem.pipe_file(f"{folder._location.path}/b.PNG", b"other")
    assert folder.load().fingerprint != first
    other = PictureFolderDataset(folder=None, longest_side=8).load()
    assert other.fingerprint != first


def test_null_folder_is_an_empty_mapping():
    dataset = PictureFolderDataset(folder=None)
    assert dataset.exists()
    assert not dataset.load()
    assert dataset.load().unreadable == {}


def test_relative_folder(tmp_path, monkeypatch):
    (tmp_path / "photos/photos").mkdir(parents=True)
    (tmp_path / "photos/photos/a.png").write_bytes(encode(two_halves()))
    monkeypatch.chdir(tmp_path / "photos")
    pictures = PictureFolderDataset(folder="photos").load()
    assert [pictures[name].shape for name in pictures] == [(20, 40, 3)]
    assert list(pictures) == ["a.png"]


def test_invalid_folder_raises_with_hint(tmp_path):
    hint = "--params photographs=FOLDER"
    with pytest.raises(DatasetError, match=rf"nowhere: no such folder; {hint}"):
        PictureFolderDataset(folder=str(tmp_path / "nowhere"), hint=hint).load()
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DatasetError, match=rf"contains no pictures \(\.jpg, .*\); {hint}"):
        PictureFolderDataset(folder=str(tmp_path), hint=hint).load()
    with pytest.raises(DatasetError, match=r"notes\.txt: no such folder"):
        PictureFolderDataset(folder=str(tmp_path / "notes.txt")).load()


def test_live_picture_is_replaced_and_previewed(tmp_path):
    path = tmp_path / "deep/progress.png"
    dataset = LivePictureDataset(filepath=str(path))
    assert dataset.exists()
    live = dataset.load()
    for content in (b"first", b"second, longer"):
        live.show(content)
        assert path.read_bytes() == content
        assert base64.b64decode(dataset.preview()) == content


def test_live_picture_that_cannot_be_written_warns(tmp_path, caplog):
    (tmp_path / "file").write_text("where a folder should be")
    live = LivePictureDataset(filepath=str(tmp_path / "file/progress.png")).load()
    with caplog.at_level(logging.WARNING, "quartet"):
        live.show(b"content")
    assert "progress.png could not be updated" in caplog.text
