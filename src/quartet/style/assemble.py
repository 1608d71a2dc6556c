"""The segments of a video joined, with the sound and all else of the source."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from tqdm import tqdm

from quartet.style.encode import label_of
from quartet.style.encoding_settings import Encoding
from quartet.style.files import Target, written
from quartet.style.packets import read_packets
from quartet.style.video import Source, Track, VideoPlan, name_of, opened

_OF_THE_FILE = {
    "encoder",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "duration",
    "rotate",
    "vendor_id",
}
"""Metadata that describes the source's bytes; so do Matroska's statistics."""


@dataclass(frozen=True)
class OutputFacts:
    """What an assembled video holds.

    Attributes:
        container: Format that it is written in.
        frames: How many it has.
        seconds: From its first frame's beginning to the last one's end.
        copied: Tracks of the source that it holds.
        left_out: Tracks that it does not hold, and why.
        rounded: Whether its timestamps are the nearest milliseconds.
    """

    container: str
    frames: int
    seconds: float
    copied: tuple[Track, ...]
    left_out: tuple[Track, ...]
    rounded: bool


def assemble(
    source: Source, segments: Sequence[Source], plan: VideoPlan, target: Target, settings: Encoding
) -> OutputFacts:
    """Join the segments, and copy the other streams, chapters and metadata, as they are.

    Nothing is encoded anew. Frames get the source's presentation timestamps.

    Args:
        source: That the plan was made of.
        segments: What `encode_segment` wrote, in the order of the plan.
        plan: Of the video.
        target: Where to; a path appears when the video is whole. Its suffix is the caller's
            matter, and should be `plan.suffix`.
        settings: That the segments were encoded with.

    Raises:
        ValueError: A segment is missing, is another than planned, or was encoded with other
            settings; the video cannot be written in this container.
        OSError: Something cannot be read or written.
    """
    if len(segments) != len(plan.segments):
        raise ValueError(f"{plan.name}: {len(segments)} segments instead of {len(plan.segments)}")
    options = _options(plan, target, settings)
    with opened(source) as original, written(target, plan.container, options) as output:
        with opened(segments[0]) as first:
            video = output.add_stream_from_template(first.streams.video[0], opaque=True)
            delay = first.streams.video[0].codec_context.reorder_depth
        video.time_base = plan.tick
        _describe(video, original.streams[plan.stream])
        copies = {
            track.index: _copy_of(output, original.streams[track.index])
            for track in plan.tracks
            if not track.left_out
        }
        output.metadata.update(_kept(original.metadata))
        output.set_chapters(_chapters(original, plan))
        output.start_encoding()
        streams = heapq.merge(
            _video_packets(segments, plan, video, delay),
            _other_packets(original, copies, plan),
            key=lambda packet: (packet.dts or 0) * packet.time_base,
        )
        with tqdm(
            total=plan.frames, desc="joining the segments", unit="frame", disable=None, delay=2
        ) as bar:
            for packet in streams:
                output.mux(packet)
                bar.update(packet.stream is video)
    return OutputFacts(
        container=plan.container,
        frames=plan.frames,
        seconds=plan.seconds,
        copied=tuple(track for track in plan.tracks if not track.left_out),
        left_out=tuple(track for track in plan.tracks if track.left_out),
        rounded=plan.rounds,
    )


def _options(plan: VideoPlan, target: Target, settings: Encoding) -> dict[str, str]:
    """Of FFmpeg's MP4 and QuickTime writer."""
    if plan.container not in ("mp4", "mov"):
        return {}
    # How late a stream begins is else rounded to milliseconds.
    ticks = plan.tick.denominator
    options = {"movie_timescale": str(ticks * -(-1000 // ticks))}
    # For that, FFmpeg must be able to open the path a second time.
    if settings.fast_start and not hasattr(target, "write"):
        options["movflags"] = "+faststart"
    return options


def _copy_of(output: OutputContainer, original: Stream) -> Stream:
    stream = output.add_stream_from_template(original, opaque=True)
    _describe(stream, original)
    return stream


def _describe(stream: Stream, original: Stream) -> None:
    """Give the stream the language, title and role of the original."""
    stream.metadata.update(_kept(original.metadata))
    stream.disposition = original.disposition


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in metadata.items()
        if name.lower() not in _OF_THE_FILE
        and not name.startswith(("DURATION", "BPS", "NUMBER_OF_", "_STATISTICS_"))
    }


def _chapters(original: InputContainer, plan: VideoPlan) -> list[Any]:
    chapters = []
    for chapter in original.chapters():
        shift = round(plan.origin * plan.tick / (chapter["time_base"] or 1))
        chapters.append(
            {**chapter, "start": chapter["start"] - shift, "end": chapter["end"] - shift}
        )
    return chapters


def _video_packets(
    segments: Sequence[Source], plan: VideoPlan, video: Stream, delay: int
) -> Iterator[Packet[Stream]]:
    """The packets of all segments with the timestamps of the source.

    Packets stand in the order of decoding. Their decode timestamps are the presentation
    timestamps in order, `delay` frames late, which makes them ascend over the joints too.

    Raises:
        ValueError: A segment is not what the plan and its neighbours are.
    """
    shown_at = [timestamp - plan.origin for timestamp in plan.timestamps]
    step = max(1, round(1 / (plan.rate * plan.tick)))
    ends = [*shown_at[1:], plan.end - plan.origin]
    place = 0
    head = None
    for segment, (first, last) in zip(segments, plan.segments, strict=True):
        packets, extradata = _read_segment(segment, plan, first, last)
        head = head or extradata
        if extradata != head:
            raise ValueError(
                f"{plan.name}: the segment from frame {first} on was encoded with other settings "
                "than the first one: encode all with the same"
            )
        order = sorted(range(last - first), key=lambda place: packets[place].pts or 0)
        numbers = {position: first + rank for rank, position in enumerate(order)}
        for position, packet in enumerate(packets):
            number = numbers[position]
            late = place - delay
            packet.pts = shown_at[number]
            packet.dts = shown_at[late] if late >= 0 else shown_at[0] + late * step
            if packet.dts > packet.pts:
                raise ValueError(
                    f"{plan.name}: the segment from frame {first} on has its frames in an order "
                    "that its head does not promise: encode it anew"
                )
            packet.duration = ends[number] - shown_at[number]
            packet.time_base = plan.tick
            packet.stream = video
            yield packet
            place += 1


def _read_segment(
    segment: Source, plan: VideoPlan, first: int, last: int
) -> tuple[list[Packet[Stream]], bytes | None]:
    """The packets of a segment in the order of decoding, and its head.

    Raises:
        ValueError: It is another segment, or one of another video.
    """
    with opened(segment) as container:
        stream = container.streams.video[0]
        packets = list(read_packets(container, [stream]))
        label = container.metadata.get("comment", "")
        if label != label_of(plan, first, last) or len(packets) != last - first:
            raise ValueError(
                f"{name_of(segment)}: is not the segment of {plan.name} from frame {first} to "
                f"{last - 1}, but has {len(packets)} frames and says “{label}”: encode it anew"
            )
        return packets, stream.codec_context.extradata


def _other_packets(
    original: InputContainer, copies: dict[int, Stream], plan: VideoPlan
) -> Iterator[Packet[Stream]]:
    """The packets of the other streams as they are, their times counted from the origin."""
    if not copies:
        return
    latest: dict[int, int] = {}
    for packet in read_packets(original, [original.streams[index] for index in copies]):
        index = packet.stream.index
        shift = round(plan.origin * plan.tick / packet.time_base)
        soonest = latest.get(index)
        decoded_at = packet.dts if packet.dts is not None else packet.pts
        if decoded_at is not None:
            decoded_at -= shift
        if decoded_at is None or (soonest is not None and decoded_at < soonest):
            # No time, or not a later one than the packet before: muxers want it later.
            decoded_at = soonest or 0
        shown_at = packet.pts - shift if packet.pts is not None else decoded_at
        packet.dts, packet.pts = decoded_at, max(shown_at, decoded_at)
        packet.stream = copies[index]
        latest[index] = decoded_at + 1
        yield packet
