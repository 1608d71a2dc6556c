"""Videos, pictures and folders are distinguished by content, and read on any storage."""

import io

import fsspec
import numpy as np
import pytest
from kedro.io.core import DatasetError
from PIL import Image

from quartet.datasets.media import MediaDataset, encode_picture
from quartet.datasets.picture_folder import PictureFolderDataset
from quartet.datasets.pictures import PictureDataset, decode_picture
from quartet.style.decode import decode_frames
from quartet.style.probe import plan_video
from style.videos import KEYS, picture, read_number, write_video

FRAMES = 7
ANIMATED = {"PNG": {}, "WEBP": {"lossless": True}, "AVIF": {"quality": 90}, "GIF": {}}
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
JPEG_XL = b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a" + bytes(64)


def media(path, **options):
    return MediaDataset(filepath=str(path), hint="--params video=FILE", **options).load()


def save_animation(path, form, durations=100, mode="RGB"):
    frames = [Image.fromarray(picture(number)).convert(mode) for number in range(FRAMES)]
    frames[0].save(
        path, form, save_all=True, append_images=frames[1:], duration=durations, **ANIMATED[form]
    )
    return path


def read_numbers(found):
    with found.open() as source:
        plan = plan_video(source, 4)
        frames = list(decode_frames(source, plan, 0, plan.frames))
    return plan, [read_number(frame.rgb) for frame in frames]


@pytest.mark.parametrize(
    ("form", "name"),
    [("PNG", "a.png"), ("PNG", "a.apng"), ("WEBP", "a"), ("AVIF", "a.jpg"), ("GIF", "a.gif")],
)
def test_whole_animation_is_a_video(form, name, tmp_path):
    found = media(save_animation(tmp_path / name, form))
    assert (found.pictures, found.is_folder) == ((), False)
    plan, numbers = read_numbers(found)
    assert numbers == list(range(FRAMES))
    assert plan.seconds == pytest.approx(0.1 * FRAMES)
    assert plan.container == "mp4"
    assert not plan.tracks


@pytest.mark.parametrize("form", ["WEBP", "AVIF"])
def test_animation_keeps_its_times(form, tmp_path):
    durations = [40, 500, 40, 1000, 40, 40, 300]
    found = media(save_animation(tmp_path / "a.bin", form, durations))
    plan, numbers = read_numbers(found)
    assert numbers == list(range(FRAMES))
    starts = [round(1000 * float(time * plan.tick)) for time in plan.timestamps]
    assert starts == [sum(durations[:index]) for index in range(FRAMES)]
    assert plan.seconds == pytest.approx(sum(durations) / 1000)


@pytest.mark.parametrize("form", ["WEBP", "AVIF"])
def test_transparent_pixels_of_an_animation_are_white(form, tmp_path):
    frames = [Image.new("RGBA", (64, 48), (9, 9, 90, 0)) for _ in range(2)]
    frames[1].paste((255, 255, 250, 255), (0, 0, 32, 24))
    path = tmp_path / "a.bin"
    frames[0].save(path, form, save_all=True, append_images=frames[1:], duration=100)
    found = media(path)
    with found.open() as source:
        plan = plan_video(source, 8)
        for frame in decode_frames(source, plan, 0, plan.frames):
            assert frame.rgb.min() > 240


def test_damaged_animation_raises(tmp_path):
    path = save_animation(tmp_path / "a.avif", "AVIF")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises((DatasetError, ValueError), match=r"a\.avif"):
        read_numbers(media(path))


@pytest.mark.parametrize(
    ("form", "name"),
    [("JPEG", "a.jfif"), ("JPEG", "a.jpe"), ("AVIF", "a.avif"), ("PNG", "a"), ("JPEG", "a.mp4"),
     ("GIF", "a.gif"), ("JPEG2000", "a.jp2"), ("PPM", "a.ppm"), ("MPO", "a.jpg")],
)  # fmt: skip
def test_still_picture_is_known_by_its_content(form, name, tmp_path):
    still = Image.fromarray(picture(5))
    further = {"save_all": True, "append_images": [still]} if form == "MPO" else {}
    still.save(tmp_path / name, form, **further)
    found = media(tmp_path / name)
    assert found.pictures == (name,)
    assert read_number(found.read_picture(name)) == 5


@pytest.mark.parametrize("name", ["film.jpg", "film.heic", "film"])
def test_video_is_known_by_its_content(name, tmp_path):
    write_video(tmp_path / name, options=KEYS, container="mp4")
    assert media(tmp_path / name).pictures == ()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.heic", HEIC, "HEIC"),
        ("a.jpg", HEIC, "HEIC"),
        ("a.jxl", JPEG_XL, "JPEG XL"),
        ("a.psd", b"8BPS" + bytes(64), "Photoshop"),
        ("a.svg", b"<svg/>", "SVG"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(64), "EPS"),
    ],
)
def test_picture_that_cannot_be_read_is_refused_by_name(name, content, kind, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=rf"{name}: {kind} cannot be read; export it as JPEG"):
        media(tmp_path / name)


