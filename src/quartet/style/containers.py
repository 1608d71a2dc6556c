"""Which container the output is written in, and which streams of the source it holds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import av
from av.container import InputContainer
from av.stream import Stream

from quartet.style.video import Container, Track

# MP4 allows more, which players do not look for in it: Vorbis, PCM, TrueHD.
_USUAL_IN_MP4 = {"aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "alac", "dts"}


def choose_container(
    source: InputContainer, name: str, tracks: Sequence[Track], whole_milliseconds: bool
) -> tuple[Container, tuple[Track, ...]]:
    """The container that keeps most, and what it leaves out.

    MP4 and QuickTime files stay what they are, if all their sound can be written.
    Otherwise a container that holds all sound comes first, then one that holds the
    frames' times exactly, then the one with most of the other tracks; then MP4 before
    Matroska before QuickTime. Sound that none of them holds, as that of Windows Media,
    goes into NUT, FFmpeg's own container, which fewer players read.

    Args:
        source: Opened.
        name: Of the source, for messages.
        tracks: All its streams but the video.
        whole_milliseconds: Whether all frames' times are, as Matroska's always are.

    Returns:
        Its name, and the tracks, those that it cannot hold marked.

    Raises:
        ValueError: No container holds the sound.
    """

    def marked(container: Container) -> tuple[Track, ...]:
        return tuple(
            replace(track, left_out=_fault(source.streams[track.index], track, container))
            for track in tracks
        )

    def merit(container: Container) -> tuple[bool, bool, bool, int]:
        held = marked(container)
        usual = container != "mp4" or all(
            track.codec in _USUAL_IN_MP4 for track in held if track.kind == "audio"
        )
        own = container == _family(source)
        exact = whole_milliseconds or container != "matroska"
        kept = sum(not track.left_out for track in held)
        return not _lost_sounds(held) and (own or usual), own, exact, kept

    candidates: tuple[Container, ...] = ("mp4", "matroska", "mov")
    best = max(candidates, key=merit)
    if not merit(best)[0]:
        best = "nut"
    held = marked(best)
    if lost := _lost_sounds(held):
        codecs = " and ".join(sorted({track.codec for track in lost}))
        raise ValueError(
            f"{name}: no container holds both H.264 and its sound, {codecs}, as it is: convert the "
            "sound first, for instance to AAC"
        )
    return best, held


def _lost_sounds(tracks: Sequence[Track]) -> list[Track]:
    """Those that somebody could hear, and that are not copied."""
    return [
        track
        for track in tracks
        if track.kind == "audio" and track.left_out and track.codec and track.packets
    ]


def codec_name(stream: Stream) -> str:
    """That of the format, whichever library decodes it; empty if FFmpeg does not know it."""
    if stream.type in ("data", "attachment"):
        return stream.name or ""
    # Absent where there is no decoder, though typed as if it always were there.
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else ""


def _family(source: InputContainer) -> Container | None:
    """What the source is, if that is MP4 or QuickTime, which FFmpeg reads as one format."""
    if "mp4" not in source.format.name.split(","):
        return None
    return "mov" if source.metadata.get("major_brand", "qt  ").strip() == "qt" else "mp4"


def _fault(stream: Stream, track: Track, container: Container) -> str:
    """Why the container cannot hold the stream; empty if it can."""
    if stream.type == "attachment":
        return "" if container == "matroska" else f"{container} holds no attachments"
    if stream.type not in ("audio", "subtitle", "video"):
        return f"{stream.type} tracks are not copied"
    if not track.codec:
        return "its codec is unknown to FFmpeg"
    if not track.packets:
        return "it is empty"
    held = stream.codec.name in _codecs(container)
    return "" if held else f"{container} holds no {track.codec}"


@cache
def _codecs(container: Container) -> frozenset[str]:
    with av.open(io.BytesIO(), "w", format=container) as empty:
        return frozenset(empty.supported_codecs)
