"""Decode, stylize and encode the segments of a video concurrently."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from quartet.style.decode import decode_frames
from quartet.style.encode import encode_segment
from quartet.style.encoding_settings import Encoding
from quartet.style.smoothing import Smoother, warm_up_frames
from quartet.style.stylizer import Stylizer
from quartet.style.video import Picture, Source, VideoPlan

Item = TypeVar("Item")

_DECODE_QUEUE_SIZE = 4
"""Frames; a few bridge the time that a decoder takes to find its next key frame."""


@dataclass
class StylizingStatistics:
    """Counts and times of one process.

    Attributes:
        segments: Segments finished.
        frames: Frames in them.
        repeated: Frames that could not be decoded and repeat the previous one.
        damaged: Frames in which the decoder concealed errors.
        decode_seconds: Time in the decoder.
        network_seconds: Time in the network, summed over its threads.
        encode_seconds: Time in smoothing and in the encoder.
        seconds: Elapsed time, from the first frame to the last segment stored; stages overlap,
            so this is less than their sum.
    """

    segments: int = 0
    frames: int = 0
    repeated: int = 0
    damaged: int = 0
    decode_seconds: float = 0.0
    network_seconds: float = 0.0
    encode_seconds: float = 0.0
    seconds: float = 0.0


class _FrameLabel(NamedTuple):
    """Label that goes through the network with a picture.

    Attributes:
        segment: First frame of the segment that the picture is decoded for.
        frame: Index of the picture's frame; below `segment`, it only warms up the smoothing.
        source_picture: Decoded picture, if smoothing needs it.
    """

    segment: int
    frame: int
    source_picture: Picture | None


def stylize_segments(
    source: Source,
    plan: VideoPlan,
    firsts: Sequence[int],
    stylizer: Stylizer,
    encoding: Encoding,
    save_segment: Callable[[int, bytes], None],
    *,
    smoothing: float = 0.0,
    decoder_threads: int = 1,
    on_frame: Callable[[], object] = lambda: None,
) -> StylizingStatistics:
    """Stylize some segments of a video.

    One thread decodes, the stylizer's threads run the network, and the calling thread encodes.
    Only a few frames wait between them, however long the video is. While the end of a segment
    is encoded, the next one is already in the network.

    Args:
        source: Video that the plan was made from.
        plan: Plan of the video.
        firsts: First frames of the segments to stylize.
        stylizer: Stylizer, entered as a context manager.
        encoding: Settings of the encoder.
        save_segment: Called with the first frame and the content of each complete segment.
        smoothing: Weight of the previous frame; each segment also decodes as many frames
            before its first as make the transition between segments invisible.
        decoder_threads: Threads of the decoder.
        on_frame: Called after each finished frame.

    Returns:
        Counts and times.

    Raises:
        ValueError: The source cannot be decoded, or a frame does not fit into memory.
        OSError: The source cannot be read, or a segment cannot be stored.
    """
    statistics = StylizingStatistics()
    started, network_before = time.perf_counter(), stylizer.busy_seconds
    decoding = _Stopwatch(_decode(source, plan, firsts, smoothing, decoder_threads, statistics))
    with _prefetch(decoding, _DECODE_QUEUE_SIZE) as decoded:
        stylizing = _Stopwatch(stylizer.stream(decoded))
        for first in firsts:
            start, last = _decoded_range(plan, first, smoothing)
            frames = _smooth_frames(islice(stylizing, last - start), smoothing, on_frame)
            target = io.BytesIO()
            encode_segment(target, plan, first, frames, encoding)
            save_segment(first, target.getvalue())
            statistics.segments += 1
            statistics.frames += last - first
    statistics.seconds = time.perf_counter() - started
    statistics.decode_seconds = decoding.seconds
    statistics.network_seconds = stylizer.busy_seconds - network_before
    statistics.encode_seconds = statistics.seconds - stylizing.seconds
    return statistics


def _decoded_range(plan: VideoPlan, first: int, smoothing: float) -> tuple[int, int]:
    """Return the first frame to decode for a segment, and the one after its last."""
    return max(0, first - warm_up_frames(smoothing)), plan.end_of_segment(first)


def _decode(
    source: Source,
    plan: VideoPlan,
    firsts: Sequence[int],
    smoothing: float,
    threads: int,
    statistics: StylizingStatistics,
) -> Iterator[tuple[_FrameLabel, Picture]]:
    """Decode the segments one by one, and count repeated and damaged frames in `statistics`."""
    for first in firsts:
        start, last = _decoded_range(plan, first, smoothing)
        for frame in decode_frames(source, plan, start, last, threads=threads):
            if frame.index >= first:
                statistics.repeated += frame.repeated
                statistics.damaged += frame.damaged
            yield _FrameLabel(first, frame.index, frame.rgb if smoothing else None), frame.rgb


def _smooth_frames(
    frames: Iterable[tuple[_FrameLabel, Picture]],
    smoothing: float,
    on_frame: Callable[[], object],
) -> Iterator[tuple[int, Picture]]:
    """Smooth the stylized frames of one segment, and drop those before its first."""
    smoother = Smoother(smoothing)
    for (segment, index, source_picture), stylized in frames:
        picture = stylized if source_picture is None else smoother.smooth(source_picture, stylized)
        if index >= segment:
            yield index, picture
            on_frame()


class _Stopwatch:
    """Iterator that adds up the time spent waiting for items."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self.seconds = 0.0

    def __iter__(self) -> _Stopwatch:
        return self

    def __next__(self) -> Any:
        started = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.seconds += time.perf_counter() - started


@contextmanager
def _prefetch(items: Iterator[Item], count: int) -> Generator[Iterator[Item]]:
    """Provide an iterator whose items a thread computes up to `count` ahead."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="decoding")

    def receive() -> Iterator[Item]:
        pending = deque(pool.submit(next, items, None) for _ in range(count))
        while (item := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, items, None))
            yield item

    try:
        yield receive()
    finally:
        pool.shutdown(cancel_futures=True)
