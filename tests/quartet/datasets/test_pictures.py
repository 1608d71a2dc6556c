"""Pictures must be seen as a person sees them, and one bad file must not cost the others."""

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


def encoded(picture, form="PNG", **options):
    content = io.BytesIO()
    picture.save(content, form, **options)
    return content.getvalue()


def two_halves(size=(40, 20)):
    """Red on the left, white on the right."""
    picture = Image.new("RGB", size, WHITE)
    picture.paste(RED, (0, 0, size[0] // 2, size[1]))
    return picture


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_any_usual_format_gives_rgb(form):
    pixels = decode_picture(encoded(two_halves(), form))
    assert pixels.shape == (20, 40, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels[10, 5].astype(int) - RED).max() <= 10
    assert np.abs(pixels[10, 35].astype(int) - WHITE).max() <= 10


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "I;16", "I", "F", "RGBA"])
def test_any_kind_of_pixels_keeps_its_brightness(mode):
    grey = np.repeat(np.uint8([[0, 128, 255]]), 2, axis=0)
    if mode in {"I;16", "I"}:
        picture = Image.fromarray(grey.astype(np.uint16) * 257).convert(mode)
    elif mode == "F":
        picture = Image.fromarray(grey.astype(np.float32) / 255)
    else:
        picture = Image.fromarray(grey).convert("RGB" if mode == "CMYK" else "L").convert(mode)
    pixels = decode_picture(encoded(picture, "TIFF")).astype(int)
    assert pixels.shape == (2, 3, 3)
    ends = [0, 2] if mode == "1" else [0, 1, 2]  # there is no grey in black and white
    assert np.abs(pixels[:, ends] - grey[:, ends, None]).max() <= 2


def test_transparent_parts_are_white():
    picture = two_halves().convert("RGBA")
    picture.putalpha(Image.new("L", picture.size, 0))
    assert (decode_picture(encoded(picture)) == 255).all()
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0] * 256)
    assert (decode_picture(encoded(palette, transparency=0)) == 255).all()


@pytest.mark.parametrize("longest", [None, 20])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_photograph_is_turned_as_the_camera_was(form, longest):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    pixels = decode_picture(encoded(two_halves((80, 40)), form, exif=exif), longest)
    assert pixels.shape == ((80, 40, 3) if longest is None else (20, 10, 3))
    quarter = pixels.shape[0] // 4
    assert np.abs(pixels[quarter, 5].astype(int) - RED).max() <= 12
    assert np.abs(pixels[-quarter, 5].astype(int) - WHITE).max() <= 12


