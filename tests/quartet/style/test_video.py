"""A video processed in segments keeps its frames, timestamps and audio."""

import io
from fractions import Fraction

import numpy as np
import pytest

from quartet.style.assemble import assemble
from quartet.style.check import check_video
from quartet.style.decode import decode_frames
from quartet.style.encode import encode_segment
from quartet.style.encoding_settings import Encoding
from quartet.style.probe import plan_video
from style.videos import KEYS, QUICK, picture, read_numbers, read_packets, read_times, write_video

VP9 = {"deadline": "realtime", "cpu-used": "8"}
X265 = "log-level=none:keyint=8:min-keyint=8:open-gop=1:bframes=3:scenecut=0"
VFR = [0, 3000, 3100, 9000, 9001, 20000, 20001, 29000, 50000, 51000, 51500, 90000]


def process(source, folder, segment_frames=8, settings=QUICK):
    """Process a video in segments, the last one first, without changing frames."""
    plan = plan_video(source, segment_frames)
    segments = {}
    for first, last in reversed(plan.segments):
        segments[first] = folder / f"segment {first}"
        frames = ((frame.index, frame.rgb) for frame in decode_frames(source, plan, first, last))
        encode_segment(segments[first], plan, first, frames, settings)
    target = folder / f"stylized{plan.suffix}"
    assemble(source, [segments[first] for first in sorted(segments)], plan, target, settings)
    check_video(target, plan)
    return plan, target


SOURCES = {
    "h264.mp4": {"options": KEYS, "sounds": ["aac"]},
    "h264.mkv": {"options": KEYS, "sounds": ["aac"]},
    "h264.ts": {"options": KEYS, "sounds": ["aac"]},
    "h264.flv": {"options": KEYS, "sounds": ["aac"]},
    "h264.avi": {"options": KEYS},
    "h264.h264": {"options": KEYS},
    "fragments.mp4": {
        "options": KEYS,
        "container_options": {"movflags": "frag_keyframe+empty_moov"},
        "sounds": ["aac"],
    },
    "refreshed.mp4": {"options": {"x264-params": "intra-refresh=1:keyint=8", "bf": "0"}},
    "open groups.ts": {"codec": "libx265", "options": {"x265-params": X265}},
    "hevc.hevc": {"codec": "libx265", "options": {"x265-params": X265}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "8"}, "sounds": ["libmp3lame"]},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"bf": "2", "g": "8"}, "sounds": ["mp2"]},
    "vp9.webm": {"codec": "libvpx-vp9", "options": VP9, "sounds": ["libopus"]},
    "vp8.webm": {"codec": "libvpx", "options": VP9},
    "wmv2.wmv": {"codec": "wmv2", "container": "asf", "sounds": ["wmav2"]},
    "camera.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p", "sounds": ["adpcm_ms"]},
    "prores.mov": {
        "codec": "prores_ks",
        "pixel_format": "yuv422p10le",
        "sounds": ["pcm_s16le"],
    },
    "lossless.nut": {"codec": "ffv1", "sounds": ["pcm_s16le"]},
    "moving.gif": {"codec": "gif", "pixel_format": "rgb8"},
    "pictures.mjpeg": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "raw.y4m": {"codec": "wrapped_avframe", "container": "yuv4mpegpipe"},
    "one frame.mp4": {"frames": 1, "sounds": ["aac"]},
    "two frames.mkv": {"frames": 2},
}


