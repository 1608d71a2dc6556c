"""Test videos: every frame shows its own number, robust to any codec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import OutputContainer
from av.stream import Stream

from quartet.style.assemble import assemble
from quartet.style.check import check_video
from quartet.style.encode import encode_segment
from quartet.style.encoding_settings import Encoding
from quartet.style.video import VideoPlan

SIZE = (96, 64)
QUICK = Encoding(preset="ultrafast")
KEYS = {"g": "8", "keyint_min": "8", "sc_threshold": "0", "bf": "2"}
"""A key frame every eighth frame, and B-frames."""

_BITS = 8


def picture(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a colour gradient whose upper third shows the number as black and white bars."""
    width, height = size
    rows, columns = np.mgrid[:height, :width]
    shown = np.stack([columns * 255 // width, rows * 255 // height, rows * 0 + 90], axis=2)
    bars = (number >> np.minimum(columns * _BITS // width, _BITS - 1)) & 1
    return np.where((rows < height // 3)[..., None], bars[..., None] * 255, shown).astype(np.uint8)


def pictures(first: int, last: int, size: tuple[int, int] = SIZE) -> list[tuple[int, np.ndarray]]:
    """Return the frames from `first` up to but not including `last`, with their indices."""
    return [(number, picture(number, size)) for number in range(first, last)]


def read_number(rgb: np.ndarray) -> int:
    """Return the number that a picture shows."""
    height, width = rgb.shape[:2]
    middles = [(2 * bit + 1) * width // (2 * _BITS) for bit in range(_BITS)]
    bars = rgb[height // 6, middles].mean(axis=1) > 127
    return int(sum(1 << bit for bit, white in enumerate(bars) if white))


def write_video(
    path: Path,
    frames: int = 24,
    *,
    codec: str = "libx264",
    container: str | None = None,
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    rate: int | Fraction = 25,
    time_base: Fraction | None = None,
    timestamps: Sequence[int] | None = None,
    size: tuple[int, int] = SIZE,
    pictures: Sequence[np.ndarray] | None = None,
    turned: tuple[int, bool, bool] | None = None,
    sounds: Sequence[str] = (),
    sound_delay: float = 0.0,
    metadata: dict[str, str] | None = None,
    **context: object,
) -> Path:
    """Write a video, by default in the format of its suffix.

    Args:
        path: Path to write to.
        frames: Number of frames, if `pictures` is not given.
        timestamps: Presentation timestamps in `time_base`; regular by default.
        pictures: Frames; those of `picture` by default.
        turned: Degrees, mirrored, upside down: the display matrix.
        sounds: Encoder of each audio track.
        sound_delay: Seconds by which audio starts after the video.
        context: Attributes of the encoder.
    """
    time_base = time_base or 1 / Fraction(rate)
    shown = pictures or [picture(number, size) for number in range(frames)]
    with av.open(
        str(path), "w", format=container, container_options=container_options or {}
    ) as output:
        output.metadata.update(metadata or {})
        stream = output.add_stream(
            codec, rate=rate, options=options or {}, width=size[0], height=size[1]
        )
        stream.pix_fmt = pixel_format
        stream.time_base = stream.codec_context.time_base = time_base
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        if turned:
            stream.set_display_rotation(*turned)
        tracks = [_sound_track(output, name) for name in sounds]
        output.start_encoding()
        for number, rgb in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = timestamps[number] if timestamps else round(number / rate / time_base)
            frame.time_base = time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        for place, track in enumerate(tracks):
            _write_sound(output, track, len(shown) / float(rate), sound_delay, 440 * (place + 1))
    return path


def _sound_track(output, name):
    track = output.add_stream(name, rate=48_000)
    track.layout = "stereo"
    track.bit_rate = 96_000
    track.options = {"strict": "experimental"}
    track.metadata["language"] = "deu" if len(output.streams.audio) > 1 else "eng"
    return track


def _write_sound(output, track, seconds, delay, hertz):
    size = track.codec_context.frame_size or 960
    resampler = av.AudioResampler(format=track.codec_context.format.name, layout="stereo")
    for start in range(0, int(seconds * 48_000), size):
        wave = 0.3 * np.sin(2 * np.pi * hertz / 48_000 * np.arange(start, start + size))
        frame = av.AudioFrame.from_ndarray(
            np.stack([wave, wave]).astype(np.float32), format="fltp", layout="stereo"
        )
        frame.sample_rate = 48_000
        for converted in resampler.resample(frame):
            converted.pts = start + round(delay * 48_000)
            converted.time_base = Fraction(1, 48_000)
            output.mux(track.encode(converted))
    output.mux(track.encode(None))


def remux(
    source: Path,
    target: Path,
    change: Callable[[OutputContainer, list[Stream]], Sequence[av.Packet] | None],
) -> Path:
    """Copy a video without decoding it.

    `change` is called with the output and its streams before the header is written; it may return
    packets to write in addition.
    """
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        copies = [after.add_stream_from_template(each, opaque=True) for each in before.streams]
        added = change(after, copies) or []
        after.start_encoding()
        for packet in added:
            after.mux(packet)
        for packet in before.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                after.mux(packet)
    return target


def make_subtitle(stream: Stream, text: bytes, start: int, duration: int) -> av.Packet:
    """Return a packet of a subtitle; times are in milliseconds."""
    packet = av.Packet(text)
    packet.pts = packet.dts = start
    packet.duration, packet.time_base, packet.stream = duration, Fraction(1, 1000), stream
    return packet


def read_packets(path: Path, kind: str = "video", track: int = 0) -> list[av.Packet]:
    """Return the packets of one stream in decoding order."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[track]
        return [packet for packet in container.demux(stream) if packet.size]


def read_times(path: Path) -> list[Fraction]:
    """Return the presentation times of the frames, seconds, from FFmpeg's decoder."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return [frame.pts * video.time_base for frame in container.decode(video)]


def read_numbers(source: Path | BinaryIO) -> list[int]:
    """Return the numbers that the frames show, from FFmpeg's decoder."""
    with av.open(source if hasattr(source, "read") else str(source)) as container:
        frames = container.decode(video=0)
        return [read_number(frame.to_ndarray(format="rgb24")) for frame in frames]


def damage(path: Path, packet: av.Packet, keep: int = 0) -> None:
    """Overwrite a packet in its file with noise, except its first bytes."""
    file, content = path.read_bytes(), bytes(packet)
    place = file.index(content) + keep
    noise = np.random.default_rng(1).integers(0, 256, len(content) - keep, dtype=np.uint8)
    path.write_bytes(file[:place] + noise.tobytes() + file[place + len(noise) :])


def encode_segments(plan: VideoPlan, folder: Path, settings: Encoding = QUICK) -> list[Path]:
    """Encode each segment of a plan, with frames that show their numbers."""
    segments = []
    for first, last in plan.segments:
        segments.append(folder / f"segment{first}")
        frames = pictures(first, last, (plan.width, plan.height))
        encode_segment(segments[-1], plan, first, frames, settings)
    return segments


def write_output(source: Path, plan: VideoPlan, folder: Path, settings: Encoding = QUICK) -> Path:
    """Encode, assemble and check the output of a plan; return its path."""
    target = folder / f"out{plan.suffix}"
    assemble(source, encode_segments(plan, folder, settings), plan, target, settings)
    check_video(target, plan)
    return target
