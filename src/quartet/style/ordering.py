"""Which frames a video shows, in which order and when."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise

from av import VideoFrame
from tqdm import tqdm

from quartet.style.packets import decode_packet, read_packets, try_decoding, video_stream
from quartet.style.video import Source, opened

_FIRST_PACKETS = 32

_FEWEST = 0.75
"""Share of the packets that must give a frame; of pictures in two fields half do."""


@dataclass
class Stamps:
    """What the packets of a video stream say of themselves, in the order of decoding.

    Attributes:
        shown_at: Presentation timestamps, ticks.
        decoded_at: Decode timestamps, ticks.
        durations: Ticks; 0 where unknown.
        keys: Whether decoding can begin there.
        shown: Whether a frame comes of it.
    """

    shown_at: list[int | None] = field(default_factory=list)
    decoded_at: list[int | None] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)


@dataclass(frozen=True)
class Order:
    """The frames of a video as they are shown.

    Attributes:
        timestamps: When, ticks, ascending.
        keys: Numbers of those at which decoding can begin.
        packets: Place of each one's packet, where timestamps do not tell it; else empty.
    """

    timestamps: tuple[int, ...]
    keys: tuple[int, ...]
    packets: tuple[int, ...] = ()


@dataclass(frozen=True)
class Beginning:
    """What the first packets of a video show.

    Attributes:
        frame: The first one.
        shown_at: Presentation timestamps of the frames, in the order in which they came, up to
            the first packet that cannot be decoded: beyond, faults may look like an order.
    """

    frame: VideoFrame
    shown_at: tuple[int | None, ...]


def order_by_timestamps(stamps: Stamps, beginning: Beginning) -> Order | None:
    """The order that the packets' timestamps tell; None if decoding shows another.

    So it is where packets have no timestamps (raw streams), wrong ones (H.264 in AVI), or
    give fewer frames than there are packets (pictures in two fields).
    """
    places = [place for place, shown in enumerate(stamps.shown) if shown]
    times = {place: stamps.shown_at[place] for place in places}
    if None in times.values() or len(set(times.values())) < len(places):
        return None
    places.sort(key=lambda place: times[place])  # type: ignore[arg-type, return-value]
    timestamps = tuple(time for place in places if (time := times[place]) is not None)
    keys = tuple(number for number, place in enumerate(places) if stamps.keys[place])
    # What comes before the first key frame nobody can decode.
    begin = timestamps[keys[0]] if keys else timestamps[0]
    seen = [time for time in beginning.shown_at if time is None or time >= begin]
    if None in seen or any(earlier >= later for earlier, later in pairwise(seen)):  # type: ignore[operator]
        return None
    latest = seen[-1] if seen else None
    due = bisect_right(timestamps, latest) - bisect_left(timestamps, begin) if latest else 0
    alike = set(seen) <= set(timestamps) and len(seen) >= _FEWEST * due
    return Order(timestamps, keys) if alike else None


def order_by_decoding(source: Source, stream: int, stamps: Stamps, tick_of_rate: int) -> Order:
    """The order in which frames come out of the decoder, all of them: this takes its time.

    Their times are the presentation timestamps of their packets if these ascend; if not,
    the decode timestamps, from the first presentation timestamp on; if not, they are
    spaced evenly.

    Args:
        source: Of the video.
        stream: Index of the video stream.
        stamps: Of its packets.
        tick_of_rate: Ticks a frame, where nothing better is known.
    """
    packets: list[int] = []
    decoded_at: list[int | None] = []
    keys = []
    frames = tqdm(
        decode_by_place(source, stream),
        total=len(stamps.shown_at),
        desc="decoding, for the order of the frames",
        unit="frame",
        disable=None,
        delay=2,
    )
    for frame in frames:
        if frame.key_frame and frame.pts is not None and stamps.keys[frame.pts]:
            keys.append(len(packets))
        packets.append(frame.pts if frame.pts is not None else -1)
        decoded_at.append(frame.dts)
    start = min((time for time in stamps.shown_at if time is not None), default=0)
    own = [stamps.shown_at[place] if place >= 0 else None for place in packets]
    for times in (own, decoded_at):
        known = [time for time in times if time is not None]
        if len(known) == len(packets) and all(a < b for a, b in pairwise(known)):
            shift = 0 if times is own or not known else start - known[0]
            return Order(tuple(time + shift for time in known), tuple(keys), tuple(packets))
    even = tuple(start + number * tick_of_rate for number in range(len(packets)))
    return Order(even, tuple(keys), tuple(packets))


def decode_by_place(
    source: Source, stream: int, first: int = 0, threads: int = 1
) -> Iterator[VideoFrame]:
    """Frames as they come out of the decoder, their `pts` the place of their packet.

    Args:
        source: Of the video.
        stream: Index of the video stream.
        first: Place of the packet to begin with; those before are read, not decoded.
        threads: Of the decoder.
    """
    with opened(source) as container:
        video = video_stream(container, stream, threads)
        packets = enumerate(read_packets(container, [video]))
        for place, packet in islice(packets, first, None):
            packet.pts = place
            yield from decode_packet(video, packet)
        yield from decode_packet(video, None)


def read_beginning(source: Source, stream: int) -> Beginning | None:
    """What the first packets show, or the first that can be decoded; None if none can."""
    first: VideoFrame | None = None
    shown_at: list[int | None] = []
    sound = True
    with opened(source) as container:
        video = video_stream(container, stream, threads=1)
        for place, packet in enumerate(chain(read_packets(container, [video]), [None])):
            frames = try_decoding(video, packet)
            sound = sound and frames is not None
            for frame in frames or []:
                first = first or frame
                if sound:
                    shown_at.append(frame.pts)
            if first is not None and (place >= _FIRST_PACKETS or not sound):
                break
    return Beginning(first, tuple(shown_at)) if first is not None else None
