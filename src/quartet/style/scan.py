"""Scan all packets of a source once, without decoding them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, cast

from av.container import InputContainer
from av.format import Flags
from av.packet import Packet, PktSideDataT
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from tqdm import tqdm

from quartet.style.containers import (
    OTHER_PROGRAM,
    STEREO_TAG,
    codec_name,
    is_still_item,
    read_programs,
)
from quartet.style.ordering import PacketTimes
from quartet.style.packets import is_shown, payload, read_packets
from quartet.style.video import Track

_TOLERANCE = Fraction(1, 2)
"""Seconds by which the duration that a container declares may be wrong."""

_MAX_BACKWARD_JUMP = 1
"""Seconds; a larger jump back means that the clock was reset."""

_LATEST_START = 10
"""Seconds; a source that starts later was cut from a longer one and keeps its clock."""

_COVER = Disposition.attached_pic | Disposition.timed_thumbnails

_STATE: tuple[PktSideDataT, ...] = ("palette", "new_extradata", "param_change")
"""Side data of packets that change the state of the decoder; seeking skips them."""

_DECLARES_DURATION = {"matroska", "avi", "flv", "asf", "mp4"}
"""Containers that declare their duration; FFmpeg estimates that of others from their end."""


@dataclass(frozen=True)
class SourceScan:
    """Properties of a source's packets and header.

    Attributes:
        stream: Index of the video stream.
        tick: Time base of the video stream: seconds per unit of its timestamps.
        rate: Frames per second, if known.
        sample_aspect: Width to height of a stored pixel.
        packet_times: Timestamps and flags of the video packets.
        tracks: The other streams, those that the result leaves out included.
        fingerprint: SHA-256 over all packets.
        start: First timestamp of any stream, seconds.
        any_start: Whether the clock of the source starts at an arbitrary time, as in a broadcast,
            so that `start` is time 0 of the result; otherwise times are kept.
        missing: Seconds from the actual to the declared end; above 0 if the source is truncated.
        has_decoder_state: Whether packets change the state of the decoder, as palettes do, so
            that it depends on all packets before.
        seeks_by_search: Whether FFmpeg searches the container for a frame, as in MPEG program
            streams: they have no index, and frames without a timestamp of their own get different
            ones after seeking.
        stereo: Whether the container states how the two views of a stereoscopic video are arranged
            in a frame, as Matroska does.
    """

    stream: int
    tick: Fraction
    rate: Fraction | None
    sample_aspect: Fraction
    packet_times: PacketTimes
    tracks: tuple[Track, ...]
    fingerprint: str
    start: Fraction
    any_start: bool
    missing: Fraction
    has_decoder_state: bool
    seeks_by_search: bool
    stereo: bool


@dataclass
class _StreamSummary:
    """Properties of a stream, updated packet by packet.

    Attributes:
        codec: Name of the codec; empty if unknown to FFmpeg.
        packets: Number of packets.
        start: Lowest presentation timestamp, seconds.
        end: Highest end of a packet's presentation, seconds.
        last_decoded: Latest decoding timestamp, seconds.
        last_key: Presentation timestamp of the latest key frame without a decoding timestamp,
            seconds.
        last_is_corrupt: Whether the latest packet is corrupt.
        has_decoder_state: As in `SourceScan`.
        digest: SHA-256 of the packets.
    """

    codec: str
    packets: int = 0
    start: Fraction | None = None
    end: Fraction | None = None
    last_decoded: Fraction | None = None
    last_key: Fraction | None = None
    last_is_corrupt: bool = False
    has_decoder_state: bool = False
    digest: Any = field(default_factory=hashlib.sha256)  # hashlib has no public type for it


def scan_source(container: InputContainer, name: str) -> SourceScan:
    """Read all packets of a source, and return its properties.

    Args:
        container: Source, just opened.
        name: Name of the source, for messages.

    Raises:
        ValueError: The source is a picture, has no video stream or none that can be decoded, or
            the timestamps of a stream jump back.
    """
    video = _main_video(container, name)
    packet_times, summaries = _scan_packets(container, video, name)
    digests = "".join(summary.digest.hexdigest() for summary in summaries.values())
    starts = (summary.start for summary in summaries.values() if summary.start is not None)
    start = min(starts, default=Fraction(0))
    discontinuous = bool(container.format.flags & cast(int, Flags.ts_discont.value))
    others = (stream for stream in container.streams if stream.index != video.index)
    return SourceScan(
        stream=video.index,
        tick=Fraction(video.time_base or 1),
        rate=video.average_rate or video.guessed_rate,
        sample_aspect=video.sample_aspect_ratio or Fraction(1),
        packet_times=packet_times,
        tracks=_mark_other_programs(
            container,
            video.index,
            [_to_track(stream, summaries[stream.index]) for stream in others],
        ),
        fingerprint=hashlib.sha256(digests.encode()).hexdigest(),
        start=start,
        any_start=discontinuous or start > _LATEST_START,
        missing=_missing_seconds(
            container, video, list(summaries.values()), summaries[video.index]
        ),
        has_decoder_state=summaries[video.index].has_decoder_state,
        seeks_by_search=container.format.name == "mpeg",
        stereo=STEREO_TAG in video.metadata,
    )


def _scan_packets(
    container: InputContainer, video: VideoStream, name: str
) -> tuple[PacketTimes, dict[int, _StreamSummary]]:
    """Return the times of the video's packets, and a summary of each stream by index."""
    packet_times = PacketTimes()
    summaries = {stream.index: _StreamSummary(codec_name(stream)) for stream in container.streams}
    with tqdm(
        total=container.size if container.size > 0 else None,
        desc=f"reading {name}",
        unit="B",
        unit_scale=True,
        disable=None,
        delay=2,
    ) as bar:
        for packet in read_packets(container, list(container.streams)):
            _update_summary(summaries[packet.stream.index], packet, name)
            if packet.stream.index == video.index:
                _append_times(packet_times, packet, summaries[video.index].codec)
            bar.update(packet.size)
    return packet_times, summaries


