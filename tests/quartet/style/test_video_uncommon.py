"""Videos of uncommon make: they are stylized completely, or refused before work begins."""

from fractions import Fraction

import av
import numpy as np
import pytest

from quartet.style.decode import decode_frames
from quartet.style.probe import plan_video
from quartet.style.rehearsal import rehearse_assembly
from style.videos import KEYS, QUICK, read_packets, write_output, write_video


def reassemble(source, folder):
    """Plan, rehearse, encode and assemble the frames of a test video; return plan and output."""
    plan = plan_video(source, 8)
    target = folder / f"out{plan.suffix}"
    plan = rehearse_assembly(source, plan, target, QUICK)
    return plan, write_output(source, plan, folder)


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


@pytest.mark.parametrize(("rate", "frames"), [(Fraction(1, 2), 12), (Fraction(1, 60), 3)])
def test_slow_matroska_is_no_concatenated_recording(rate, frames, tmp_path):
    source = write_video(tmp_path / "a.mkv", frames, rate=rate, options=KEYS, sounds=["vorbis"])
    plan, target = reassemble(source, tmp_path)
    assert plan.frames == frames
    with av.open(str(target)) as container:
        assert container.duration / 1_000_000 == pytest.approx(frames / rate, rel=0.01)


def write_transparent(path, codec, pixel_format):
    """Write frames of which the left half is transparent, with hidden colours."""
    pixels = np.full((32, 48, 4), (10, 200, 30, 255), np.uint8)
    pixels[:, :24] = (90, 20, 60, 0)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, width=48, height=32)
        stream.pix_fmt = pixel_format
        for _ in range(8):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.apng", "apng", "rgba"),
        ("a.mov", "qtrle", "argb"),
        ("b.mov", "png", "rgba"),
        ("c.mov", "prores_ks", "yuva444p10le"),
    ],
)
def test_transparent_pixels_are_white_instead_of_hidden_colours(
    name, codec, pixel_format, tmp_path
):
    source = write_transparent(tmp_path / name, codec, pixel_format)
    plan = plan_video(source, 8)
    for frame in decode_frames(source, plan, 0, 8):
        assert frame.rgb[:, :20].min() > 250
        assert abs(frame.rgb[16, 36].astype(int) - (10, 200, 30)).max() < 10
    assert plan.lost == ("transparency, which becomes white",)


def test_unused_fourth_channel_is_no_transparency(tmp_path):
    pixels = np.full((32, 48, 4), (10, 200, 30, 0), np.uint8)
    with av.open(str(tmp_path / "a.mov"), "w") as output:
        stream = output.add_stream("qtrle", rate=25, width=48, height=32)
        stream.pix_fmt = "argb"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        output.mux(stream.encode(None))
    plan = plan_video(tmp_path / "a.mov", 8)
    (frame,) = decode_frames(tmp_path / "a.mov", plan, 0, 1)
    assert tuple(frame.rgb[16, 24]) == (10, 200, 30)
    assert not plan.lost


def test_timecode_that_the_output_contains_is_not_named_as_lost(tmp_path):
    source = write_video(
        tmp_path / "a.mkv", options=KEYS, sounds=["aac"], metadata={"timecode": "01:02:03:04"}
    )
    plan, target = reassemble(source, tmp_path)
    assert plan.container == "mp4"
    with av.open(str(target)) as container:
        assert container.streams.video[0].metadata["timecode"] == "01:02:03:04"
    assert not plan.lost