@pytest.mark.parametrize("name", SOURCES)
def test_all_frames_survive_in_any_container_and_codec(name, tmp_path):
    source = write_video(tmp_path / name, **SOURCES[name])
    plan, target = process(source, tmp_path)
    frames = SOURCES[name].get("frames", 24)
    assert read_numbers(target) == list(range(frames))
    assert plan.frames == frames
    assert plan.copied_tracks == list(plan.tracks)
    assert len(plan.tracks) == len(SOURCES[name].get("sounds", []))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_irregular_timestamps_are_exact(suffix, tmp_path):
    base = Fraction(1, 1000) if suffix == ".mkv" else Fraction(1, 90_000)
    times = sorted({round(time * Fraction(1, 90_000) / base) for time in VFR})
    source = write_video(
        tmp_path / f"vfr{suffix}", len(times), time_base=base, timestamps=times, options=KEYS
    )
    plan, target = process(source, tmp_path)
    assert read_times(target) == [time - plan.origin * plan.tick for time in read_times(source)]
    gaps = np.diff([float(time) for time in read_times(target)])
    assert gaps == pytest.approx(np.diff(times) * float(base))


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
@pytest.mark.parametrize("sound", ["aac", "pcm_s16le"])
def test_b_frames_are_joined_in_order(sound, suffix, tmp_path):
    codec = {".mp4": "libx264", ".avi": "mpeg4"}[suffix]
    source = write_video(tmp_path / f"video{suffix}", 36, codec=codec, sounds=[sound])
    plan, target = process(source, tmp_path, segment_frames=12, settings=Encoding(preset="medium"))
    packets = read_packets(target)
    shown_at = [packet.pts for packet in packets]
    assert shown_at != sorted(shown_at), "no frame refers to a later one: this shows nothing"
    assert [packet.is_keyframe for packet in packets[:: len(packets) // 3]] == [True] * 3
    assert read_times(target) == [time * plan.tick for time in plan.timestamps]
    assert read_numbers(target) == list(range(36))


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_cut_from_a_broadcast_starts_at_zero(suffix, tmp_path):
    base = Fraction(1, 1000 if suffix == ".mkv" else 90_000)
    late = 26 * 3600
    source = write_video(
        tmp_path / f"video{suffix}",
        options=KEYS,
        time_base=base,
        timestamps=[round((late + number / 25) / base) for number in range(24)],
        sounds=["aac"],
        sound_delay=late + 0.1,
    )
    _, target = process(source, tmp_path)
    assert read_times(target) == [Fraction(number, 25) for number in range(24)]
    begin = read_packets(target, "audio")[0]
    assert float(begin.pts * begin.time_base) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("delay", [0.2, -0.1])
def test_audio_offset_is_kept(delay, tmp_path):
    source = write_video(
        tmp_path / "late.mkv",
        options=KEYS,
        time_base=Fraction(1, 1000),
        timestamps=[40 * number + 150 for number in range(24)],
        sounds=["aac"],
        sound_delay=0.15 + delay,
    )
    _, target = process(source, tmp_path)
    before, after = (
        read_packets(path, "audio")[0].pts * read_packets(path, "audio")[0].time_base
        - read_times(path)[0]
        for path in (source, target)
    )
    assert float(before) == pytest.approx(delay, abs=0.03)
    assert after == pytest.approx(before, abs=1e-3)


def test_file_objects_work(tmp_path):
    content = write_video(tmp_path / "video.mp4", options=KEYS, sounds=["aac"]).read_bytes()
    plan = plan_video(io.BytesIO(content), 8)
    segments = []
    for first, last in plan.segments:
        frames = (
            (frame.index, frame.rgb)
            for frame in decode_frames(io.BytesIO(content), plan, first, last)
        )
        segments.append(io.BytesIO())
        encode_segment(segments[-1], plan, first, frames, QUICK)
    target = io.BytesIO()
    assemble(io.BytesIO(content), segments, plan, target, QUICK)
    check_video(target, plan)
    target.seek(0)
    assert read_numbers(target) == list(range(24))


def test_width_of_16384_pixels_works(tmp_path):
    source = write_video(
        tmp_path / "wide.mp4", size=(16_384, 16), pictures=[picture(5, (16_384, 16))]
    )
    plan, target = process(source, tmp_path)
    assert (plan.width, plan.height) == (16_384, 16)
    assert read_numbers(target) == [5]


def test_real_clip(real_clip, tmp_path):
    plan, target = process(real_clip, tmp_path, segment_frames=50)
    assert (plan.frames, plan.container) == (132, "mp4")
    assert [track.codec for track in plan.copied_tracks] == ["aac"]
    assert read_times(target) == read_times(real_clip)
    sound = [bytes(packet) for packet in read_packets(target, "audio")]
    assert sound == [bytes(packet) for packet in read_packets(real_clip, "audio")]
    before, after = (
        next(decode_frames(path, plan_video(path, 50), 70, 71)).rgb for path in (real_clip, target)
    )
    assert np.abs(before.astype(float) - after).mean() < 3
