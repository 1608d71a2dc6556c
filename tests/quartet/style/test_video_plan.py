"""A plan lists every frame with its timestamp; unusable videos raise."""

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.style.ordering import FirstFrames, FrameOrder, PacketTimes, order_by_timestamps
from quartet.style.packets import is_shown, payload
from quartet.style.probe import plan_video, split_segments
from style.videos import KEYS, read_packets, read_times, write_video


@given(
    frames=st.integers(1, 400),
    keys=st.sets(st.integers(0, 399)),
    segment_frames=st.integers(1, 60),
)
def test_segments_cover_every_frame_once_with_similar_sizes(frames, keys, segment_frames):
    keys = tuple(sorted(key for key in keys if key < frames))
    segments = split_segments(frames, keys, segment_frames)
    assert [frame for first, last in segments for frame in range(first, last)] == list(
        range(frames)
    )
    sizes = [last - first for first, last in segments]
    assert max(sizes) <= 2 * segment_frames
    assert len(segments) == 1 or min(sizes) >= segment_frames / 2


def test_segments_start_at_key_frames_in_reach():
    keys = (0, 12, 24, 36, 48, 90)
    assert split_segments(105, keys, 20) == ((0, 24), (24, 48), (48, 68), (68, 90), (90, 105))
    assert split_segments(97, keys, 20)[-1] == (68, 97), "no segment of seven frames"


def test_timestamps_and_keys_match_the_decoder(tmp_path):
    source = write_video(tmp_path / "video.mkv", options=KEYS)
    plan = plan_video(source, 8)
    assert [time * plan.tick for time in plan.timestamps] == read_times(source)
    assert plan.keys == (0, 8, 16)
    assert plan.segments == ((0, 8), (8, 16), (16, 24))
    assert (plan.seconds, plan.rate) == (0.96, 25)
    assert not plan.packets, "its timestamps tell the order"


@pytest.mark.parametrize("suffix", [".avi", ".h264"])
def test_decoding_determines_the_order_without_timestamps(suffix, tmp_path):
    plan = plan_video(write_video(tmp_path / f"video{suffix}", options=KEYS), 8)
    assert (
        np.diff([time * plan.tick for time in plan.timestamps]).tolist() == [Fraction(1, 25)] * 23
    )
    assert plan.packets[:4] == (0, 2, 1, 3) or sorted(plan.packets) == list(range(24))
    assert plan.packets != tuple(range(24))
    assert plan.keys == (0, 8, 16)


@pytest.mark.parametrize(
    ("shown_at", "trusted"),
    [
        ((0, 1, 2, 3, 4, 5, 6, 7), True),
        ((0, 1, 2, 4, 5, 6, 7), True),  # a damaged frame
        ((0, 2, 4, 6), False),  # every second packet is the second field of a picture
        ((0, 2, 1, 3), False),
        ((0, None, 2), False),
        ((0, 1, 17), False),
    ],
)
def test_timestamps_are_used_if_the_decoder_agrees(shown_at, trusted):
    packets = 12
    packet_times = PacketTimes(
        shown_at=list(range(packets)),
        decoded_at=list(range(packets)),
        durations=[1] * packets,
        keys=[number % 4 == 0 for number in range(packets)],
        shown=[True] * packets,
    )
    order = order_by_timestamps(packet_times, FirstFrames(av.VideoFrame(2, 2), shown_at))
    expected = FrameOrder(timestamps=tuple(range(packets)), keys=(0, 4, 8))
    assert order == (expected if trusted else None)