def test_raw_camera_data_are_not_their_preview(tmp_path):
    Image.fromarray(picture(5)).save(tmp_path / "a.dng", "TIFF")
    with pytest.raises(DatasetError, match=r"a\.dng: raw camera data cannot be read"):
        media(tmp_path / "a.dng")


def test_every_picture_of_a_folder_is_used_or_left_out_with_a_reason(tmp_path):
    for name in ("a.jpg", "b.JPG", "c.jfif", "d.jpe", "e"):
        Image.fromarray(picture(1)).save(tmp_path / name, "JPEG")
    Image.fromarray(picture(1)).save(tmp_path / "f.avif")
    save_animation(tmp_path / "g.png", "PNG")
    save_animation(tmp_path / "h.webp", "WEBP")
    save_animation(tmp_path / "i.gif", "GIF")
    (tmp_path / "j.heic").write_bytes(HEIC)
    (tmp_path / "k.png").write_bytes(b"damaged")
    for suffix in ("tga", "pcx", "ico", "sgi", "dds"):
        Image.new("RGB", (24, 16)).save(tmp_path / f"l.{suffix}")
    (tmp_path / "l.exr").write_bytes(b"\x76\x2f\x31\x01" + bytes(99))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "sub.jpg").mkdir()
    found = media(tmp_path)
    assert found.pictures == ("a.jpg", "b.JPG", "c.jfif", "d.jpe", "e", "f.avif", "k.png")
    others = {f"l.{suffix}" for suffix in ("tga", "pcx", "ico", "sgi", "dds", "exr")}
    assert found.left_out.keys() == {"g.png", "h.webp", "i.gif", "j.heic"} | others
    assert found.left_out["l.tga"] == "Targa cannot be read; export it as JPEG or PNG"
    assert "animation of 7 frames" in found.left_out["h.webp"]
    assert "HEIC cannot be read" in found.left_out["j.heic"]


def test_folder_of_unreadable_pictures_raises_with_reasons(tmp_path):
    (tmp_path / "j.heic").write_bytes(HEIC)
    with pytest.raises(DatasetError, match=r"no pictures; j\.heic: HEIC cannot be read"):
        media(tmp_path)


def test_large_pictures_are_refused_by_their_header(tmp_path, monkeypatch):
    """A small file can declare more pixels than memory holds."""
    Image.new("1", (2000, 1500)).save(tmp_path / "a.png")
    decoded = []
    monkeypatch.setattr(Image.Image, "convert", lambda *_: decoded.append(1))
    with pytest.raises(DatasetError, match=r"a\.png: 2000×1500 pixels exceed limit of 2 megap"):
        media(tmp_path / "a.png", max_megapixels=2)
    with pytest.raises(DatasetError, match="exceed limit of 2 megapixels"):
        PictureDataset(filepath=str(tmp_path / "a.png"), max_megapixels=2).load()
    with pytest.raises(ValueError, match="exceed limit of 2 megapixels"):
        PictureFolderDataset(folder=str(tmp_path), max_megapixels=2).load()["a.png"]
    assert not decoded


def test_limit_can_be_raised_above_that_of_pillow():
    content = io.BytesIO()
    Image.new("1", (15_000, 12_000)).save(content, "PNG")
    with pytest.raises(ValueError, match=r"15000×12000 pixels exceed limit of 178\.9 megapixels"):
        decode_picture(content.getvalue())
    assert decode_picture(content.getvalue(), 100, max_megapixels=200).shape == (80, 100, 3)


def test_programs_are_not_started_for_pictures():
    """Pillow would run Ghostscript for EPS."""
    content = io.BytesIO()
    Image.new("RGB", (40, 40)).save(content, "EPS")
    with pytest.raises(ValueError, match="not a picture of a supported format"):
        decode_picture(content.getvalue())


def test_photographs_for_training_include_all_suffixes(tmp_path):
    Image.fromarray(picture(1)).save(tmp_path / "a.jfif", "JPEG")
    (tmp_path / "b.heic").write_bytes(HEIC)
    folder = PictureFolderDataset(folder=str(tmp_path)).load()
    assert list(folder) == ["a.jfif", "b.heic"]
    assert np.any(folder["a.jfif"])
    with pytest.raises(ValueError, match=r"b\.heic"):
        folder["b.heic"]
    assert folder.unreadable.keys() == {"b.heic"}


def test_pages_of_a_scan_are_counted_without_its_previews(tmp_path):
    page, copy = Image.new("RGB", (24, 16)), Image.new("RGB", (6, 4))
    page.save(tmp_path / "scan.tif", save_all=True, append_images=[page, page])
    copy.encoderinfo = {"tiffinfo": {254: 1}}
    page.save(tmp_path / "preview.tif", save_all=True, append_images=[copy])
    found = media(tmp_path)
    assert found.pictures == ("preview.tif", "scan.tif")
    assert found.pages == {"scan.tif": 3}


@pytest.fixture
def folder(tmp_path):
    for name in ("b.JPG", "a.png", "ä b;'c.webp"):
        Image.new("RGB", (30, 20)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


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
