"""Segments contain the frames of a decode from the start, whatever the codec keeps in between."""

from fractions import Fraction

import av
import numpy as np
import pytest

from quartet.style.conversion import detect_orientation
from quartet.style.decode import decode_frames
from quartet.style.packets import is_shown
from quartet.style.probe import plan_video
from quartet.style.video import Orientation
from style.videos import SIZE, picture, read_number, read_numbers, write_video

FRAMES = 44


def decode_all(source, segment_frames=7):
    plan = plan_video(source, segment_frames)
    assert len(plan.segments) > 3
    return [
        frame for first, last in plan.segments for frame in decode_frames(source, plan, first, last)
    ]


def assert_same_as_from_the_start(source):
    frames = decode_all(source)
    numbers = [read_number(frame.rgb) for frame in frames]
    assert numbers == read_numbers(source)
    assert numbers[:13] == list(range(13))
    assert [frame.index for frame in frames] == list(range(len(numbers)))
    assert not any(frame.repeated for frame in frames)


def palette_frame(number, reverse):
    """Return a frame of eight-bit colours with a palette; reversed, its indices differ."""
    red, green, blue = (picture(number)[..., channel].astype(int) for channel in range(3))
    indices = (red >> 5 << 5 | green >> 5 << 2 | blue >> 6).astype(np.uint8)
    codes = np.arange(256)
    colours = [(codes & 3) * 85, (codes >> 2 & 7) * 36, (codes >> 5) * 36, codes * 0 + 255]
    palette = np.stack(colours, axis=1).astype(np.uint8)
    frame = av.VideoFrame(*SIZE, "pal8")
    rows = np.zeros((SIZE[1], frame.planes[0].line_size), np.uint8)
    rows[:, : SIZE[0]] = 255 - indices if reverse else indices
    frame.planes[0].update(rows.tobytes())
    frame.planes[1].update((palette[::-1] if reverse else palette).tobytes())
    return frame


def write_palette_video(path, codec, changes):
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, width=SIZE[0], height=SIZE[1])
        stream.pix_fmt = "pal8"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 25)
        stream.codec_context.gop_size = 8
        for number in range(FRAMES):
            frame = palette_frame(number, reverse=changes and number // 13 % 2 == 1)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("changes", [False, True], ids=["one palette", "changing palette"])
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("rawvideo", ".avi"), ("rawvideo", ".mov"), ("msrle", ".avi"), ("smc", ".mov"),
     ("zmbv", ".avi"), ("targa", ".mov"), ("png", ".mov")],
)  # fmt: skip
def test_palettes_outside_of_key_frames_are_used(codec, suffix, changes, tmp_path):
    assert_same_as_from_the_start(write_palette_video(tmp_path / f"video{suffix}", codec, changes))


CODECS = {
    "marked as key frames.mov": {"codec": "rpza", "pixel_format": "rgb555le"},
    "grey.mov": {"codec": "qtrle", "pixel_format": "gray"},
    "program stream.mpg": {"codec": "mpeg1video", "options": {"g": "8", "bf": "2"}},
    "dvd.vob": {"codec": "mpeg2video", "container": "vob", "options": {"g": "8", "bf": "2"}},
    "interlaced.ts": {"options": {"g": "8", "x264-params": "interlaced=1:open-gop=1"}},
    "film grain.mp4": {"codec": "libsvtav1",
                       "options": {"preset": "12", "g": "8", "svtav1-params": "film-grain=20"}},
    "open groups.mkv": {"codec": "libx265", "options": {
        "x265-params": "log-level=none:keyint=8:min-keyint=8:open-gop=1:bframes=3:scenecut=0"}},
    "alternate reference.webm": {"codec": "libvpx-vp9",
                                 "options": {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "16",
                                             "deadline": "good", "cpu-used": "5"}},
    "cinepak.avi": {"codec": "cinepak", "pixel_format": "rgb24", "options": {"g": "8"}},
    "screen.flv": {"codec": "flashsv", "pixel_format": "bgr24", "options": {"g": "8"}},
    "wavelets.nut": {"codec": "snow", "options": {"g": "8", "strict": "experimental"}},
}  # fmt: skip


@pytest.mark.parametrize("name", CODECS)
def test_segments_contain_the_frames_of_a_decode_from_the_start(name, tmp_path):
    assert_same_as_from_the_start(write_video(tmp_path / name, FRAMES, **CODECS[name]))


def test_reliable_seeking_is_used(tmp_path):
    """Decoding each segment from the start takes time that grows with the square of the length."""
    source = write_video(tmp_path / "video.mp4", FRAMES, options={"g": "8"})
    plan = plan_video(source, 8)
    assert plan.keys
    assert not plan.packets


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"\x82\x49\x83\x42", True),  # key frame
        (b"\x84\x00\x00\x00", False),  # hidden
        (b"\x88\x00", True),  # shows an existing frame
        (b"\x84\x00\xc9\x01\xc9", True),  # several frames with an index
        (b"\xb0\x00", False),  # profile 3
        (b"\xb1\x00", True),
    ],
)
def test_hidden_vp9_frames_are_not_counted(content, shown):
    assert is_shown(av.Packet(content), "vp9") == shown


def test_frames_with_side_data_that_pyav_does_not_know_are_read(tmp_path):
    """Frames of TIFF and of some cameras contain Exif, which PyAV 18.1 cannot name."""
    source = write_video(tmp_path / "video.mov", FRAMES, codec="tiff", pixel_format="rgb24")
    with av.open(str(source)) as container:
        assert detect_orientation(next(container.decode(video=0))) == Orientation()
    assert_same_as_from_the_start(source)
