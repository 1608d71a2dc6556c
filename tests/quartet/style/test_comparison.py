"""A comparison reads the right frames of video and source, and only those."""

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from quartet.style import comparison, pairs
from quartet.style.comparison import compare, make_thumbnails
from quartet.style.preview import render_preview, render_slide_show
from quartet.style.probe import plan_video
from style.videos import KEYS, SIZE, picture, read_number, write_video

CLEAR = {"crf": "4", **KEYS}


def uniform(level, size=SIZE):
    return np.full((size[1], size[0], 3), level, dtype=np.uint8)


def invert(number):
    return 255 - picture(number)


def write_two_videos(folder, frames, **options):
    source = write_video(folder / "source.mp4", frames, options=CLEAR, **options)
    pictures = [invert(number) for number in range(frames)]
    stylized = write_video(folder / "stylized.mp4", pictures=pictures, options=CLEAR, **options)
    return source, stylized, plan_video(source, 20)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_two_videos(tmp_path_factory.mktemp("videos"), 61, sounds=["aac"])


def read_animation(content):
    """Return the pictures of an animation, and their durations in milliseconds."""
    pictures, durations = [], []
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "WEBP"
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
            pictures.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
    return pictures, durations


def test_pairs_are_evenly_spaced(videos):
    table, _ = compare(*videos, 5)
    assert list(table) == ["frame", "seconds", *comparison.METRICS]
    assert table["frame"].tolist() == [6, 18, 30, 42, 54]
    assert table["seconds"].tolist() == pytest.approx([0.24, 0.72, 1.2, 1.68, 2.16])


def test_thumbnails_show_the_same_frame_of_both_videos(videos):
    _, thumbnails = compare(*videos, 2, pictures=3)
    assert [each.caption for each in thumbnails] == ["0:00.40", "0:01.20", "0:02.00"]
    assert [read_number(each.source) for each in thumbnails] == [10, 30, 50]
    assert [read_number(255 - each.stylized) for each in thumbnails] == [10, 30, 50]


