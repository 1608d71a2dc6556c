"""Frames of one piece of a video, decoded by themselves."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import av
from av import VideoFrame

from quartet.style.ordering import decode_by_place
from quartet.style.packets import decode_packet, read_packets, video_stream
from quartet.style.pictures import FrameConverter
from quartet.style.video import Picture, Source, VideoPlan, opened

_Numbered = Iterator[tuple[int, VideoFrame]]


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        number: From 0.
        pts: Presentation timestamp, ticks of the source.
        rgb: Shape (h, w, 3), uint8, as shown.
        repeated: Whether it could not be decoded, so that the picture is the one before, as
            a player leaves it on the screen; at the very beginning the next one.
        damaged: Whether the decoder had to guess parts of it.
    """

    number: int
    pts: int
    rgb: Picture
    repeated: bool = False
    damaged: bool = False


def decode_frames(
    source: Source, plan: VideoPlan, first: int, last: int, *, threads: int = 1
) -> Iterator[Frame]:
    """The frames from number `first` up to but not including `last`, each exactly once.

    What is decoded does not depend on what other segments anybody decodes. Not more than a
    handful of frames is held at a time, some more with more threads.

    Args:
        source: That the plan was made of.
        plan: Of the whole video.
        first: Number of the first frame wanted.
        last: Number of the frame after the last one wanted.
        threads: Of the decoder.

    Raises:
        ValueError: There are no such frames, or no frame can be decoded here.
        OSError: The source cannot be read.
    """
    if not 0 <= first <= last <= plan.frames:
        raise ValueError(
            f"{plan.name}: has frames 0 to {plan.frames - 1}, not {first} to {last - 1}"
        )
    if first == last:
        return
    convert = FrameConverter(plan, threads)
    following = first
    before: VideoFrame | None = None
    for number, frame in _frames_around(source, plan, first, threads):
        for lost in range(following, min(number, last)):
            picture = convert.to_picture(frame if before is None else before)
            yield Frame(lost, plan.timestamps[lost], picture, repeated=True)
        if number >= last:
            return
        before = frame
        if number < following:
            continue
        picture = convert.to_picture(frame)
        yield Frame(number, plan.timestamps[number], picture, damaged=frame.is_corrupt)
        following = number + 1
        if following == last:
            return
    if threads > 1:
        # Of a fault near the end, several threads may have taken sound frames with them.
        yield from decode_frames(source, plan, following, last)
        return
    if before is None:
        raise ValueError(
            f"{plan.name}: none of the frames from {first} on can be decoded: export it anew, or "
            "cut it before them"
        )
    for lost in range(following, last):
        yield Frame(lost, plan.timestamps[lost], convert.to_picture(before), repeated=True)


def _frames_around(source: Source, plan: VideoPlan, first: int, threads: int) -> _Numbered:
    """Decoded frames with their numbers, from frame `first` at the latest if that is possible.

    At some key frames decoding begins only for the frames after the next one, and some
    containers find the place of a key frame only about: then from an earlier one.
    """
    for key in _starts(plan.keys, first):
        frames = _frames_from(source, plan, key, threads)
        head = next(frames, None)
        if head is not None and (head[0] <= first or key is None):
            return chain([head], frames)
    return iter(())


def _starts(keys: tuple[int, ...], first: int) -> Iterator[int | None]:
    """Key frames to begin at, the best first; None is the beginning of the file."""
    place, step = bisect_right(keys, first) - 1, 1
    while place > 0:
        yield keys[place]
        place, step = place - step, 2 * step
    yield None


def _frames_from(source: Source, plan: VideoPlan, key: int | None, threads: int) -> _Numbered:
    """Decoded frames of the plan with their numbers, from key frame `key` on."""
    if plan.packets:
        numbers = {place: number for number, place in enumerate(plan.packets)}
        first = plan.packets[key] if key is not None else 0
        for frame in decode_by_place(source, plan.stream, first, threads):
            if frame.pts in numbers:
                yield numbers[frame.pts], frame
        return
    with opened(source) as container:
        video = video_stream(container, plan.stream, threads)
        if key is not None:
            try:
                container.seek(plan.timestamps[key], stream=video)
            except av.FFmpegError:
                return
        for packet in chain(read_packets(container, [video]), [None]):
            for frame in decode_packet(video, packet):
                number = bisect_left(plan.timestamps, frame.pts or 0)
                if number < plan.frames and plan.timestamps[number] == frame.pts:
                    yield number, frame
