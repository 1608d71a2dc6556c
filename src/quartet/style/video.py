"""A video as a plan: which picture is shown when, and in which segments it is worked on.

The way of a video: `probe.plan_video` reads it once without decoding; any number of
processes then take segments of the plan in any order, each by `decode.decode_frames` and
`encode.encode_segment`; `assemble.assemble` joins the segments with the sound and all else of
the source, and `check.check_video` compares the result with the plan.
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

Source = str | os.PathLike[str] | BinaryIO
"""A path, or a binary file that can seek and that nobody else reads meanwhile."""

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
    """How samples stand for colours, in the numbers of ITU-T H.273.

    Attributes:
        matrix: By which frames become RGB and back.
        matrix_tag: What the output says of it: 2 where the source says nothing, so that a
            player guesses for both the same.
        full_range: Whether luma goes from 0 to 255, not from 16 to 235.
        primaries: As the source says; carried along.
        transfer: As the source says; carried along.
    """

    matrix: int
    matrix_tag: int
    full_range: bool
    primaries: int
    transfer: int


@dataclass(frozen=True)
class Orientation:
    """What turns a stored picture into the one to be shown, in this order."""

    transposed: bool = False
    mirrored: bool = False
    upside_down: bool = False

    def applied(self, picture: Picture) -> Picture:
        """The picture as shown; a view."""
        if self.transposed:
            picture = picture.transpose(1, 0, 2)
        if self.mirrored:
            picture = picture[:, ::-1]
        return picture[::-1] if self.upside_down else picture


@dataclass(frozen=True)
class Track:
    """A stream of the source other than the video.

    Attributes:
        index: Of the stream in the source.
        kind: audio, subtitle, video (a cover, or a further angle), attachment, data.
        codec: Its name.
        packets: How many it has.
        digest: SHA-256 over them.
        start: First timestamp, seconds, (numerator, denominator).
        left_out: Why the output cannot hold it; empty where it is copied.
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
    """A video, as far as it must be known to work on any segment of it alone.

    Attributes:
        name: Of the source, for messages.
        fingerprint: SHA-256 over all packets: another name or place changes nothing.
        container: That the output will be written in; `suffix` belongs to it.
        stream: Index of the video stream.
        width: Of the picture as shown, pixels.
        height: Of the picture as shown, pixels.
        orientation: From the stored to the shown picture.
        colours: Of the source, and of the output.
        sample_aspect: Width to height of a pixel as shown, (numerator, denominator).
        time_base: Length of a tick, seconds, (numerator, denominator).
        timestamps: When each frame is shown, ticks, ascending.
        end: When the last frame ends, ticks.
        origin: What becomes zero in the output, ticks. Not 0 only where a container's
            clock starts anywhere, as that of a transport stream or of a cut-out.
        average_rate: Frames per second, (numerator, denominator).
        segments: First frame, and the one after the last, of each segment.
        keys: Numbers of the frames at which decoding can begin.
        packets: For videos whose own timestamps do not tell the order of frames, the
            place of each frame's packet in the stream; empty for the others.
        tracks: The other streams.
        missing_seconds: What the container promises beyond its end; 0 for a whole file.
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
    missing_seconds: float = 0.0

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
        """Average, frames per second."""
        return Fraction(*self.average_rate)

    @property
    def seconds(self) -> float:
        """From the first frame's beginning to the last one's end."""
        return float((self.end - self.timestamps[0]) * self.tick)

    @property
    def suffix(self) -> str:
        """Of the output's name."""
        return SUFFIXES[self.container]

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height of the frames as stored, pixels."""
        size = (self.width, self.height)
        return size[::-1] if self.orientation.transposed else size

    @property
    def rounds(self) -> bool:
        """Whether the output's timestamps are the nearest milliseconds, and not exact.

        That is so where no container holds both the sound and the source's ticks.
        """
        return self.container == "matroska" and any(
            ((stamp - self.origin) * self.tick * 1000).denominator > 1 for stamp in self.timestamps
        )

    def end_of_segment(self, first: int) -> int:
        """The frame after the last of the segment that begins with frame `first`.

        Raises:
            ValueError: None begins there.
        """
        place = bisect_right(self.segments, (first, self.frames + 1)) - 1
        if place < 0 or self.segments[place][0] != first:
            raise ValueError(f"{self.name}: no segment begins with frame {first}")
        return self.segments[place][1]

    def to_dict(self) -> dict[str, Any]:
        """All of it, of lists, numbers and text only."""
        return _adapter().dump_python(self, mode="json")

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> VideoPlan:
        """What `to_dict` gave.

        Raises:
            ValueError: It is something else.
        """
        return _adapter().validate_python(content)


@cache
def _adapter() -> TypeAdapter[VideoPlan]:
    return TypeAdapter(VideoPlan)


def name_of(source: Source) -> str:
    """What messages call it."""
    if isinstance(source, str | os.PathLike):
        return Path(source).name
    return Path(str(getattr(source, "name", "the video"))).name


@contextmanager
def opened(source: Source) -> Iterator[InputContainer]:
    """The source, read from its beginning.

    Raises:
        ValueError: It is no video, or its head or index is missing.
        OSError: It cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        # Without the prefix, a name with a colon would be taken for an address.
        place: Any = f"file:{os.fspath(source)}"
    else:
        source.seek(0)
        place = source
    try:
        # Titles that are not UTF-8 are carried through byte for byte.
        container = av.open(place, "r", metadata_errors="surrogateescape")
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, name_of(source)) from error
        raise ValueError(
            f"{name_of(source)}: cannot be read as a video ({error.strerror}). Either it is none, "
            "or it was cut short before its index was written: copy or export it anew."
        ) from error
    with container:
        yield container