def test_metrics_belong_to_pairs_of_successive_frames(tmp_path):
    """The source is still; the stylized video changes by 20 levels after every tenth frame."""
    source = write_video(tmp_path / "a.mp4", pictures=[uniform(90)] * 40, options=CLEAR)
    levels = [100 + 20 * (number // 10) for number in range(40)]
    stylized = write_video(
        tmp_path / "b.mp4", pictures=[uniform(level) for level in levels], options=CLEAR
    )
    table, _ = compare(source, stylized, plan_video(source, 20), 39)
    assert table["frame"].tolist() == list(range(39))
    steps = [20 if number % 10 == 9 else 0 for number in range(39)]
    assert table["flicker"].tolist() == pytest.approx(steps, abs=1.5)
    assert table["warping_error"].tolist() == pytest.approx(steps, abs=1.5)
    assert (table["still_share"] == 1).all()
    assert table["source_warping_error"].max() < 0.5


@pytest.mark.parametrize("frames", [1, 3])
def test_short_video_has_fewer_pairs(tmp_path, frames):
    table, thumbnails = compare(*write_two_videos(tmp_path, frames), 24, pictures=6)
    assert table["frame"].tolist() == list(range(frames - 1))
    assert len(thumbnails) == frames


def test_times_follow_a_variable_frame_rate(tmp_path):
    times = [0, 40, 80, 2000, 65_000, 3_700_000]
    table, thumbnails = compare(
        *write_two_videos(tmp_path, 6, timestamps=times, time_base=Fraction(1, 1000)), 9
    )
    assert table["seconds"].tolist() == pytest.approx([time / 1000 for time in times[:-1]])
    captions = [each.caption for each in thumbnails]
    assert captions == ["0:00.00", "0:00.04", "0:00.08", "0:02.00", "1:05.00", "1:01:40.00"]


def test_only_required_groups_of_pictures_are_decoded(videos, monkeypatch):
    asked = []
    original = pairs.decode_frames

    def record_decode(source, plan, first, last):
        asked.append((first, last))
        return original(source, plan, first, last)

    monkeypatch.setattr(pairs, "decode_frames", record_decode)
    compare(*videos, 2, pictures=1)
    assert videos[2].keys == tuple(range(0, 61, 8))
    # Both videos, for frames 15, 16; 30 for its picture; 45, 46.
    assert asked == [pair for pair in ((15, 16), (16, 17), (30, 31), (45, 47)) for _ in range(2)]


def test_videos_with_other_frames_raise(videos, tmp_path):
    source, _, plan = videos
    short = write_video(tmp_path / "short.mp4", 60)
    large = write_video(tmp_path / "large.mp4", 61, size=(100, 64))
    for other, fault in ((short, "60 frames of 96×64"), (large, "61 frames of 100×64")):
        with pytest.raises(
            ValueError, match=f"{other.name}: has {fault} .*expected 61 frames of 96×64"
        ):
            compare(source, other, plan, 3)
        with pytest.raises(ValueError, match=other.name):
            render_preview(source, other, plan)


def test_thumbnails_are_small_with_square_pixels():
    found = make_thumbnails("a", uniform(3, (1440, 1080)), uniform(9, (1440, 1080)), (4, 3))
    assert found.source.shape == found.stylized.shape == (270, 480, 3)
    assert make_thumbnails("a", uniform(3, (40, 30)), uniform(9, (44, 32))).stylized.shape == (
        32,
        44,
        3,
    )


def test_preview_shows_three_seconds_from_the_middle(tmp_path):
    source, stylized, plan = write_two_videos(tmp_path, 125)
    pictures, durations = read_animation(render_preview(source, stylized, plan))
    assert len(pictures) == 36
    assert sum(durations) == 3000
    assert {shot.shape for shot in pictures} == {(SIZE[1], 2 * SIZE[0] + 4, 3)}
    left = [read_number(shot[:, : SIZE[0]]) for shot in pictures]
    right = [read_number(255 - shot[:, SIZE[0] + 4 :]) for shot in pictures]
    assert left == right == sorted(set(left))
    assert (left[0], left[-1]) == (25, 97)


def test_preview_of_a_short_video_is_complete(tmp_path):
    pictures, durations = read_animation(render_preview(*write_two_videos(tmp_path, 3)))
    assert [read_number(shot[:, : SIZE[0]]) for shot in pictures] == [0, 2]
    assert sum(durations) == 120
    pictures, _ = read_animation(render_preview(*write_two_videos(tmp_path, 1)))
    assert len(pictures) == 1


def test_preview_of_a_large_video_fits_size_limits(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (1000, 400, 3), dtype=np.uint8) for _ in range(6)]
    options = {"preset": "ultrafast", "crf": "10"}
    noise = write_video(tmp_path / "noise.mp4", pictures=pictures, size=(400, 1000),
                        options=options)  # fmt: skip
    monkeypatch.setattr("quartet.style.preview._PREVIEW_BYTES", 20_000)
    content = render_preview(noise, noise, plan_video(noise, 20))
    shots, _ = read_animation(content)
    assert len(content) < 20_000
    assert shots[0].shape[0] <= 360
    assert shots[0].shape[1] <= 640


def test_slide_show_contains_all_pictures():
    shown = [
        make_thumbnails("wide", uniform(10, (200, 100)), uniform(250, (200, 100))),
        make_thumbnails("tall", uniform(90, (100, 200)), uniform(170, (100, 200))),
    ]
    slides, durations = read_animation(render_slide_show(shown))
    assert durations == [1000, 1000]
    assert slides[0].shape == slides[1].shape == (200, 404, 3)
    for slide, before, after in zip(slides, (10, 90), (250, 170), strict=True):
        assert np.abs(slide[95:105, 185:195].astype(int) - before).max() < 12
        assert np.abs(slide[95:105, 215:225].astype(int) - after).max() < 12
