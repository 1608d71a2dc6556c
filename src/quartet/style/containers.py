"""Choose the container of the output, and find what of the source it stores and what is lost."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache

import av
from av.container import InputContainer
from av.stream import Stream

from quartet.style.video import Container, Track

# MP4 supports more (Vorbis, PCM, TrueHD), but players do not expect them there.
_COMMON_IN_MP4 = {"aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "alac", "dts"}

STEREO_TAG = "stereo_mode"
"""Tag of a video stream by which FFmpeg reads and writes the arrangement of views in Matroska."""

OTHER_PROGRAM = "it belongs to another program"

_HEIF_BRANDS = ("mif1", "mif2", "msf1", "avif", "avis", "heic", "heix", "hevc", "hevx")


_SIDE_DATA = {
    "SPHERICAL": "360° view",
    "STEREO3D": "arrangement of two views (stereo)",
    "A53_CC": "closed captions",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_METADATA": "Dolby Vision",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "MASTERING_DISPLAY_METADATA": "HDR mastering data",
    "CONTENT_LIGHT_LEVEL": "HDR mastering data",
}
"""Side data of frames that PyAV cannot write, by FFmpeg's name."""

_FILE_METADATA = {
    "encoder",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "duration",
    "rotate",
    "software",
    "vendor_id",
}
"""Metadata of the source file itself, not copied; nor are Matroska's statistics."""


def choose_container(
    source: InputContainer,
    name: str,
    tracks: Sequence[Track],
    exact_milliseconds: bool,
    *,
    stereo: bool = False,
) -> tuple[Container, tuple[Track, ...]]:
    """Choose the container that preserves most of the source.

    MP4 and QuickTime sources keep their container if it supports all audio. Otherwise the
    criteria are, in this order: all audio, the arrangement of two views, exact timestamps, number
    of other tracks; then MP4 before Matroska before QuickTime. Audio that none of these supports,
    such as Windows Media, goes into NUT, FFmpeg's own container, which fewer players read.

    Args:
        source: Open source.
        name: Name of the source, for messages.
        tracks: All streams of the source except the video.
        exact_milliseconds: Whether all timestamps are whole milliseconds, as in Matroska.
        stereo: Whether the source states the arrangement of two views, as Matroska does.

    Returns:
        The container, and the tracks, with `left_out` set for those it does not support.

    Raises:
        ValueError: No container supports the audio.
    """

    def mark_tracks(container: Container) -> tuple[Track, ...]:
        return tuple(
            track
            if track.left_out
            else replace(
                track,
                left_out=_exclusion_reason(source, source.streams[track.index], track, container),
            )
            for track in tracks
        )

    def score(container: Container) -> tuple[bool, bool, bool, bool, int]:
        tracks_in = mark_tracks(container)
        common = container != "mp4" or all(
            track.codec in _COMMON_IN_MP4 for track in tracks_in if track.kind == "audio"
        )
        unchanged = container == _source_family(source)
        exact = exact_milliseconds or container != "matroska"
        kept = sum(not track.left_out for track in tracks_in)
        keeps_views = not stereo or container == "matroska"
        playable = not _lost_audio(tracks_in) and (unchanged or common)
        return playable, unchanged, keeps_views, exact, kept

    candidates: tuple[Container, ...] = ("mp4", "matroska", "mov")
    best = max(candidates, key=score)
    if not score(best)[0]:
        best = "nut"
    tracks_in = mark_tracks(best)
    if lost := _lost_audio(tracks_in):
        codecs = " and ".join(sorted({track.codec for track in lost}))
        raise ValueError(
            f"{name}: no container supports H.264 with audio in {codecs}; convert the audio first, "
            "for instance to AAC"
        )
    return best, tracks_in


