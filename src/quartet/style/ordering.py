"""Determine which frames a video displays, in which order and when."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise

from av import VideoFrame
from tqdm import tqdm

from quartet.style.conversion import has_transparency, read_side_data
from quartet.style.packets import decode_packet, read_packets, select_video_stream, try_decode
from quartet.style.video import Source, open_source

_FIRST_PACKETS = 32
"""Packets that are decoded to compare the order of frames; more until there is a frame."""

_MIN_DECODED_SHARE = 0.75
"""Share of the packets that must give a frame; of field-coded pictures, half do."""


@dataclass
class PacketTimes:
    """Timestamps and flags of the packets of a video stream, in decoding order.

    Attributes:
        shown_at: Presentation timestamps, ticks.
        decoded_at: Decode timestamps, ticks.
        durations: Durations, ticks; 0 if unknown.
        keys: Whether decoding can start at the packet.
        shown: Whether the packet gives a displayed frame.
    """

    shown_at: list[int | None] = field(default_factory=list)
    decoded_at: list[int | None] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)


@dataclass(frozen=True)
class FrameOrder:
    """Frames of a video in display order.

    Attributes:
        timestamps: Presentation timestamps, ticks, ascending.
        keys: Indices of the frames at which decoding can start.
        packets: Packet index of each frame, if timestamps do not determine it; else empty.
    """

    timestamps: tuple[int, ...]
    keys: tuple[int, ...]
    packets: tuple[int, ...] = ()


@dataclass(frozen=True)
class FirstFrames:
    """Result of decoding the first packets of a video.

    Attributes:
        frame: First frame.
        shown_at: Presentation timestamps of the frames in decoder output order, up to the
            first packet that cannot be decoded: after it, timestamps may be wrong.
        side_data: Kinds of side data of the frames, by FFmpeg's name.
        transparent: Whether a frame has transparent pixels.
    """

    frame: VideoFrame
    shown_at: tuple[int | None, ...]
    side_data: frozenset[str] = frozenset()
    transparent: bool = False


def order_by_timestamps(packet_times: PacketTimes, first_frames: FirstFrames) -> FrameOrder | None:
    """Return the order given by the packets' timestamps, or None if decoding contradicts it.

    It does where packets have no timestamps (raw streams) or wrong ones (H.264 in AVI), and
    where there are fewer frames than packets (field-coded pictures).
    """
    packet_indices = sort_packets(packet_times)
    times = {index: packet_times.shown_at[index] for index in packet_indices}
    if None in times.values() or len(set(times.values())) < len(packet_indices):
        return None
    timestamps = tuple(time for index in packet_indices if (time := times[index]) is not None)
    keys = tuple(frame for frame, index in enumerate(packet_indices) if packet_times.keys[index])
    # Frames before the first key frame cannot be decoded.
    first_key = timestamps[keys[0]] if keys else timestamps[0]
    decoded = [time for time in first_frames.shown_at if time is None or time >= first_key]
    if None in decoded or any(earlier >= later for earlier, later in pairwise(decoded)):  # type: ignore[operator]
        return None
    # Damaged packets give no frame, but of field-coded pictures only every second one does.
    latest = decoded[-1] if decoded else None
    expected = (
        bisect_right(timestamps, latest) - bisect_left(timestamps, first_key) if latest else 0
    )
    consistent = set(decoded) <= set(timestamps) and len(decoded) >= _MIN_DECODED_SHARE * expected
    return FrameOrder(timestamps, keys) if consistent else None


def sort_packets(packet_times: PacketTimes) -> tuple[int, ...]:
    """Return the indices of the displayed packets by presentation timestamp."""
    indices = (index for index, shown in enumerate(packet_times.shown) if shown)
    return tuple(sorted(indices, key=lambda index: packet_times.shown_at[index] or 0))


def order_by_decoding(
    source: Source, stream: int, packet_times: PacketTimes, ticks_per_frame: int
) -> FrameOrder:
    """Return the order in which the decoder outputs frames; decodes the complete video.

    Timestamps are the presentation timestamps of the packets if these increase; else the
    decode timestamps, shifted to the first presentation timestamp, if these increase; else
    they are evenly spaced.

    Args:
        source: Video.
        stream: Index of the video stream.
        packet_times: Timestamps of its packets.
        ticks_per_frame: Ticks per frame for even spacing.
    """
    packets: list[int] = []
    decoded_at: list[int | None] = []
    keys = []
    frames = tqdm(
        decode_with_packet_index(source, stream),
        total=len(packet_times.shown_at),
        desc="decoding to find the order of frames",
        unit="frame",
        disable=None,
        delay=2,
    )
    for frame in frames:
        if frame.key_frame and frame.pts is not None and packet_times.keys[frame.pts]:
            keys.append(len(packets))
        packets.append(frame.pts if frame.pts is not None else -1)
        decoded_at.append(frame.dts)
    start = min((time for time in packet_times.shown_at if time is not None), default=0)
    presented_at = [packet_times.shown_at[index] if index >= 0 else None for index in packets]
    for times in (presented_at, decoded_at):
        defined = [time for time in times if time is not None]
        if len(defined) == len(packets) and all(a < b for a, b in pairwise(defined)):
            shift = 0 if times is presented_at or not defined else start - defined[0]
            return FrameOrder(tuple(time + shift for time in defined), tuple(keys), tuple(packets))
    evenly_spaced = tuple(start + index * ticks_per_frame for index in range(len(packets)))
    return FrameOrder(evenly_spaced, tuple(keys), tuple(packets))


def decode_with_packet_index(
    source: Source, stream: int, first: int = 0, threads: int = 1
) -> Iterator[VideoFrame]:
    """Yield frames in decoder output order, with the index of their packet as `pts`.

    Args:
        source: Video.
        stream: Index of the video stream.
        first: Index of the packet to start with; earlier ones are read, not decoded.
        threads: Threads of the decoder.
    """
    with open_source(source) as container:
        video = select_video_stream(container, stream, threads)
        packets = enumerate(read_packets(container, [video]))
        for index, packet in islice(packets, first, None):
            packet.pts = index
            yield from decode_packet(video, packet)
        yield from decode_packet(video, None)


def read_first_frames(source: Source, stream: int) -> FirstFrames | None:
    """Decode the first packets, or up to the first frame; return None if none can be decoded."""
    first: VideoFrame | None = None
    shown_at: list[int | None] = []
    side_data: set[str] = set()
    intact, transparent = True, False
    with open_source(source) as container:
        video = select_video_stream(container, stream, threads=1)
        for index, packet in enumerate(chain(read_packets(container, [video]), [None])):
            frames = try_decode(video, packet)
            intact = intact and frames is not None
            for frame in frames or []:
                first = first or frame
                side_data.update(read_side_data(frame))
                transparent = transparent or has_transparency(frame)
                if intact:
                    shown_at.append(frame.pts)
            if first is not None and (index >= _FIRST_PACKETS or not intact):
                break
    if first is None:
        return None
    return FirstFrames(first, tuple(shown_at), frozenset(side_data), transparent)
