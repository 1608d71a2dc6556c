"""Decode the frames of one segment of a video, independent of the other segments."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import av
import numpy as np
from av import VideoFrame

from quartet.style.conversion import FrameConverter
from quartet.style.ordering import decode_with_packet_index
from quartet.style.packets import decode_packet, read_packets, select_video_stream
from quartet.style.video import Picture, Source, VideoPlan, open_source

_IndexedFrames = Iterator[tuple[int, VideoFrame]]

_CHECKED_FRAMES = 128
"""Seeking is checked at key frames among so many frames at the start."""
_CHECKED_KEYS = 8
"""Approximate number of key frames checked."""
_FAR_FRAMES = 300
"""If there is none, the first key frame among so many is checked: their longest usual distance."""
_COMPARED = 4
"""Frames compared from each checked key frame on."""


@dataclass(frozen=True)
class Frame:
    """A decoded frame of a video.

    Attributes:
        index: Index of the frame, from 0.
        rgb: Picture as displayed, shape (h, w, 3), uint8.
        repeated: Whether decoding failed, so that the picture repeats the previous frame, as
            players do; at the very start, the next frame.
        damaged: Whether the decoder concealed errors.
    """

    index: int
    rgb: Picture
    repeated: bool = False
    damaged: bool = False


def decode_frames(
    source: Source, plan: VideoPlan, first: int, last: int, *, threads: int = 1
) -> Iterator[Frame]:
    """Yield the frames from `first` up to but not including `last`, each exactly once.

    The result does not depend on which other segments are decoded. Only a handful of frames
    is in memory at a time, a few more with more threads.

    Args:
        source: Video that the plan was made from.
        plan: Plan of the complete video.
        first: Index of the first frame.
        last: Index after that of the last frame.
        threads: Threads of the decoder.

    Raises:
        ValueError: None of the frames can be decoded.
        OSError: The source cannot be read.
    """
    convert = FrameConverter(plan, threads)
    next_index = first
    previous: VideoFrame | None = None
    for index, frame in _decode_around(source, plan, first, threads):
        for missing in range(next_index, min(index, last)):
            picture = convert.to_picture(frame if previous is None else previous)
            yield Frame(missing, picture, repeated=True)
        if index >= last:
            return
        previous = frame
        if index < next_index:
            continue
        picture = convert.to_picture(frame)
        yield Frame(index, picture, damaged=frame.is_corrupt)
        next_index = index + 1
        if next_index == last:
            return
    if threads > 1:
        # With several threads, an error near the end may also drop intact frames.
        yield from decode_frames(source, plan, next_index, last)
        return
    if previous is None:
        raise ValueError(
            f"{plan.name}: no frame from {first} on can be decoded; export the video again, or cut "
            f"it before frame {first}"
        )
    for missing in range(next_index, last):
        yield Frame(missing, convert.to_picture(previous), repeated=True)


def seeks_exactly(source: Source, plan: VideoPlan) -> bool:
    """Return whether decoding from key frames gives the same frames as from the start.

    It does not where decoders keep a state that key frames do not reset, where frames are marked
    as key frames that are none, or where timestamps after seeking differ. Some key frames near
    the start are tried.
    """
    keys = [key for key in plan.keys if 0 < key < _CHECKED_FRAMES]
    keys = keys[:: max(1, len(keys) // _CHECKED_KEYS)]
    keys = keys or [key for key in plan.keys if 0 < key < _FAR_FRAMES][:1]
    if not keys:
        return True
    convert = FrameConverter(plan)
    wanted = {index for key in keys for index in range(key, min(key + _COMPARED, plan.frames))}
    expected = {}
    for index, frame in _decode_from(source, plan, None, 1):
        if index in wanted:
            expected[index] = convert.to_picture(frame)
        if index >= max(wanted):
            break
    for key in keys:
        frames = {}
        for index, frame in _decode_around(source, plan, key, 1):
            if index in expected:
                frames[index] = convert.to_picture(frame)
            if index >= key + _COMPARED - 1:
                break
        for index in range(key, key + _COMPARED):
            if (index in frames) != (index in expected):
                return False
            if index in frames and not np.array_equal(frames[index], expected[index]):
                return False
    return True


def _decode_around(source: Source, plan: VideoPlan, first: int, threads: int) -> _IndexedFrames:
    """Yield decoded frames with their indices, if possible from frame `first` or earlier.

    At some key frames, decoding starts only after the next one, and some containers seek
    only approximately; then decoding starts from an earlier key frame.
    """
    for key in _seek_candidates(plan.keys, first):
        frames = _decode_from(source, plan, key, threads)
        head = next(frames, None)
        if head is not None and (head[0] <= first or key is None):
            return chain([head], frames)
    return iter(())


def _seek_candidates(keys: tuple[int, ...], first: int) -> Iterator[int | None]:
    """Yield key frames to start at, the best first; None is the start of the file."""
    position, step = bisect_right(keys, first) - 1, 1
    while position > 0:
        yield keys[position]
        position, step = position - step, 2 * step
    yield None


def _decode_from(source: Source, plan: VideoPlan, key: int | None, threads: int) -> _IndexedFrames:
    """Yield decoded frames of the plan with their indices, from key frame `key` on."""
    if plan.packets:
        indices = {position: index for index, position in enumerate(plan.packets)}
        first = plan.packets[key] if key is not None else 0
        for frame in decode_with_packet_index(source, plan.stream, first, threads):
            if frame.pts in indices:
                yield indices[frame.pts], frame
        return
    with open_source(source) as container:
        video = select_video_stream(container, plan.stream, threads)
        if key is not None:
            try:
                container.seek(plan.timestamps[key], stream=video)
            except av.FFmpegError:
                return
        for packet in chain(read_packets(container, [video]), [None]):
            for frame in decode_packet(video, packet):
                index = bisect_left(plan.timestamps, frame.pts or 0)
                if index < plan.frames and plan.timestamps[index] == frame.pts:
                    yield index, frame