def _lost_audio(tracks: Sequence[Track]) -> list[Track]:
    """Return audio tracks with content that are not copied."""
    return [
        track
        for track in tracks
        if track.kind == "audio"
        and track.left_out
        and track.left_out != OTHER_PROGRAM
        and track.codec
        and track.packets
    ]


def codec_name(stream: Stream) -> str:
    """Return the name of the codec, independent of the decoder; empty if unknown to FFmpeg."""
    if stream.type in ("data", "attachment"):
        return stream.name or ""
    # None without a decoder, although its type says otherwise.
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else ""


def is_still_item(stream: Stream, container: InputContainer) -> bool:
    """Return whether the stream is a still picture of a HEIF file, or a tile of one.

    FFmpeg shows each as a stream of one frame of one second. Animations have them besides.
    """
    brands = container.metadata.get("major_brand", "") + container.metadata.get(
        "compatible_brands", ""
    )
    return (
        any(brand in brands for brand in _HEIF_BRANDS)
        and stream.type == "video"
        and stream.time_base == 1
        and stream.frames <= 1
    )


def read_programs(container: InputContainer) -> dict[int, set[int]]:
    """Return the numbers of the programs that contain each stream, by index of the stream.

    PyAV 18.1 has programs only in FFmpeg's description of the container, which it logs.
    """
    programs: dict[int, set[int]] = {}
    if container.format.name != "mpegts":
        return programs
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        description = container.dumps_format()  # type: ignore[attr-defined]  # in no stub
    finally:
        av.logging.set_level(level)
    program = None
    for line in description.splitlines():
        if found := re.match(r"\s+Program (\d+)", line):
            program = int(found[1])
        elif re.match(r"\s+No Program", line):
            program = None
        elif program is not None and (found := re.match(r"\s+Stream #\d+:(\d+)", line)):
            programs.setdefault(int(found[1]), set()).add(program)
    return programs


def _source_family(source: InputContainer) -> Container | None:
    """Return whether the source is MP4 or QuickTime, which FFmpeg reads as one format."""
    if "mp4" not in source.format.name.split(","):
        return None
    return "mov" if source.metadata.get("major_brand", "qt  ").strip() == "qt" else "mp4"


def _exclusion_reason(
    source: InputContainer, stream: Stream, track: Track, container: Container
) -> str:
    """Return why the container cannot store the stream; empty if it can."""
    if is_still_item(stream, source):
        return "it is a still picture of the animation"
    if stream.type == "attachment":
        return "" if container == "matroska" else f"{container} does not support attachments"
    if stream.type not in ("audio", "subtitle", "video"):
        timecode = "; the timecode is written again" if "timecode" in stream.metadata else ""
        return f"{stream.type} tracks are not copied{timecode}"
    if not track.codec:
        return "FFmpeg does not know its codec"
    if not track.packets:
        return "it is empty"
    supported = stream.codec.name in _supported_codecs(container)
    return "" if supported else f"{container} does not support {track.codec}"


@cache
def _supported_codecs(container: Container) -> frozenset[str]:
    with av.open(io.BytesIO(), "w", format=container) as empty:
        return frozenset(empty.supported_codecs)


def find_lost_side_data(
    kinds: Iterable[str], container: Container, stereo: bool
) -> tuple[str, ...]:
    """Return what frames of the source have and those of the output do not.

    Args:
        kinds: Kinds of side data of the source's frames, by FFmpeg's name.
        container: Container of the output.
        stereo: Whether the source's container states the arrangement of two views; Matroska
            keeps it.
    """
    kept = {"STEREO3D"} if stereo and container == "matroska" else set()
    return tuple(
        sorted({_SIDE_DATA[kind] for kind in kinds if kind in _SIDE_DATA and kind not in kept})
    )


def filter_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata to copy: not that of the file itself."""
    return {
        name: value
        for name, value in metadata.items()
        if name.lower() not in _FILE_METADATA
        and not name.startswith(("DURATION", "BPS", "NUMBER_OF_", "_STATISTICS_"))
    }
