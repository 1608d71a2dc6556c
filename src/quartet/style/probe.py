"""A plan of a video, of which hardly anything is decoded for it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from fractions import Fraction

from quartet.style.containers import choose_container
from quartet.style.ordering import (
    Beginning,
    Order,
    order_by_decoding,
    order_by_timestamps,
    read_beginning,
)
from quartet.style.pictures import colours_of, orientation_of
from quartet.style.reading import Reading, read_all
from quartet.style.video import Source, VideoPlan, name_of, opened

_FASTEST = 1000


def plan_video(source: Source, segment_frames: int, *, accept_truncated: bool = False) -> VideoPlan:
    """How to work on a video in segments. It is read once, and decoded only at its beginning.

    Where timestamps do not tell the order of the frames, as in raw streams, it is decoded to
    its end once.

    Args:
        source: The video: whatever FFmpeg reads.
        segment_frames: Frames a segment, about: segments begin at key frames where those are near.
        accept_truncated: Whether, of a video that ends before its container says so, that
            which is there is planned.

    Raises:
        ValueError: It is no video, shows no frame, was cut short, its clock jumps back, or no
            container holds its sound.
        OSError: It cannot be read.
    """
    if segment_frames < 1:
        raise ValueError(f"segment_frames must be at least 1, not {segment_frames}")
    name = name_of(source)
    with opened(source) as container:
        reading = read_all(container, name)
    order, beginning = _order(source, name, reading)
    end = _end(reading, order)
    if reading.missing and not accept_truncated:
        raise _cut_short(name, len(order.timestamps) - 1, float(reading.missing))
    tick = reading.tick
    start = round(reading.start / tick) if reading.any_start else 0
    milliseconds = all(((time - start) * tick * 1000).denominator == 1 for time in order.timestamps)
    with opened(source) as container:
        target, tracks = choose_container(container, name, reading.tracks, milliseconds)
    orientation = orientation_of(beginning.frame)
    sides, aspect = (beginning.frame.width, beginning.frame.height), reading.sample_aspect
    width, height = sides[::-1] if orientation.transposed else sides
    return VideoPlan(
        name=name,
        fingerprint=reading.fingerprint,
        container=target,
        stream=reading.stream,
        width=width,
        height=height,
        orientation=orientation,
        colours=colours_of(beginning.frame),
        sample_aspect=(1 / aspect if orientation.transposed else aspect).as_integer_ratio(),
        time_base=tick.as_integer_ratio(),
        timestamps=order.timestamps,
        end=end,
        origin=start,
        average_rate=_rate(reading, order, end).as_integer_ratio(),
        segments=divided(len(order.timestamps), order.keys, segment_frames),
        keys=order.keys,
        packets=order.packets,
        tracks=tracks,
        missing_seconds=float(reading.missing),
    )


def _cut_short(name: str, last: int, missing: float) -> ValueError:
    return ValueError(
        f"{name}: ends after frame {last}, {missing:.2f} s before the end that its head promises: "
        "it was cut short, so copy it anew, or accept what is there (accept_truncated)"
    )


def divided(frames: int, keys: tuple[int, ...], segment_frames: int) -> tuple[tuple[int, int], ...]:
    """Segments of about `segment_frames` frames, of half to twice as many.

    They begin at key frames where there are any in reach, so that nothing is decoded twice.
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


def _order(source: Source, name: str, reading: Reading) -> tuple[Order, Beginning]:
    """The frames as they are shown, and the first of them.

    Raises:
        ValueError: There is none.
    """
    packets = len(reading.stamps.shown)
    beginning = read_beginning(source, reading.stream) if any(reading.stamps.shown) else None
    if beginning is None:
        fault = f"none of its {packets} frames can be decoded" if packets else "has no frames"
        raise ValueError(f"{name}: {fault}: export it anew")
    order = order_by_timestamps(reading.stamps, beginning)
    if order is None:
        ticks = round(1 / (reading.rate * reading.tick)) if reading.rate else 1
        order = order_by_decoding(source, reading.stream, reading.stamps, max(1, ticks))
    return order, beginning


def _end(reading: Reading, order: Order) -> int:
    """When the last frame ends, ticks: as its packet says, else it lasts like the one before."""
    last = order.timestamps[-1]
    stamps = reading.stamps
    if order.packets:
        duration = stamps.durations[order.packets[-1]]
    else:
        duration = stamps.durations[stamps.shown_at.index(last)]
    if duration <= 0 and len(order.timestamps) > 1:
        duration = last - order.timestamps[-2]
    if duration <= 0 and reading.rate:
        duration = round(1 / (reading.rate * reading.tick))
    return last + max(1, duration)


def _rate(reading: Reading, order: Order, end: int) -> Fraction:
    """Frames per second: what the container says, if it makes sense."""
    if reading.rate and 0 < reading.rate <= _FASTEST:
        return reading.rate
    seconds = (end - order.timestamps[0]) * reading.tick
    return (len(order.timestamps) / seconds).limit_denominator(1001)
