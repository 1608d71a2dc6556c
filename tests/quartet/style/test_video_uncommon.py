"""Videos of uncommon make: they are stylized completely, or refused before work begins."""

from fractions import Fraction

import av
import pytest

from quartet.style.assemble import assemble
from quartet.style.check import check_video
from quartet.style.encode import encode_segment
from quartet.style.encoding_settings import Encoding
from quartet.style.probe import plan_video
from quartet.style.rehearsal import rehearse_assembly
from style.videos import KEYS, picture, read_packets, write_video

QUICK = Encoding(preset="ultrafast")


def reassemble(source, folder):
    """Plan, rehearse, encode and assemble the frames of a test video; return plan and output."""
    plan = plan_video(source, 8)
    target = folder / f"out{plan.suffix}"
    plan = rehearse_assembly(source, plan, target, QUICK)
    segments = []
    for first, last in plan.segments:
        segments.append(folder / f"segment{first}")
        frames = [(number, picture(number)) for number in range(first, last)]
        encode_segment(segments[-1], plan, first, frames, QUICK)
    assemble(source, segments, plan, target, QUICK)
    check_video(target, plan)
    return plan, target


@pytest.mark.parametrize(
    ("name", "options"),
    [
        # Packets without a duration: MP4 would not play the last one.
        ("a.mkv", {"sounds": ["alac"]}),
        ("a.flv", {"codec": "flv", "sounds": ["flac"]}),
        # QuickTime divides uncompressed audio into other packets.
        (
            "a.mxf",
            {"codec": "mpeg2video", "sounds": ["pcm_s16le"], "rate": Fraction(30_000, 1001)},
        ),
    ],
)
def test_sound_is_copied_completely(name, options, tmp_path):
    source = write_video(tmp_path / name, options={"g": "8"}, **options)
    _, target = reassemble(source, tmp_path)
    original, copied = (
        b"".join(bytes(packet) for packet in read_packets(path, "audio"))
        for path in (source, target)
    )
    assert original
    assert copied == original


def test_sound_that_the_container_changes_is_refused_before_frames_are_stylized(tmp_path):
    source = write_video(tmp_path / "a.nut", codec="mpeg4", sounds=["wavpack"])
    plan = plan_video(source, 8)
    with pytest.raises(ValueError, match=r"a\.nut: matroska refuses audio track 1 \(wavpack: it c"):
        rehearse_assembly(source, plan, tmp_path / "out.mkv", QUICK)


@pytest.mark.parametrize("rate", [Fraction(1, 2), Fraction(1, 60)])
def test_slow_matroska_is_no_concatenated_recording(rate, tmp_path):
    source = write_video(tmp_path / "a.mkv", 12, rate=rate, options=KEYS, sounds=["vorbis"])
    plan, target = reassemble(source, tmp_path)
    assert plan.frames == 12
    with av.open(str(target)) as container:
        assert container.duration / 1_000_000 == pytest.approx(12 / rate, rel=0.01)
