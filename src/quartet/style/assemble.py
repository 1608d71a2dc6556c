"""Join the encoded segments of a video, and copy audio and other streams from the source."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any

from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream
from tqdm import tqdm

from quartet.style.containers import filter_metadata
from quartet.style.encode import segment_label
from quartet.style.encoding_settings import Encoding
from quartet.style.files import Target, open_output
from quartet.style.packets import read_packets
from quartet.style.video import Source, VideoPlan, open_source, source_name

_QUICKTIME = "com.apple.quicktime."
"""Prefix of the names of metadata that phones write."""

_MAX_PACKETS = 20_000
"""Packets read to find a few of each track; tracks without one are empty near the start."""


def assemble(
    source: Source,
    segments: Sequence[Source],
    plan: VideoPlan,
    target: Target,
    settings: Encoding,
    *,
    packets_per_track: int | None = None,
) -> None:
    """Join the segments, and copy the source's other streams, chapters and metadata.

    Nothing is encoded again. Frames keep the presentation timestamps of the source.

    Args:
        source: Video that the plan was made from.
        segments: Files written by `encode_segment`, in the order of the plan.
        plan: Plan of the video.
        target: Path or file to write to; a path appears only when the video is complete. The
            caller chooses its suffix, which should be `plan.suffix`.
        settings: Settings that the segments were encoded with.
        packets_per_track: Packets to copy of each other track; None: all.

    Raises:
        ValueError: A segment does not match the plan, or was encoded with other settings; or the
            container cannot store the video.
        OSError: A file cannot be read or written.
    """
    with ExitStack() as stack:
        original = stack.enter_context(open_source(source))
        options = _muxer_options(plan, target, settings, original.metadata)
        output = stack.enter_context(open_output(target, plan.container, options))
        with open_source(segments[0]) as first:
            video = output.add_stream_from_template(first.streams.video[0], opaque=True)
            delay = first.streams.video[0].codec_context.reorder_depth
        video.time_base = plan.tick
        # Without it, timecode tracks are invalid, and Matroska states the rate of its ticks.
        video.codec_context.framerate = plan.rate
        _copy_metadata(video, original.streams[plan.stream])
        copies = {
            track.index: _add_copy(output, original.streams[track.index])
            for track in plan.copied_tracks
        }
        output.metadata.update(filter_metadata(original.metadata))
        output.set_chapters(_shift_chapters(original, plan))
        output.start_encoding()
        streams = heapq.merge(
            _read_video_packets(segments, plan, video, delay),
            _read_other_packets(original, copies, plan, packets_per_track),
            key=lambda packet: (packet.dts or 0) * packet.time_base,
        )
        with tqdm(
            total=plan.frames, desc="joining segments", unit="frame", disable=None, delay=2
        ) as bar:
            for packet in streams:
                output.mux(packet)
                bar.update(packet.stream is video)


def _muxer_options(
    plan: VideoPlan, target: Target, settings: Encoding, metadata: Mapping[str, str]
) -> dict[str, str]:
    """Return options for FFmpeg's MP4 and QuickTime muxer."""
    if plan.container not in ("mp4", "mov"):
        return {}
    # With the default timescale, FFmpeg rounds the start of a stream to milliseconds.
    ticks = plan.tick.denominator
    options = {"movie_timescale": str(ticks * -(-1000 // ticks))}
    flags = ""
    # Place and date of phones are QuickTime's own keys, which it writes only with this flag.
    if any(name.startswith(_QUICKTIME) for name in metadata):
        flags += "+use_metadata_tags"
    # FFmpeg opens the path a second time for this, so it needs a path.
    if settings.fast_start and not hasattr(target, "write"):
        flags += "+faststart"
    return {**options, "movflags": flags} if flags else options


def _add_copy(output: OutputContainer, original: Stream) -> Stream:
    stream = output.add_stream_from_template(original, opaque=True)
    if isinstance(stream, VideoStream) and original.average_rate:
        stream.codec_context.framerate = original.average_rate
    _copy_metadata(stream, original)
    return stream


def _copy_metadata(stream: Stream, original: Stream) -> None:
    """Copy language, title and disposition of the original stream."""
    stream.metadata.update(filter_metadata(original.metadata))
    stream.disposition = original.disposition


def _shift_chapters(original: InputContainer, plan: VideoPlan) -> list[Any]:
    chapters = []
    for chapter in original.chapters():
        shift = round(plan.origin * plan.tick / (chapter["time_base"] or 1))
        chapters.append(
            {**chapter, "start": chapter["start"] - shift, "end": chapter["end"] - shift}
        )
    return chapters


def _read_video_packets(
    segments: Sequence[Source], plan: VideoPlan, video: Stream, delay: int
) -> Iterator[Packet[Stream]]:
    """Yield the packets of all segments with the timestamps of the source.

    Packets come in decoding order. Their decode timestamps are the sorted presentation
    timestamps, delayed by `delay` frames, so that they increase across segments.

    Raises:
        ValueError: A segment does not match the plan or the other segments.
    """
    shown_at = [timestamp - plan.origin for timestamp in plan.timestamps]
    step = max(1, round(1 / (plan.rate * plan.tick)))
    ends = [*shown_at[1:], plan.end - plan.origin]
    packet_count = 0
    first_extradata = None
    for segment, (first, last) in zip(segments, plan.segments, strict=True):
        packets, extradata = _read_segment(segment, plan, first, last)
        first_extradata = first_extradata or extradata
        if extradata != first_extradata:
            raise ValueError(
                f"{plan.name}: the segment that starts at frame {first} was encoded with other "
                "settings than the first segment; encode all segments with the same settings"
            )
        order = sorted(range(last - first), key=lambda position: packets[position].pts or 0)
        frame_indices = {position: first + rank for rank, position in enumerate(order)}
        for position, packet in enumerate(packets):
            frame = frame_indices[position]
            delayed_index = packet_count - delay
            packet.pts = shown_at[frame]
            packet.dts = (
                shown_at[delayed_index]
                if delayed_index >= 0
                else shown_at[0] + delayed_index * step
            )
            if packet.dts > packet.pts:
                raise ValueError(
                    f"{plan.name}: the segment that starts at frame {first} reorders more frames "
                    "than its header declares; encode it again"
                )
            packet.duration = ends[frame] - shown_at[frame]
            packet.time_base = plan.tick
            packet.stream = video
            yield packet
            packet_count += 1


def _read_segment(
    segment: Source, plan: VideoPlan, first: int, last: int
) -> tuple[list[Packet[Stream]], bytes | None]:
    """Return the packets of a segment in decoding order, and its extradata.

    Raises:
        ValueError: It is another segment, or one of another video.
    """
    with open_source(segment) as container:
        stream = container.streams.video[0]
        packets = list(read_packets(container, [stream]))
        label = container.metadata.get("comment", "")
        if label != segment_label(plan, first, last) or len(packets) != last - first:
            raise ValueError(
                f"{source_name(segment)}: expected frames {first} to {last - 1} of {plan.name}, "
                f"found {len(packets)} frames labelled '{label}'; encode the segment again"
            )
        return packets, stream.codec_context.extradata


def _read_other_packets(
    original: InputContainer, copies: dict[int, Stream], plan: VideoPlan, most: int | None
) -> Iterator[Packet[Stream]]:
    """Yield the packets of the other streams, with times relative to the origin.

    Args:
        original: Source.
        copies: Streams of the output, by index of the stream of the source.
        plan: Plan of the video.
        most: Packets of each stream; None: all.
    """
    if not copies:
        return
    earliest: dict[int, int] = {}  # possible decode timestamp of the next packet
    previous: dict[int, int] = {}  # presentation timestamp of the previous packet
    audio_packets = {track.index: track.packets for track in plan.tracks if track.kind == "audio"}
    counts = dict.fromkeys(copies, 0)
    packets = read_packets(original, [original.streams[index] for index in copies])
    for packet in islice(packets, None if most is None else _MAX_PACKETS):
        index = packet.stream.index
        counts[index] += 1
        if most is not None and counts[index] > most:
            if min(counts.values()) > most:
                return
            continue
        shift = round(plan.origin * plan.tick / packet.time_base)
        decoded_at = packet.dts if packet.dts is not None else packet.pts
        if decoded_at is not None:
            decoded_at -= shift
        if decoded_at is None or decoded_at < earliest.get(index, decoded_at):
            # Muxers need decode timestamps that increase; this one is missing or too early.
            decoded_at = earliest.get(index, 0)
        shown_at = packet.pts - shift if packet.pts is not None else decoded_at
        packet.dts, packet.pts = decoded_at, max(shown_at, decoded_at)
        if counts[index] == audio_packets.get(index) and not packet.duration:
            # MP4 would end before the last packet, and players would not play it.
            packet.duration = packet.pts - previous.get(index, packet.pts - 1)
        previous[index] = packet.pts
        packet.stream = copies[index]
        earliest[index] = decoded_at + 1
        yield packet
