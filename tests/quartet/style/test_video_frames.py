"""Segments decode to the frames of the complete video, with correct colours and orientation."""

import io
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import psutil
import pytest

from quartet.style.decode import decode_frames
from quartet.style.probe import plan_video
from style.videos import KEYS, SIZE, damage, picture, read_number, read_packets, write_video

VP9 = {"deadline": "realtime", "cpu-used": "8", "g": "8"}


def decode_all(source, plan=None, threads=1):
    """Decode all frames, segment by segment."""
    plan = plan or plan_video(source, 8)
    return [
        frame
        for first, last in plan.segments
        for frame in decode_frames(source, plan, first, last, threads=threads)
    ]


def read_numbers(frames):
    return [read_number(frame.rgb) for frame in frames]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".h264"])
@pytest.mark.parametrize("threads", [1, 3])
def test_segments_decode_bit_identically(suffix, threads, tmp_path):
    source = write_video(tmp_path / f"video{suffix}", options=KEYS)
    plan = plan_video(source, 5)
    assert len(plan.segments) > 3
    complete = list(decode_frames(source, plan, 0, plan.frames))
    segments = decode_all(source, plan, threads)
    assert [frame.index for frame in segments] == read_numbers(segments) == list(range(24))
    for alone, among in zip(segments, complete, strict=True):
        assert np.array_equal(alone.rgb, among.rgb)


def test_any_single_frame_decodes(tmp_path):
    source = write_video(tmp_path / "video.mp4", options=KEYS)
    plan = plan_video(source, 8)
    for number in (23, 0, 11):
        (frame,) = decode_frames(source, plan, number, number + 1)
        assert read_number(frame.rgb) == number


CODECS = {
    "video.mp4": {"options": KEYS},
    "video.mkv": {"options": KEYS},
    "video.avi": {"codec": "mpeg4", "options": {"g": "8"}},
    "video.webm": {"codec": "libvpx-vp9", "options": VP9},
}


