"""A segment is self-contained, deterministic, and written atomically."""

import io

import av
import numpy as np
import pytest

from quartet.style.decode import decode_frames
from quartet.style.encode import encode_segment
from quartet.style.encoding_settings import Encoding
from quartet.style.probe import plan_video
from style.videos import (
    KEYS,
    QUICK,
    picture,
    pictures,
    read_numbers,
    read_packets,
    write_video,
)
from support import ROOT


@pytest.fixture
def plan(tmp_path):
    return plan_video(write_video(tmp_path / "video.mp4", options=KEYS), 8)


def test_segment_is_self_contained(plan, tmp_path):
    segment = tmp_path / "segment.mp4"
    encode_segment(segment, plan, 8, iter(pictures(8, 16)), Encoding())
    packets = read_packets(segment)
    assert packets[0].is_keyframe
    assert read_numbers(segment) == list(range(8, 16))


def test_encoding_is_deterministic(plan):
    settings = Encoding(threads=3)
    targets = [io.BytesIO(), io.BytesIO()]
    for target in targets:
        encode_segment(target, plan, 0, pictures(0, 8), settings)
    assert targets[0].getvalue() == targets[1].getvalue()


def test_encoding_is_deterministic_at_a_critical_size():
    """At 480 × 270 with its macroblock tree, x264 gives up to four results in four runs."""
    sample = ROOT / "data/01_raw/style/sample.mp4"
    plan = plan_video(sample, 30)
    (first, last), *_ = plan.segments
    frames = [(frame.index, frame.rgb) for frame in decode_frames(sample, plan, first, last)]
    contents = set()
    for _ in range(4):
        target = io.BytesIO()
        encode_segment(target, plan, first, frames, Encoding())
        contents.add(target.getvalue())
    assert len(contents) == 1


def test_quality_changes_the_size(plan):
    noise = np.random.default_rng(0).integers(0, 256, (8, 64, 96, 3), dtype=np.uint8)
    sizes = []
    for quality in (10, 20, 30):
        target = io.BytesIO()
        encode_segment(
            target, plan, 0, enumerate(noise), Encoding(preset="ultrafast", quality=quality)
        )
        sizes.append(len(target.getvalue()))
    assert sizes[0] > 1.5 * sizes[1] > 2 * sizes[2]


def test_key_frame_interval(tmp_path):
    plan = plan_video(write_video(tmp_path / "video.mkv", 60), 60)
    encode_segment(
        tmp_path / "segment.mp4",
        plan,
        0,
        pictures(0, 60),
        Encoding(preset="ultrafast", keyframe_seconds=0.8),
    )
    keys = [
        number
        for number, packet in enumerate(read_packets(tmp_path / "segment.mp4"))
        if packet.is_keyframe
    ]
    assert keys == [0, 20, 40]


@pytest.mark.parametrize("size", [(97, 63), (96, 63), (97, 64), (1, 1)])
def test_odd_sizes_are_kept(size, tmp_path):
    source = write_video(tmp_path / "odd.mkv", 2, codec="ffv1", pixel_format="bgr0", size=size)
    plan = plan_video(source, 8)
    encode_segment(tmp_path / "segment.mp4", plan, 0, pictures(0, 2, size), QUICK)
    with av.open(str(tmp_path / "segment.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == size


@pytest.mark.parametrize(
    ("first", "frames", "message"),
    [
        (8, pictures(8, 15), "the segment that starts at frame 8 has 8 frames, 7 given"),
        (
            8,
            pictures(8, 17),
            "frame 16 does not follow frame 15 in the segment of frames 8 to 15",
        ),
        (8, pictures(8, 10) + pictures(11, 16), "frame 11 does not follow frame 9"),
        (5, pictures(5, 8), "no segment starts at frame 5"),
        (24, [], "no segment starts at frame 24"),
    ],
)
def test_frames_that_do_not_match_the_plan_raise(first, frames, message, plan, tmp_path):
    segment = tmp_path / "segment.mp4"
    with pytest.raises(ValueError, match=rf"video\.mp4: {message}"):
        encode_segment(segment, plan, first, frames, QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["video.mp4"]


def test_interrupt_keeps_the_previous_file(plan, tmp_path):
    segment = tmp_path / "segment.mp4"
    segment.write_text("from before")

    def until_stopped():
        yield 0, picture(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_segment(segment, plan, 0, until_stopped(), QUICK)
    assert segment.read_text() == "from before"
    assert len(list(tmp_path.iterdir())) == 2