def test_frames_before_the_edit_list_are_not_shown(tmp_path):
    complete = write_video(tmp_path / "complete.mp4", options={**KEYS, "bf": "0"})
    trimmed = tmp_path / "trimmed.mp4"
    with av.open(str(complete)) as source, av.open(str(trimmed), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.pts -= 3 * packet.duration
                packet.dts -= 3 * packet.duration
                packet.stream = stream
                target.mux(packet)
    assert plan_video(trimmed, 8).frames == len(read_times(trimmed)) == 21


def test_hidden_vp8_frames_are_not_counted():
    hidden, shown = av.Packet(bytes([0x01, 2, 3])), av.Packet(bytes([0x11, 2, 3]))
    assert [is_shown(packet, "vp8") for packet in (hidden, shown)] == [False, True]
    assert is_shown(hidden, "h264")


def test_adts_header_is_not_payload(tmp_path):
    source = write_video(tmp_path / "video.ts", sounds=["aac"])
    (packet, *_) = read_packets(source, "audio")
    assert bytes(payload(packet, "aac")) == bytes(packet)[7:]
    assert bytes(payload(packet, "mp3")) == bytes(packet)


def test_fingerprint_depends_on_content_only(tmp_path):
    first = write_video(tmp_path / "video.mp4", options=KEYS)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(first.read_bytes())
    other = write_video(tmp_path / "other.mp4", options={**KEYS, "crf": "40"})
    prints = [plan_video(path, 8).fingerprint for path in (first, copy, other)]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("content", [b"", b"hello\n" * 50])
def test_file_that_is_not_a_video_raises(content, tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"film\.mp4: cannot be read as a video"):
        plan_video(path, 8)


def test_missing_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.mp4"):
        plan_video(tmp_path / "nowhere.mp4", 8)


def write_song(path, *, cover=False, video=False):
    """Write audio, with a cover, or with a video stream without frames."""
    with av.open(str(path), "w") as output:
        track = output.add_stream("aac", rate=48_000)
        track.layout = "mono"
        if cover or video:
            pictures = output.add_stream("mjpeg", rate=25, width=32, height=32)
            pictures.pix_fmt = "yuvj420p"
        if cover:
            pictures.disposition = av.stream.Disposition.attached_pic
            output.mux(pictures.encode(av.VideoFrame(32, 32, "yuvj420p")))
        for place in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 48_000
            frame.pts = 1024 * place
            output.mux(track.encode(frame))
        output.mux(track.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("song.mp4", {}, "has no video stream, only audio;"),
        ("song.mp4", {"cover": True}, "has no video stream, only audio and a cover"),
        ("empty.mkv", {"video": True}, "it has no frames"),
    ],
)
def test_file_without_frames_raises(name, options, message, tmp_path):
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        plan_video(write_song(tmp_path / name, **options), 8)


def test_video_without_decodable_frames_raises(tmp_path):
    source = write_video(tmp_path / "noise.mkv", codec="ffv1", frames=4)
    content = source.read_bytes()
    for packet in read_packets(source):
        content = content.replace(bytes(packet), b"\xff" * packet.size)
    source.write_bytes(content)
    with pytest.raises(ValueError, match=r"noise\.mkv: none of its 4 frames can be decoded"):
        plan_video(source, 8)


CUT = {
    "video.mkv": {"options": KEYS},
    "video.avi": {"codec": "mpeg4", "options": {"g": "8"}},
    "video.mp4": {"options": KEYS, "container_options": {"movflags": "+faststart"}},
    "video.flv": {"options": KEYS},
}


@pytest.mark.parametrize("name", CUT)
def test_truncated_video_raises_or_is_accepted(name, tmp_path):
    source = write_video(tmp_path / name, 50, **CUT[name])
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * 0.6)])
    with pytest.raises(
        ValueError, match=rf"{name}: truncated: ends after frame \d+, \d\.\d+ s before the end"
    ):
        plan_video(source, 8)
    plan = plan_video(source, 8, accept_truncated=True)
    assert 0 < plan.frames < 45


def test_one_missing_frame_is_detected_with_the_index_first(tmp_path):
    source = write_video(tmp_path / "video.mp4", container_options={"movflags": "+faststart"})
    source.write_bytes(source.read_bytes()[:-5])
    with pytest.raises(ValueError, match="before the end its header declares"):
        plan_video(source, 8)


def test_missing_index_raises(tmp_path):
    source = write_video(tmp_path / "video.mp4", options=KEYS)
    source.write_bytes(source.read_bytes()[:-500])
    with pytest.raises(ValueError, match=r"video\.mp4: .* truncated before its index was written"):
        plan_video(source, 8)


def test_transport_stream_has_no_declared_duration(tmp_path):
    source = write_video(tmp_path / "video.ts", 50, options=KEYS)
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * 0.6)])
    assert 20 < plan_video(source, 8).frames < 50


def test_concatenated_recordings_raise(tmp_path):
    source = write_video(tmp_path / "video.ts", 50, options=KEYS)
    source.write_bytes(2 * source.read_bytes())
    with pytest.raises(ValueError, match=r"video\.ts: timestamps of stream 0 jump from .* back"):
        plan_video(source, 8)


@pytest.mark.parametrize(
    ("rate", "codec", "sound", "suffix", "expected"),
    [
        (25, "mpeg4", "libmp3lame", ".avi", "mp4"),
        (25, "mpeg4", "pcm_s16le", ".avi", "matroska"),  # players do not support PCM in MP4
        (Fraction(30_000, 1001), "mpeg4", "pcm_s16le", ".avi", "mov"),  # not whole milliseconds
        (25, "libvpx-vp9", "libopus", ".webm", "mp4"),
        (25, "libx264", "aac", ".mov", "mov"),
        (25, "libx264", "aac", ".mp4", "mp4"),
    ],
)
def test_container_supports_timestamps_and_audio(rate, codec, sound, suffix, expected, tmp_path):
    options = {"codec": codec, "rate": rate, "sounds": [sound], "time_base": 1 / Fraction(rate)}
    plan = plan_video(write_video(tmp_path / f"video{suffix}", 8, **options), 8)
    assert plan.container == expected
    assert not plan.rounds_timestamps
    assert not any(track.left_out for track in plan.tracks)