def test_large_pictures_are_scaled_down_and_small_ones_stay():
    content = encoded(two_halves((3000, 1500)), "JPEG")
    assert decode_picture(content, 768).shape == (384, 768, 3)
    assert decode_picture(encoded(two_halves()), 768).shape == (20, 40, 3)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_refused(content):
    with pytest.raises(ValueError, match=r".+"):
        decode_picture(content)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_picture_is_refused(form):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), form)
    with pytest.raises(ValueError, match=r".+"):
        decode_picture(content[: len(content) // 2])


def test_a_picture_of_too_many_pixels_is_refused_unread(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="exceeds limit"):
        decode_picture(encoded(two_halves()))


@pytest.mark.parametrize("root", ["{tmp}", "memory://pictures/painting"])
def test_a_painting_comes_with_its_name_and_checksum(tmp_path, root):
    content = encoded(two_halves())
    dataset = PictureDataset(filepath=f"{root.format(tmp=tmp_path)}/The wave (1).png")
    dataset._location.write(content)
    painting = dataset.load()
    assert painting.name == "The wave (1).png"
    assert painting.sha256 == hashlib.sha256(content).hexdigest()
    np.testing.assert_array_equal(painting.pixels, np.asarray(two_halves()))
    shown = Image.open(io.BytesIO(base64.b64decode(dataset.preview())))
    assert shown.size == two_halves().size


def test_a_missing_or_damaged_painting_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "painting.jpg"
    dataset = PictureDataset(filepath=str(path), hint="--params painting=FILE")
    with pytest.raises(DatasetError, match=rf"{path}: no such file; --params painting=FILE"):
        dataset.load()
    path.write_bytes(encoded(two_halves((200, 100)), "JPEG")[:300])
    with pytest.raises(DatasetError, match=rf"{path}: not a whole picture .*--params painting"):
        dataset.load()
    with pytest.raises(DatasetError, match="never an output"):
        dataset.save("a picture")


@pytest.fixture(params=["{tmp}/photos", "memory://pictures/photos"])
def folder(tmp_path, request):
    """A folder of five pictures, two of them broken, among other files; and its dataset."""
    dataset = PictureFolderDataset(folder=request.param.format(tmp=tmp_path), longest_side=32)
    contents = {
        "b.PNG": encoded(two_halves()),
        "holiday/a.jpg": encoded(two_halves((100, 200)), "JPEG"),
        "c.webp": encoded(two_halves((8, 8)), "WEBP"),
        "broken.jpg": encoded(two_halves((200, 200)), "JPEG")[:400],
        "text.png": b"no picture",
        "notes.txt": b"no picture either",
        ".hidden.png": encoded(two_halves()),
        ".thumbnails/b.png": encoded(two_halves()),
    }
    for name, content in contents.items():
        path = f"{dataset._location.path}/{name}"
        dataset._location.filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        dataset._location.filesystem.pipe_file(path, content)
    yield dataset
    dataset._location.filesystem.rm(dataset._location.path, recursive=True)


def test_a_folder_is_a_mapping_of_its_pictures_scaled_down(folder):
    pictures = folder.load()
    assert list(pictures) == ["b.PNG", "broken.jpg", "c.webp", "holiday/a.jpg", "text.png"]
    assert len(pictures) == 5
    assert pictures["b.PNG"].shape == (16, 32, 3)
    assert pictures["holiday/a.jpg"].shape == (32, 16, 3)
    assert pictures["c.webp"].shape == (8, 8, 3)
    with pytest.raises(KeyError):
        pictures["notes.txt"]


def test_a_broken_picture_is_named_once_and_the_others_can_be_had(folder, caplog):
    pictures = folder.load()
    with caplog.at_level(logging.WARNING, "quartet"):
        for name in ("broken.jpg", "text.png", "broken.jpg", "b.PNG"):
            try:
                assert pictures[name].any()
            except ValueError:
                assert name in {"broken.jpg", "text.png"}
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "broken.jpg cannot be used and is passed over: " in told[0]
    assert "text.png cannot be used and is passed over: no picture of a known format" in told[1]
    assert pictures.unreadable.keys() == {"broken.jpg", "text.png"}


def test_memory_stays_bounded_and_what_was_used_last_is_kept(tmp_path, monkeypatch):
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(encoded(two_halves((512, 512))))
    pictures = PictureFolderDataset(folder=str(tmp_path), memory_mib=2).load()
    for name in [*pictures, "5.png", "4.png"]:
        assert pictures[name].nbytes == 512 * 512 * 3
        assert sum(kept.nbytes for kept in pictures._kept.values()) <= 2 << 20
    assert list(pictures._kept) == ["5.png", "4.png"]
    read = []
    monkeypatch.setattr(pictures, "_read", lambda name: read.append(name) or np.zeros((1, 1, 3)))
    for name in ("4.png", "5.png", "0.png", "5.png"):
        assert pictures[name] is not None
    assert read == ["0.png"]


def test_other_pictures_have_another_identity(folder):
    first = folder.load().fingerprint
    assert folder.load().fingerprint == first
    folder._location.filesystem.pipe_file(f"{folder._location.path}/b.PNG", b"other")
    assert folder.load().fingerprint != first
    other = PictureFolderDataset(folder=None, longest_side=8).load()
    assert other.fingerprint != first


def test_no_folder_is_an_empty_mapping():
    dataset = PictureFolderDataset(folder=None)
    assert dataset.exists()
    assert not dataset.load()
    assert dataset.load().unreadable == {}


def test_a_folder_named_relatively_is_found(tmp_path, monkeypatch):
    (tmp_path / "photos/photos").mkdir(parents=True)
    (tmp_path / "photos/photos/a.png").write_bytes(encoded(two_halves()))
    monkeypatch.chdir(tmp_path / "photos")
    pictures = PictureFolderDataset(folder="photos").load()
    assert [pictures[name].shape for name in pictures] == [(20, 40, 3)]
    assert list(pictures) == ["a.png"]


def test_a_wrong_folder_is_named_with_what_to_do(tmp_path):
    hint = "--params photographs=FOLDER"
    with pytest.raises(DatasetError, match=rf"nowhere: no such folder; {hint}"):
        PictureFolderDataset(folder=str(tmp_path / "nowhere"), hint=hint).load()
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DatasetError, match=rf"no picture \(\.jpg, .*\) in it; {hint}"):
        PictureFolderDataset(folder=str(tmp_path), hint=hint).load()
    with pytest.raises(DatasetError, match=r"notes\.txt: no such folder"):
        PictureFolderDataset(folder=str(tmp_path / "notes.txt")).load()
    with pytest.raises(DatasetError, match="never an output"):
        PictureFolderDataset(folder=None).save({})


def test_a_live_picture_is_rewritten_and_shown(tmp_path):
    path = tmp_path / "deep/progress.png"
    dataset = LivePictureDataset(filepath=str(path))
    assert dataset.exists()
    live = dataset.load()
    for content in (b"first", b"second, longer"):
        live.show(content)
        assert path.read_bytes() == content
        assert base64.b64decode(dataset.preview()) == content


def test_a_live_picture_that_cannot_be_written_does_not_stop_the_work(tmp_path, caplog):
    (tmp_path / "file").write_text("where a folder should be")
    live = LivePictureDataset(filepath=str(tmp_path / "file/progress.png")).load()
    with caplog.at_level(logging.WARNING, "quartet"):
        live.show(b"content")
    assert "progress.png could not be rewritten" in caplog.text
