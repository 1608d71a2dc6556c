"""Plan the processing of a video without decoding it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace
from fractions import Fraction
from math import floor

from quartet.style.containers import choose_container, find_lost_side_data
from quartet.style.conversion import detect_colours, detect_orientation
from quartet.style.decode import seeks_exactly
from quartet.style.ordering import (
    FirstFrames,
    FrameOrder,
    order_by_decoding,
    order_by_timestamps,
    read_first_frames,
    sort_packets,
)
from quartet.style.scan import SourceScan, scan_source
from quartet.style.video import Source, VideoPlan, open_source, source_name

_HIGH_FRAME_RATE = 240
_MAX_FRAME_RATE = 1000
"""Highest plausible rates that a container states, frames per second; the second applies if the
frames come at more than half of the first. Some programs state the rate of the ticks."""


def plan_video(source: Source, segment_frames: int, *, accept_truncated: bool = False) -> VideoPlan:
    """Plan the processing of a video in segments.

    The source is read once and decoded only at its start. If timestamps do not determine the
    order of frames, as in raw streams, it is decoded completely once. If seeking to key frames
    does not give the frames that decoding from the start gives, the plan has the index of each
    frame's packet, by which key frames are found without seeking; or if that does not either, it
    has no key frames, and each segment is decoded from the start.

    Args:
        source: Video in any format that FFmpeg reads.
        segment_frames: Approximate frames per segment; segments start at key frames if any
            are near.
        accept_truncated: Whether to plan the existing part of a video that ends before the
            end its container declares.

    Raises:
        ValueError: The source is not a video, displays no frame or is truncated, its
            timestamps jump back, or no container supports its audio.
        OSError: The source cannot be read.
    """
    name = source_name(source)
    with open_source(source) as container:
        scan = scan_source(container, name)
    order, first_frames = _find_order(source, name, scan)
    end = _end_of_last_frame(scan, order)
    if scan.missing and not accept_truncated:
        raise ValueError(
            f"{name}: truncated: ends after frame {len(order.timestamps) - 1}, "
            f"{float(scan.missing):.2f} s before the end its header declares; copy it again, or "
            "set accept_truncated to use the existing part"
        )
    tick = scan.tick
    start = round(scan.start / tick) if scan.any_start else 0
    milliseconds = all(((time - start) * tick * 1000).denominator == 1 for time in order.timestamps)
    with open_source(source) as container:
        target, tracks = choose_container(
            container, name, scan.tracks, milliseconds, stereo=scan.stereo
        )
    if target == "nut":  # It stores no negative times, so that FFmpeg would shift all of them.
        start = min(start, floor(scan.start / tick))
    orientation = detect_orientation(first_frames.frame)
    stored_size, aspect = (first_frames.frame.width, first_frames.frame.height), scan.sample_aspect
    width, height = stored_size[::-1] if orientation.transposed else stored_size
    keys = () if scan.has_decoder_state else order.keys
    plan = VideoPlan(
        name=name,
        fingerprint=scan.fingerprint,
        container=target,
        stream=scan.stream,
        width=width,
        height=height,
        orientation=orientation,
        colours=detect_colours(first_frames.frame),
        sample_aspect=(1 / aspect if orientation.transposed else aspect).as_integer_ratio(),
        time_base=tick.as_integer_ratio(),
        timestamps=order.timestamps,
        end=end,
        origin=start,
        average_rate=_average_rate(scan, order, end).as_integer_ratio(),
        segments=split_segments(len(order.timestamps), keys, segment_frames),
        keys=keys,
        packets=order.packets or (sort_packets(scan.packet_times) if scan.seeks_by_search else ()),
        tracks=tracks,
        lost=(
            *find_lost_side_data(first_frames.side_data, target, scan.stereo),
            *(("transparency, which becomes white",) if first_frames.transparent else ()),
        ),
    )
    if len(plan.segments) == 1 or seeks_exactly(source, plan):
        return plan
    plan = replace(plan, packets=plan.packets or sort_packets(scan.packet_times))
    if seeks_exactly(source, plan):
        return plan
    return replace(plan, keys=(), segments=split_segments(plan.frames, (), segment_frames))


def split_segments(
    frames: int, keys: tuple[int, ...], segment_frames: int
) -> tuple[tuple[int, int], ...]:
    """Split frames into segments of half to twice `segment_frames` frames.

    Segments start at key frames where one is in reach, so that no frame is decoded twice.

    Args:
        frames: Number of frames.
        keys: Indices of the key frames, ascending.
        segment_frames: Approximate frames per segment.

    Returns:
        First frame, and the one after the last, of each segment.
    """
    segments = []
    first = 0
    while first < frames:
        target = first + segment_frames
        reach = keys[
            bisect_left(keys, target - segment_frames // 2) : bisect_right(
                keys, target + segment_frames // 2
            )
        ]
        last = min(reach, key=lambda key: abs(key - target), default=target)
        if frames - last < segment_frames / 2:
            last = frames
        segments.append((first, last))
        first = last
    return tuple(segments)


def _find_order(source: Source, name: str, scan: SourceScan) -> tuple[FrameOrder, FirstFrames]:
    """Return the frames in display order, and the first of them.

    Raises:
        ValueError: No frame can be decoded.
    """
    packets = len(scan.packet_times.shown)
    first_frames = read_first_frames(source, scan.stream) if any(scan.packet_times.shown) else None
    if first_frames is None:
        problem = f"none of its {packets} frames can be decoded" if packets else "it has no frames"
        raise ValueError(f"{name}: {problem}; export it again")
    order = order_by_timestamps(scan.packet_times, first_frames)
    if order is None:
        ticks = round(1 / (scan.rate * scan.tick)) if scan.rate else 1
        order = order_by_decoding(source, scan.stream, scan.packet_times, max(1, ticks))
    return order, first_frames


def _end_of_last_frame(scan: SourceScan, order: FrameOrder) -> int:
    """Return the end of the last frame, ticks: from its packet, else from the previous duration."""
    last = order.timestamps[-1]
    packet_times = scan.packet_times
    if order.packets:
        duration = packet_times.durations[order.packets[-1]]
    else:
        duration = packet_times.durations[packet_times.shown_at.index(last)]
    if duration <= 0 and len(order.timestamps) > 1:
        duration = last - order.timestamps[-2]
    if duration <= 0 and scan.rate:
        duration = round(1 / (scan.rate * scan.tick))
    return last + max(1, duration)


def _average_rate(scan: SourceScan, order: FrameOrder, end: int) -> Fraction:
    """Return frames per second: the container's value if plausible, else frames by duration."""
    first, last = order.timestamps[0], order.timestamps[-1]
    # The duration of the last frame may be wrong.
    frames, ticks = (len(order.timestamps) - 1, last - first) if last > first else (1, end - first)
    mean = (frames / (ticks * scan.tick)).limit_denominator(1001)
    highest = _MAX_FRAME_RATE if mean > _HIGH_FRAME_RATE / 2 else _HIGH_FRAME_RATE
    return scan.rate if scan.rate and 0 < scan.rate <= highest else mean