@pytest.mark.parametrize(("place", "threads"), [(20, 1), (36, 3)])
@pytest.mark.parametrize("name", CODECS)
def test_damaged_frame_repeats_the_previous(name, place, threads, tmp_path):
    source = write_video(tmp_path / name, 48, **CODECS[name])
    damage(source, read_packets(source)[place])
    frames = decode_all(source, threads=threads)
    assert [frame.index for frame in frames] == list(range(48))
    (lost,) = (frame.index for frame in frames if frame.repeated)
    assert lost == pytest.approx(place, abs=2)
    assert np.array_equal(frames[lost].rgb, frames[lost - 1].rgb)
    # Frames of the same group of pictures depend on the damaged one.
    others = [frame for frame in frames if frame.index // 8 != place // 8]
    assert read_numbers(others) == [frame.index for frame in others]


def test_undecodable_start_repeats_the_first_decodable_frame(tmp_path):
    source = write_video(tmp_path / "video.mp4", options=KEYS)
    damage(source, read_packets(source)[0])
    frames = decode_all(source)
    assert [frame.index for frame in frames if frame.repeated] == list(range(8))
    assert read_numbers(frames) == [8] * 9 + list(range(9, 24))


@pytest.mark.parametrize(
    ("place", "codec", "options"),
    [
        *[(place, "libx264", {"g": "1", "preset": "ultrafast"}) for place in (20, 21, 22)],
        (23, "libvpx-vp9", VP9),
    ],
)
def test_damaged_frame_near_the_end_affects_no_others(place, codec, options, tmp_path):
    source = write_video(tmp_path / "video.mkv", codec=codec, options=options)
    damage(source, read_packets(source)[place])
    for threads in (1, 4):
        frames = decode_all(source, threads=threads)
        assert [frame.index for frame in frames if frame.repeated] == [place]
        assert read_numbers(frames) == [*range(place), place - 1, *range(place + 1, 24)]


def test_recording_that_starts_between_key_frames(tmp_path):
    source = write_video(tmp_path / "video.ts", options=KEYS)
    content = source.read_bytes()
    head, begin = 564, read_packets(source)[3].pos
    source.write_bytes(content[:head] + content[begin:])
    frames = decode_all(source)
    assert [frame.index for frame in frames if frame.repeated] == list(range(len(frames) - 16))
    assert read_numbers(frames)[-17:] == [8, *range(8, 24)]


def test_changed_frame_size_is_scaled_to_the_first(tmp_path):
    halves = []
    for size in (SIZE, (48, 32)):
        halves.append(io.BytesIO())
        with av.open(halves[-1], "w", format="mpegts") as output:
            stream = output.add_stream("libx264", rate=25, width=size[0], height=size[1])
            stream.codec_context.max_b_frames = 0
            first = 8 * (len(halves) - 1)
            for number in range(first, first + 8):
                frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
                frame.pts = number
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    source = tmp_path / "video.ts"
    source.write_bytes(b"".join(half.getvalue() for half in halves))
    frames = decode_all(source)
    assert {frame.rgb.shape for frame in frames} == {(64, 96, 3)}
    assert read_numbers(frames) == list(range(16))


TURNS = {
    (90, False, False): np.rot90,
    (-90, False, False): lambda shown: np.rot90(shown, -1),
    (180, False, False): lambda shown: np.rot90(shown, 2),
    (0, True, False): np.fliplr,
    (0, False, True): np.flipud,
    (90, True, False): lambda shown: np.fliplr(np.rot90(shown)),
}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("turn", TURNS)
def test_pictures_follow_the_display_matrix(turn, suffix, tmp_path):
    source = write_video(
        tmp_path / f"video{suffix}", 2, turned=turn, options={"crf": "1"}, pixel_format="yuv444p"
    )
    plan = plan_video(source, 8)
    (frame, _) = decode_all(source, plan)
    expected = TURNS[turn](picture(0))
    assert frame.rgb.shape == expected.shape == (plan.height, plan.width, 3)
    assert np.abs(frame.rgb.astype(float) - expected).mean() < 3


def test_sample_aspect_ratio_rotates_with_the_picture(tmp_path):
    source = write_video(
        tmp_path / "video.mp4", 2, turned=(90, False, False), sample_aspect_ratio=Fraction(4, 3)
    )
    assert plan_video(source, 8).sample_aspect == (3, 4)


@pytest.mark.parametrize(
    ("pixel_format", "codec"),
    [
        ("yuv420p10le", "libx264"),
        ("yuv444p", "libx264"),
        ("yuvj420p", "mjpeg"),
        ("rgb24", "libx264rgb"),
        ("argb", "qtrle"),
        ("rgba64le", "ffv1"),
        ("gray", "ffv1"),
        ("gray10le", "ffv1"),
        ("gray", "libx265"),
        ("yuv422p10le", "prores_ks"),
    ],
)
def test_any_pixel_format_becomes_rgb(pixel_format, codec, tmp_path):
    name = "video.mov" if codec in ("qtrle", "prores_ks") else "video.mkv"
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    source = write_video(
        tmp_path / name, 9, codec=codec, pixel_format=pixel_format, options=options
    )
    frames = decode_all(source)
    assert read_numbers(frames) == list(range(9))
    expected = picture(8).astype(float)
    if "gray" in pixel_format:
        expected = (expected @ [0.299, 0.587, 0.114])[..., None].repeat(3, axis=2)
    assert np.abs(frames[8].rgb - expected).mean() < 5


@pytest.mark.parametrize("size", [(97, 63), (96, 63), (97, 64), (1, 1), (16, 2)])
def test_odd_sizes(size, tmp_path):
    source = write_video(tmp_path / "video.mkv", 3, size=size, codec="ffv1", pixel_format="bgr0")
    frames = decode_all(source)
    assert all(np.array_equal(frame.rgb, picture(frame.index, size)) for frame in frames)


def test_memory_does_not_grow_with_video_length(tmp_path):
    frames = 300
    size = (640, 360)
    source = write_video(
        tmp_path / "long.mp4",
        size=size,
        pictures=[picture(number, size) for number in range(4)] * (frames // 4),
        options={"preset": "ultrafast", "g": "300"},
    )
    plan = plan_video(source, 50)
    process = psutil.Process()
    most = 0
    before = process.memory_info().rss
    for frame in decode_frames(source, plan, 0, frames):
        if frame.index % 20 == 0:
            most = max(most, process.memory_info().rss - before)
    assert most < 0.25 * frames * 3 * size[0] * size[1], "all frames together take four times that"


def test_frames_missing_from_the_source_raise(tmp_path):
    source = write_video(tmp_path / "video.mp4", options=KEYS)
    plan = plan_video(source, 8)
    other = replace(plan, timestamps=tuple(stamp + 1 for stamp in plan.timestamps))
    with pytest.raises(ValueError, match=r"video\.mp4: no frame from 8 on"):
        list(decode_frames(source, other, 8, 16))
