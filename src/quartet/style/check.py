"""Check that an assembled video has the frames, timestamps and audio that its plan states."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction

from av.container import InputContainer
from tqdm import tqdm

from quartet.style.containers import codec_name
from quartet.style.packets import payload, read_packets
from quartet.style.video import Source, VideoPlan, open_source, source_name

_MILLISECOND = Fraction(1, 1000)

_RATE_TOLERANCE = Fraction(1, 100)
"""Relative difference of frame rates; that of variable rates is measured over the video."""


@dataclass(frozen=True)
class _AudioContent:
    """Packets of an audio stream; equal values mean equal audio."""

    packets: int
    digest: str
    start: Fraction


@dataclass(frozen=True)
class _VideoContent:
    """Timestamps and audio of a video, in seconds from its start.

    Attributes:
        shown_at: Presentation times of the frames, ascending.
        end: End of the last frame.
        audio: Audio streams.
    """

    shown_at: list[Fraction]
    end: Fraction
    audio: list[_AudioContent]


def check_video(target: Source, plan: VideoPlan) -> None:
    """Compare a finished video with its plan, packet by packet, without decoding.

    Args:
        target: Finished video.
        plan: Plan of the source.

    Raises:
        ValueError: Size, number of frames, frame rate, a presentation timestamp, duration or
            audio differs from the source; the message names the difference.
        OSError: The video cannot be read.
    """
    name = source_name(target)
    with open_source(target) as container:
        video = container.streams.video[0]
        if (video.width, video.height) != (plan.width, plan.height):
            raise ValueError(
                f"{name}: size is {video.width}×{video.height} pixels, expected "
                f"{plan.width}×{plan.height} as in {plan.name}"
            )
        rate = video.average_rate
        audio = sum(track.packets for track in plan.tracks if track.kind == "audio")
        content = _read_content(container, plan.frames + audio)
    _check_times(name, plan, content)
    _check_rate(name, plan, rate)
    _check_sounds(name, plan, content.audio)


def _read_content(container: InputContainer, expected: int) -> _VideoContent:
    video = container.streams.video[0]
    codecs = {stream.index: codec_name(stream) for stream in container.streams.audio}
    counts = dict.fromkeys(codecs, 0)
    starts: dict[int, Fraction] = {}
    digests = {index: hashlib.sha256() for index in codecs}
    shown_at = []
    end = Fraction(0)
    packets = tqdm(
        read_packets(container, [video, *container.streams.audio]),
        total=expected,
        desc="checking the output",
        unit="packet",
        disable=None,
        delay=2,
    )
    for packet in packets:
        index = packet.stream.index
        time = (packet.pts or 0) * packet.time_base
        if index == video.index:
            shown_at.append(time)
            end = max(end, time + (packet.duration or 0) * packet.time_base)
        else:
            counts[index] += 1
            digests[index].update(payload(packet, codecs[index]))
            starts[index] = min(time, starts.get(index, time))
    audio = [
        _AudioContent(counts[index], digests[index].hexdigest(), starts.get(index, Fraction(0)))
        for index in codecs
    ]
    return _VideoContent(sorted(shown_at), end, audio)


def _check_times(name: str, plan: VideoPlan, content: _VideoContent) -> None:
    if len(content.shown_at) != plan.frames:
        raise ValueError(
            f"{name}: has {len(content.shown_at)} frames, expected {plan.frames} as in {plan.name}"
        )
    # Matroska, used where no other container supports the audio, counts in milliseconds.
    tolerance = _MILLISECOND / 2 if plan.rounds_timestamps else 0
    for index, found in enumerate(content.shown_at):
        expected = (plan.timestamps[index] - plan.origin) * plan.tick
        if abs(found - expected) > tolerance:
            raise ValueError(
                f"{name}: frame {index} is shown at {float(found):.6f} s, "
                f"expected {float(expected):.6f} s as in {plan.name}"
            )
    end = (plan.end - plan.origin) * plan.tick
    if abs(content.end - end) > 1 / plan.rate:
        raise ValueError(
            f"{name}: ends at {float(content.end):.3f} s, expected {float(end):.3f} s as in "
            f"{plan.name}"
        )


def _check_rate(name: str, plan: VideoPlan, rate: Fraction | None) -> None:
    """Check that the container states the source's frame rate, or the mean of its frames."""
    if plan.container == "nut":  # It stores no rate; FFmpeg estimates one.
        return
    mean = plan.frames / Fraction((plan.end - plan.timestamps[0]) * plan.tick)
    if rate is None or not any(
        abs(rate - expected) <= _RATE_TOLERANCE * expected for expected in (plan.rate, mean)
    ):
        found = "no frame rate" if rate is None else f"{float(rate):.3f} frames per second"
        raise ValueError(
            f"{name}: states {found}, expected {float(plan.rate):.3f} as in {plan.name}"
        )


def _check_sounds(name: str, plan: VideoPlan, audio: list[_AudioContent]) -> None:
    expected = [track for track in plan.tracks if track.kind == "audio" and not track.left_out]
    if len(audio) != len(expected):
        raise ValueError(f"{name}: has {len(audio)} audio tracks, expected {len(expected)}")
    for track, found in zip(expected, audio, strict=True):
        if found.digest != track.digest:  # MP4 divides uncompressed audio into other packets.
            raise ValueError(
                f"{name}: audio track {track.index} ({found.packets} packets) differs from that of "
                f"{plan.name} ({track.packets} packets); plan the video again if it has changed"
            )
        start = Fraction(*track.start) - plan.origin * plan.tick
        if track.packets and abs(found.start - start) > _MILLISECOND:
            raise ValueError(
                f"{name}: audio track {track.index} starts at {float(found.start):.4f} s, "
                f"expected {float(start):.4f} s as in {plan.name}"
            )
