"""The output states the frame rate of its source, and keeps its timecode."""

from dataclasses import replace
from fractions import Fraction

import av
import pytest

from quartet.style.check import check_video
from quartet.style.probe import plan_video
from style.videos import KEYS, write_output, write_video

NTSC = Fraction(30_000, 1001)


def reassemble(source, folder):
    """Encode and assemble the frames of a test video; return its plan and the output."""
    plan = plan_video(source, 8)
    return plan, write_output(source, plan, folder)


@pytest.mark.parametrize(
    ("name", "options", "rate"),
    [
        ("video.mp4", {}, 25),
        ("video.mp4", {}, 12),
        ("video.mov", {"sounds": ["pcm_s16le"]}, NTSC),
        ("video.mkv", {"sounds": ["vorbis"]}, NTSC),
        ("video.avi", {"sounds": ["pcm_s16le"]}, NTSC),  # becomes Matroska
        ("video.ts", {"sounds": ["aac"]}, NTSC),
        # becomes NUT, which stores no rate
        ("video.wmv", {"sounds": ["wmav2"], "container": "asf"}, NTSC),
    ],
)
def test_output_states_the_frame_rate_of_its_source(name, options, rate, tmp_path):
    source = write_video(tmp_path / name, rate=rate, options=KEYS, **options)
    _, target = reassemble(source, tmp_path)
    with av.open(str(target)) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize("suffix", [".mov", ".mp4"])
@pytest.mark.parametrize(
    ("rate", "timecode"),
    [(25, "01:02:03:04"), (NTSC, "01:02:03;04"), (NTSC, "01:02:03:04"), (50, "23:59:59:49")],
)
def test_timecode_is_kept(rate, timecode, suffix, tmp_path):
    source = write_video(
        tmp_path / f"video{suffix}",
        rate=rate,
        time_base=1 / Fraction(rate),
        metadata={"timecode": timecode},
        sounds=["aac"],
        options=KEYS,
    )
    _, target = reassemble(source, tmp_path)
    with av.open(str(target)) as container:
        assert container.streams.video[0].metadata["timecode"] == timecode


def test_other_frame_rate_is_reported(tmp_path):
    """A video with a gap has a lower mean rate than it states, which is no difference."""
    times = [40 * number + (1000 if number > 12 else 0) for number in range(24)]
    source = write_video(
        tmp_path / "a.mkv",
        time_base=Fraction(1, 1000),
        timestamps=times,
        sounds=["vorbis"],
        options=KEYS,
    )
    plan, target = reassemble(source, tmp_path)
    check_video(target, plan)
    with pytest.raises(ValueError, match=r"states 25\.000 frames per second, expected 1000\.000"):
        check_video(target, replace(plan, average_rate=(1000, 1)))


def test_rate_of_the_ticks_is_not_the_frame_rate(tmp_path):
    """Some programs state 1000 frames per second for any Matroska file."""
    source = write_video(tmp_path / "video.mkv", options=KEYS)
    content = source.read_bytes()
    duration = (40_000_000).to_bytes(4, "big")  # DefaultDuration, nanoseconds
    place = content.index(b"\x23\xe3\x83")
    size = content[place + 3] & 0x7F
    assert content[place + 4 : place + 4 + size][-4:] == duration
    wrong = (1_000_000).to_bytes(size, "big")
    source.write_bytes(content[: place + 4] + wrong + content[place + 4 + size :])
    assert plan_video(source, 8).rate == 25
