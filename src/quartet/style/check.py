"""Check that an assembled video has the frames, timestamps and audio that its plan states."""

from __future__ import annotations

from fractions import Fraction

from quartet.style.scan import SourceScan, scan_source
from quartet.style.video import Source, VideoPlan, open_source, source_name

_MILLISECOND = Fraction(1, 1000)

_RATE_TOLERANCE = Fraction(1, 100)
"""Relative difference of frame rates; that of variable rates is measured over the video."""


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
        found = scan_source(container, name)
    _check_times(name, plan, found)
    _check_rate(name, plan, rate)
    _check_audio(name, plan, found)


def _check_times(name: str, plan: VideoPlan, found: SourceScan) -> None:
    packet_times = found.packet_times
    ticks = [time or 0 for time in packet_times.shown_at]
    if len(ticks) != plan.frames:
        raise ValueError(
            f"{name}: has {len(ticks)} frames, expected {plan.frames} as in {plan.name}"
        )
    # Matroska, used where no other container supports the audio, counts in milliseconds.
    tolerance = _MILLISECOND / 2 if plan.rounds_timestamps else 0
    for index, (time, timestamp) in enumerate(zip(sorted(ticks), plan.timestamps, strict=True)):
        shown_at, expected = time * found.tick, (timestamp - plan.origin) * plan.tick
        if abs(shown_at - expected) > tolerance:
            raise ValueError(
                f"{name}: frame {index} is shown at {float(shown_at):.6f} s, "
                f"expected {float(expected):.6f} s as in {plan.name}"
            )
    end = max(map(sum, zip(ticks, packet_times.durations, strict=True))) * found.tick
    expected_end = (plan.end - plan.origin) * plan.tick
    if abs(end - expected_end) > 1 / plan.rate:
        raise ValueError(
            f"{name}: ends at {float(end):.3f} s, expected {float(expected_end):.3f} s as in "
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


def _check_audio(name: str, plan: VideoPlan, found: SourceScan) -> None:
    """Check that all packets of the copied audio tracks are there, and start when they should."""
    tracks = [track for track in found.tracks if track.kind == "audio"]
    originals = [track for track in plan.copied_tracks if track.kind == "audio"]
    if len(tracks) != len(originals):
        raise ValueError(f"{name}: has {len(tracks)} audio tracks, expected {len(originals)}")
    for original, track in zip(originals, tracks, strict=True):
        if track.digest != original.digest:  # MP4 divides uncompressed audio into other packets.
            raise ValueError(
                f"{name}: audio track {original.index} ({track.packets} packets) differs from that "
                f"of {plan.name} ({original.packets} packets); plan the video again if it has "
                "changed"
            )
        start = Fraction(*track.start)
        expected = Fraction(*original.start) - plan.origin * plan.tick
        if original.packets and abs(start - expected) > _MILLISECOND:
            raise ValueError(
                f"{name}: audio track {original.index} starts at {float(start):.4f} s, "
                f"expected {float(expected):.4f} s as in {plan.name}"
            )
