"""One pass over all packets of a source: what they say, without decoding them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

from av.container import InputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from tqdm import tqdm

from quartet.style.containers import codec_name
from quartet.style.ordering import Stamps
from quartet.style.packets import is_shown, payload, read_packets
from quartet.style.video import Track

_TOLERANCE = Fraction(1, 2)
"""Seconds by which the length that a container states may be wrong."""

_BACKWARDS = 1
"""Seconds; a clock that goes back further has been set anew."""

_LATEST_START = 10
"""Seconds; what begins later was cut out of something longer, and has its clock."""

_COVER = Disposition.attached_pic | Disposition.timed_thumbnails

_STATES_LENGTH = {"matroska", "avi", "flv", "asf", "mp4"}
"""Containers with their length in the head; that of others is guessed from their end."""


@dataclass(frozen=True)
class Reading:
    """What a source's packets and head say.

    Attributes:
        stream: Index of the video stream.
        tick: Of the video stream, seconds.
        rate: Frames per second, as far as known.
        sample_aspect: Width to height of a stored pixel.
        stamps: Of the video's packets.
        tracks: The other streams.
        fingerprint: SHA-256 over all packets.
        start: First timestamp of any stream, seconds.
        any_start: Whether the container's clock may start anywhere.
        missing: What the container promises beyond its end, seconds.
    """

    stream: int
    tick: Fraction
    rate: Fraction | None
    sample_aspect: Fraction
    stamps: Stamps
    tracks: tuple[Track, ...]
    fingerprint: str
    start: Fraction
    any_start: bool
    missing: Fraction


@dataclass
class _Tally:
    """What is known of a stream while its packets go by."""

    codec: str
    packets: int = 0
    start: Fraction | None = None
    end: Fraction | None = None
    last: Fraction | None = None
    broken: bool = False
    digest: Any = field(default_factory=hashlib.sha256)  # hashlib has no public type for it


def read_all(container: InputContainer, name: str) -> Reading:
    """Read a source to its end.

    Args:
        container: Just opened.
        name: Of the source, for messages.

    Raises:
        ValueError: It has no video, or the clock of a stream jumps back.
    """
    video = _main_video(container, name)
    stamps, tallies = _pass(container, video, name)
    digests = "".join(tally.digest.hexdigest() for tally in tallies.values())
    starts = (tally.start for tally in tallies.values() if tally.start is not None)
    start = min(starts, default=Fraction(0))
    discontinuous = bool(container.format.flags & cast(int, Flags.ts_discont.value))
    others = (stream for stream in container.streams if stream.index != video.index)
    return Reading(
        stream=video.index,
        tick=Fraction(video.time_base or 1),
        rate=video.average_rate or video.guessed_rate,
        sample_aspect=video.sample_aspect_ratio or Fraction(1),
        stamps=stamps,
        tracks=tuple(_track(stream, tallies[stream.index]) for stream in others),
        fingerprint=hashlib.sha256(digests.encode()).hexdigest(),
        start=start,
        any_start=discontinuous or start > _LATEST_START,
        missing=_missing(container, video, list(tallies.values()), tallies[video.index]),
    )


def _pass(
    container: InputContainer, video: VideoStream, name: str
) -> tuple[Stamps, dict[int, _Tally]]:
    """What the packets of the video say of time, and what is known of each stream, by index."""
    stamps = Stamps()
    tallies = {stream.index: _Tally(codec_name(stream)) for stream in container.streams}
    with tqdm(
        total=container.size if container.size > 0 else None,
        desc=f"reading {name}",
        unit="B",
        unit_scale=True,
        disable=None,
        delay=2,
    ) as bar:
        for packet in read_packets(container, list(container.streams)):
            _count(tallies[packet.stream.index], packet, name)
            if packet.stream.index == video.index:
                _note(stamps, packet, tallies[video.index].codec)
            bar.update(packet.size)
    return stamps, tallies


def _track(stream: Stream, tally: _Tally) -> Track:
    return Track(
        index=stream.index,
        kind=stream.type,
        codec=tally.codec,
        packets=tally.packets,
        digest=tally.digest.hexdigest(),
        start=(tally.start or Fraction(0)).as_integer_ratio(),
    )


def _main_video(container: InputContainer, name: str) -> VideoStream:
    """The stream that is meant to be watched: no cover; the default one, then the largest.

    Raises:
        ValueError: There is none.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & _COVER]
    if not streams:
        kinds = dict.fromkeys(
            "a cover" if each.type == "video" else each.type for each in container.streams
        )
        found = " and ".join(kinds) or "a head"
        raise ValueError(f"{name}: has no video stream, only {found}: give another file")
    readable = [stream for stream in streams if codec_name(stream)]
    if not readable:
        raise ValueError(f"{name}: FFmpeg has no decoder for its video: convert it to H.264 first")
    return max(
        readable,
        key=lambda stream: (
            bool(stream.disposition & Disposition.default),
            stream.width * stream.height,
        ),
    )


def _count(tally: _Tally, packet: Packet[Stream], name: str) -> None:
    """Take a packet into the account of its stream.

    Raises:
        ValueError: The clock jumps back here.
    """
    tally.packets += 1
    tally.digest.update(payload(packet, tally.codec))
    tally.broken = packet.is_corrupt
    tick = packet.time_base
    time = packet.dts if packet.dts is not None else packet.pts
    if time is not None and packet.stream.type in ("video", "audio"):
        if tally.last is not None and time * tick < tally.last - _BACKWARDS:
            raise ValueError(
                f"{name}: the clock of stream {packet.stream.index} jumps from "
                f"{float(tally.last):.1f} s back to {float(time * tick):.1f} s, as where two "
                "recordings were put one after the other: split it there, or convert it first"
            )
        tally.last = time * tick
    if packet.pts is not None:
        start, end = packet.pts * tick, (packet.pts + (packet.duration or 0)) * tick
        tally.start = start if tally.start is None else min(tally.start, start)
        tally.end = end if tally.end is None else max(tally.end, end)


def _note(stamps: Stamps, packet: Packet[Stream], codec: str) -> None:
    stamps.shown_at.append(packet.pts)
    stamps.decoded_at.append(packet.dts)
    stamps.durations.append(packet.duration or 0)
    stamps.keys.append(packet.is_keyframe)
    stamps.shown.append(is_shown(packet, codec))


def _missing(
    container: InputContainer, video: VideoStream, tallies: Sequence[_Tally], main: _Tally
) -> Fraction:
    """Seconds that the container's head promises beyond its end."""
    formats = set(container.format.name.split(","))
    if not formats & _STATES_LENGTH or container.duration is None:
        return Fraction(0)
    end = max((tally.end for tally in tallies if tally.end is not None), default=Fraction(0))
    promised = Fraction(container.duration, 1_000_000)
    if "avi" in formats:  # Its duration is worked out from what is there.
        promised = video.frames * Fraction(video.time_base or 0)
    short = promised - end
    if "mp4" in formats and (main.packets < len(video.index_entries) or main.broken):
        return max(short, Fraction(1, 1000))
    return short if short > _TOLERANCE else Fraction(0)