def _to_track(stream: Stream, summary: _StreamSummary) -> Track:
    return Track(
        index=stream.index,
        kind=stream.type,
        codec=summary.codec,
        packets=summary.packets,
        digest=summary.digest.hexdigest(),
        start=(summary.start or Fraction(0)).as_integer_ratio(),
    )


def _mark_other_programs(
    container: InputContainer, video: int, tracks: Sequence[Track]
) -> tuple[Track, ...]:
    """Mark the tracks of other programs as left out.

    A recording of several television channels has a program per channel. Tracks without a program
    belong to all.
    """
    programs = read_programs(container)
    own = programs.get(video, set())

    def is_of_another(track: Track) -> bool:
        of_track = programs.get(track.index, set())
        return bool(own and of_track) and own.isdisjoint(of_track)

    return tuple(
        replace(track, left_out=OTHER_PROGRAM) if is_of_another(track) else track
        for track in tracks
    )


def _main_video(container: InputContainer, name: str) -> VideoStream:
    """Return the main video stream: the default one, else the largest.

    Covers and thumbnails are ignored, and still pictures if there is an animation.

    Raises:
        ValueError: There is none, or FFmpeg has no decoder for it.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & _COVER]
    if streams and all(is_still_item(stream, container) for stream in streams):
        raise ValueError(f"{name}: is a picture, not a video; export it as JPEG or PNG")
    if not streams:
        kinds = dict.fromkeys(
            "a cover" if each.type == "video" else each.type for each in container.streams
        )
        found = " and ".join(kinds) or "a header"
        raise ValueError(f"{name}: has no video stream, only {found}; use another file")
    decodable = [stream for stream in streams if codec_name(stream)]
    if not decodable:
        raise ValueError(f"{name}: FFmpeg has no decoder for its video; convert it to H.264 first")
    return max(
        decodable,
        key=lambda stream: (
            not is_still_item(stream, container),
            bool(stream.disposition & Disposition.default),
            stream.width * stream.height,
        ),
    )


def _update_summary(summary: _StreamSummary, packet: Packet[Stream], name: str) -> None:
    """Add a packet to the summary of its stream.

    Raises:
        ValueError: The timestamps jump back.
    """
    summary.packets += 1
    summary.digest.update(payload(packet, summary.codec))
    summary.last_is_corrupt = packet.is_corrupt  # as FFmpeg marks a packet cut by the end
    summary.has_decoder_state |= any(packet.has_sidedata(kind) for kind in _STATE)
    tick = packet.time_base
    if packet.stream.type in ("video", "audio"):
        # Presentation timestamps increase from key frame to key frame only.
        if packet.dts is not None:
            _check_order(packet, packet.dts * tick, summary.last_decoded, name)
            summary.last_decoded = packet.dts * tick
        elif packet.pts is not None and packet.is_keyframe:
            _check_order(packet, packet.pts * tick, summary.last_key, name)
            summary.last_key = packet.pts * tick
    if packet.pts is not None:
        start, end = packet.pts * tick, (packet.pts + (packet.duration or 0)) * tick
        summary.start = start if summary.start is None else min(summary.start, start)
        summary.end = end if summary.end is None else max(summary.end, end)


def _check_order(
    packet: Packet[Stream], time: Fraction, previous: Fraction | None, name: str
) -> None:
    """Check that timestamps do not jump back.

    Raises:
        ValueError: They do.
    """
    if previous is not None and time < previous - _MAX_BACKWARD_JUMP:
        raise ValueError(
            f"{name}: timestamps of stream {packet.stream.index} jump from "
            f"{float(previous):.1f} s back to {float(time):.1f} s, as in "
            "concatenated recordings; split it there, or convert it first"
        )


def _append_times(packet_times: PacketTimes, packet: Packet[Stream], codec: str) -> None:
    packet_times.shown_at.append(packet.pts)
    packet_times.decoded_at.append(packet.dts)
    packet_times.durations.append(packet.duration or 0)
    packet_times.keys.append(packet.is_keyframe)
    packet_times.shown.append(is_shown(packet, codec))


def _missing_seconds(
    container: InputContainer,
    video: VideoStream,
    summaries: Sequence[_StreamSummary],
    main: _StreamSummary,
) -> Fraction:
    """Return the seconds from the actual to the declared end; 0 within the tolerance.

    An MP4 file with fewer packets than its index lists is truncated in any case: at least 1 ms.
    """
    formats = set(container.format.name.split(","))
    if not formats & _DECLARES_DURATION or container.duration is None:
        return Fraction(0)
    end = max(
        (summary.end for summary in summaries if summary.end is not None), default=Fraction(0)
    )
    declared = Fraction(container.duration, 1_000_000)
    if "avi" in formats:  # FFmpeg computes the duration of AVI from the packets that exist.
        declared = video.frames * Fraction(video.time_base or 0)
    missing = declared - end
    if "mp4" in formats and (main.packets < len(video.index_entries) or main.last_is_corrupt):
        return max(missing, Fraction(1, 1000))
    return missing if missing > _TOLERANCE else Fraction(0)
