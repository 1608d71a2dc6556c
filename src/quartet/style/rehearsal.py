"""Write the first frame as the output will be written, before all frames are stylized."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer

from quartet.style.assemble import assemble
from quartet.style.containers import codec_name, filter_metadata
from quartet.style.encode import encode_segment
from quartet.style.encoding_settings import Encoding
from quartet.style.packets import payload, read_packets
from quartet.style.video import Source, VideoPlan, open_source

_PACKETS_PER_TRACK = 3
"""Packets of each track, other than the video, that are written."""


def rehearse_assembly(
    source: Source, plan: VideoPlan, target: Path, settings: Encoding
) -> VideoPlan:
    """Write a grey frame with the first packets of all tracks and all metadata, and read it.

    Args:
        source: Video that the plan was made from.
        plan: Plan of the video.
        target: Path to write to, with the name and on the file system of the output.
        settings: Settings of the encoder.

    Returns:
        The plan, without tracks that the container refuses, and with the metadata that it does
        not keep among the losses.

    Raises:
        ValueError: The container cannot store the video, its audio or its metadata.
        OSError: The target cannot be written.
    """
    problem = _find_problem(source, plan, target, settings)
    if problem:
        plan = _leave_out_refused(source, plan, target, settings)
        problem = _find_problem(source, plan, target, settings)
    if problem:
        raise ValueError(
            f"{plan.name}: its tracks or metadata cannot be written as {plan.container} "
            f"({problem}); convert it first, for instance to MP4 with AAC"
        )
    return replace(plan, lost=(*plan.lost, *_find_lost_metadata(source, plan, target)))


def _find_lost_metadata(source: Source, plan: VideoPlan, target: Path) -> tuple[str, ...]:
    """Return the names of metadata of file and video that the target does not contain."""
    with open_source(source) as original, open_source(target) as output:
        # Some containers keep metadata of the file with the video; MP4 the timecode with any track.
        kept = {*output.metadata, *output.streams.video[0].metadata}
        kept |= {"timecode" for each in output.streams if "timecode" in each.metadata}
        kept = {name.lower() for name in kept}
        video = original.streams[plan.stream]
        return tuple(
            f"{kind} '{name}'"
            for kind, metadata in (
                ("metadata", original.metadata),
                ("video metadata", video.metadata),
            )
            for name in sorted(filter_metadata(metadata))
            if name.lower() not in kept
        )


def _leave_out_refused(
    source: Source, plan: VideoPlan, target: Path, settings: Encoding
) -> VideoPlan:
    """Return the plan without the tracks that cannot be written even alone.

    Raises:
        ValueError: One is audio.
    """
    tracks = list(plan.tracks)
    for position, track in enumerate(plan.tracks):
        if track.left_out:
            continue
        alone = [
            replace(other, left_out=other.left_out or ("" if other is track else "not tried"))
            for other in plan.tracks
        ]
        problem = _find_problem(source, replace(plan, tracks=tuple(alone)), target, settings)
        if problem and track.kind == "audio":
            raise ValueError(
                f"{plan.name}: {plan.container} refuses audio track {track.index} ({track.codec}: "
                f"{problem}); convert the audio first, for instance to AAC"
            )
        if problem:
            reason = f"{plan.container} refuses it ({problem})"
            tracks[position] = replace(track, left_out=reason)
    return replace(plan, tracks=tuple(tracks))


def _find_problem(source: Source, plan: VideoPlan, target: Path, settings: Encoding) -> str:
    """Write the first frame and read it again; return why that fails, or an empty string."""
    stamps = plan.timestamps
    first = replace(
        plan,
        timestamps=stamps[:1],
        segments=((0, 1),),
        end=stamps[1] if len(stamps) > 1 else plan.end,
    )
    segment = io.BytesIO()
    grey = np.full((plan.height, plan.width, 3), 128, np.uint8)
    encode_segment(segment, first, 0, [(0, grey)], settings)
    try:
        assemble(source, [segment], first, target, settings, packets_per_track=_PACKETS_PER_TRACK)
    except (ValueError, av.FFmpegError) as error:
        if isinstance(error, OSError):
            raise
        return " ".join(str(error).split())
    try:
        return _compare_audio(source, target, plan)
    except (ValueError, OSError):
        return "what it writes cannot be read again"


def _compare_audio(source: Source, target: Path, plan: VideoPlan) -> str:
    """Compare the first audio packets with those of the source; return the difference.

    Containers divide audio into other packets, and some change their content.
    """
    copied = [track for track in plan.copied_tracks if track.kind == "audio"]
    with open_source(target) as output:
        found = [_read_audio(output, stream.index) for stream in output.streams.audio]
    for track, content in zip(copied, found, strict=True):
        with open_source(source) as original:
            expected = _read_audio(original, track.index, len(content))
        if not expected.startswith(content):
            return f"it changes the audio in {track.codec}"
    return ""


def _read_audio(container: InputContainer, index: int, most: int | None = None) -> bytes:
    """Return the content of an audio stream, with all packets up to `most` bytes."""
    stream = container.streams[index]
    codec, content = codec_name(stream), bytearray()
    if most == 0:
        return b""
    for packet in read_packets(container, [stream]):
        content += payload(packet, codec)
        if most is not None and len(content) >= most:
            break
    return bytes(content)
