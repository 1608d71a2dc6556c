"""Plan of a video: its frames, their timestamps, and the segments it is processed in.

`probe.plan_video` reads a video once without decoding it. Any number of processes then
stylize segments of the plan in any order with `decode.decode_frames` and
`encode.encode_segment`. `assemble.assemble` joins the segments with the audio and other
streams of the source, and `check.check_video` compares the result with the plan.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray
from pydantic import TypeAdapter

from quartet.style.demuxers import DEMUXERS

Source = str | os.PathLike[str] | BinaryIO
"""Path, or seekable binary file that nothing else reads at the same time."""

Picture = NDArray[np.uint8]
"""Shape (h, w, 3), RGB."""

Container = Literal["mp4", "mov", "matroska", "nut"]
SUFFIXES: dict[Container, str] = {
    "mp4": ".mp4",
    "mov": ".mov",
    "matroska": ".mkv",
    "nut": ".nut",
}


@dataclass(frozen=True)
class Colours:
    """Colour encoding of the samples, in code points of ITU-T H.273.

    Attributes:
        matrix: Matrix for the conversion to RGB and back.
        matrix_tag: Matrix declared in the output: 2 (unspecified) if the source declares none,
            so that players guess the same for both.
        full_range: Whether luma ranges from 0 to 255 instead of 16 to 235.
        primaries: Primaries as declared in the source, copied to the output.
        transfer: Transfer characteristics as declared in the source, copied to the output.
    """

    matrix: int
    matrix_tag: int
    full_range: bool
    primaries: int
    transfer: int


@dataclass(frozen=True)
class Orientation:
    """Operations, in this order, that turn a stored picture into the displayed one."""

    transposed: bool = False
    mirrored: bool = False
    upside_down: bool = False

    def apply(self, picture: Picture) -> Picture:
        """Return the displayed picture, as a view."""
        if self.transposed:
            picture = picture.transpose(1, 0, 2)
        if self.mirrored:
            picture = picture[:, ::-1]
        return picture[::-1] if self.upside_down else picture


@dataclass(frozen=True)
class Track:
    """Stream of the source other than the video.

    Attributes:
        index: Index of the stream in the source.
        kind: audio, subtitle, video (a cover or another angle), attachment or data.
        codec: Name of the codec.
        packets: Number of packets.
        digest: SHA-256 over the packets.
        start: First timestamp, seconds, (numerator, denominator).
        left_out: Why the output does not contain it; empty if it is copied.
    """

    index: int
    kind: str
    codec: str
    packets: int
    digest: str
    start: tuple[int, int]
    left_out: str = ""


@dataclass(frozen=True)
class VideoPlan:
    """All that is needed to process any segment of a video independently.

    Attributes:
        name: Name of the source, for messages.
        fingerprint: SHA-256 over all packets, independent of name and path.
        container: Container of the output.
        stream: Index of the video stream.
        width: Width of the displayed picture, pixels.
        height: Height of the displayed picture, pixels.
        orientation: Orientation of the stored picture.
        colours: Colours of the source and of the output.
        sample_aspect: Width to height of a displayed pixel, (numerator, denominator).
        time_base: Length of a tick, seconds, (numerator, denominator).
        timestamps: Presentation timestamps of the frames, ticks, ascending.
        end: End of the last frame, ticks.
        origin: Timestamp that becomes zero in the output, ticks. Not 0 only for containers
            whose clock starts at any time, such as a transport stream, and for sound before
            zero in NUT, which stores no negative times.
        average_rate: Frames per second, (numerator, denominator).
        segments: First frame, and the one after the last, of each segment.
        keys: Indices of the frames at which decoding can start.
        packets: Packet index of each frame, if timestamps do not determine the order of
            frames; else empty.
        tracks: Other streams.
        lost: What else of the source the output does not contain, in words.
    """

    name: str
    fingerprint: str
    container: Container
    stream: int
    width: int
    height: int
    orientation: Orientation
    colours: Colours
    sample_aspect: tuple[int, int]
    time_base: tuple[int, int]
    timestamps: tuple[int, ...]
    end: int
    origin: int
    average_rate: tuple[int, int]
    segments: tuple[tuple[int, int], ...]
    keys: tuple[int, ...]
    packets: tuple[int, ...]
    tracks: tuple[Track, ...]
    lost: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.timestamps)

    @property
    def tick(self) -> Fraction:
        """Length of a tick, seconds."""
        return Fraction(*self.time_base)

    @property
    def rate(self) -> Fraction:
        """Average frame rate, frames per second."""
        return Fraction(*self.average_rate)

    @property
    def seconds(self) -> float:
        """Duration from the start of the first frame to the end of the last."""
        return float((self.end - self.timestamps[0]) * self.tick)

    @property
    def copied_tracks(self) -> list[Track]:
        """Other streams that the output contains."""
        return [track for track in self.tracks if not track.left_out]

    @property
    def suffix(self) -> str:
        """File name suffix of the output."""
        return SUFFIXES[self.container]

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height of the stored frames, pixels."""
        size = (self.width, self.height)
        return size[::-1] if self.orientation.transposed else size

    @property
    def rounds_timestamps(self) -> bool:
        """Whether the output rounds timestamps to milliseconds.

        It does if no container supports both the audio and the time base of the source.
        """
        return self.container == "matroska" and any(
            ((stamp - self.origin) * self.tick * 1000).denominator > 1 for stamp in self.timestamps
        )

    def end_of_segment(self, first: int) -> int:
        """Return the frame after the last of the segment that starts at frame `first`.

        Raises:
            ValueError: No segment starts there.
        """
        position = bisect_right(self.segments, (first, self.frames + 1)) - 1
        if position < 0 or self.segments[position][0] != first:
            raise ValueError(f"{self.name}: no segment starts at frame {first}")
        return self.segments[position][1]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON-serialisable values."""
        return _adapter().dump_python(self, mode="json")

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> VideoPlan:
        """Create a plan from the result of `to_dict`.

        Raises:
            ValueError: The content is invalid.
        """
        return _adapter().validate_python(content)


@cache
def _adapter() -> TypeAdapter[VideoPlan]:
    return TypeAdapter(VideoPlan)


def source_name(source: Source) -> str:
    """Return the name of the source for messages."""
    if isinstance(source, str | os.PathLike):
        return Path(source).name
    return Path(str(getattr(source, "name", "the video"))).name


@contextmanager
def open_source(source: Source) -> Iterator[InputContainer]:
    """Open the source at its start; FFmpeg reads this file only, whatever it refers to.

    Raises:
        ValueError: It is not a video, refers to other files, as playlists do, or its header or
            index is missing.
        OSError: It cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        # Without the prefix, FFmpeg would interpret a name with a colon as a URL.
        position: Any = f"file:{os.fspath(source)}"
        protocols = "file"
    else:
        source.seek(0)
        position = source
        protocols = ""
    try:
        container = av.open(
            position,
            "r",
            options={"format_whitelist": DEMUXERS, "protocol_whitelist": protocols},
            # Keep the bytes of titles that are not UTF-8.
            metadata_errors="surrogateescape",
        )
    except av.ArgumentError as error:
        raise ValueError(
            f"{source_name(source)}: its format is not a video in one file; playlists, lists and "
            "stream descriptions, which refer to other files, are not read: convert it to MP4, or "
            "use the file that it refers to"
        ) from error
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, source_name(source)) from error
        raise ValueError(
            f"{source_name(source)}: cannot be read as a video ({error.strerror}); it has another "
            "format, or was truncated before its index was written: copy or export it again"
        ) from error
    with container:
        yield container
