"""Decode, stylize and encode the segments of a video, the three side by side."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import islice
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, NamedTuple, TypeVar

from quartet.style.decode import decode_frames
from quartet.style.encode import encode_segment
from quartet.style.encoding_settings import Encoding
from quartet.style.smoothing import Smoother, warm_up
from quartet.style.stylizer import Stylizer
from quartet.style.video import Picture, Source, VideoPlan

Item = TypeVar("Item")

_DECODED_AHEAD = 4
"""Frames; a handful bridges the time that a decoder takes to find its next key frame."""


@dataclass
class Work:
    """What one process did, and how long that took.

    Attributes:
        segments: Segments finished.
        frames: Frames in them.
        repeated: Frames that could not be decoded and show the one before.
        damaged: Frames of which the decoder guessed parts.
        decode_seconds: In the decoder.
        network_seconds: In the network, summed over its threads.
        encode_seconds: In smoothing and in the encoder.
        seconds: From the first frame wanted to the last segment kept; stages overlap, so this is
            less than their sum.
    """

    segments: int = 0
    frames: int = 0
    repeated: int = 0
    damaged: int = 0
    decode_seconds: float = 0.0
    network_seconds: float = 0.0
    encode_seconds: float = 0.0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """All of it by name."""
        return asdict(self)


class _Label(NamedTuple):
    """What goes through the network beside a picture.

    Attributes:
        segment: First frame of the segment that the picture is decoded for.
        number: Of the picture's frame; below `segment` it only warms up the smoothing.
        original: The decoded picture, where smoothing needs it.
    """

    segment: int
    number: int
    original: Picture | None


def stylize_segments(
    source: Source,
    plan: VideoPlan,
    firsts: Sequence[int],
    stylizer: Stylizer,
    encoding: Encoding,
    keep: Callable[[int, bytes], None],
    *,
    smoothing: float = 0.0,
    decoder_threads: int = 1,
    after: Callable[[int], object] = lambda frames: None,
) -> Work:
    """Stylize some segments of a video.

    A thread decodes, the stylizer's threads compute, this one encodes; a few frames wait
    between them, however long the video. While the end of a segment is encoded the next one
    is already computed.

    Args:
        source: That the plan was made of.
        plan: Of the video.
        firsts: First frames of the wanted segments.
        stylizer: Entered.
        encoding: Of the output.
        keep: Receives the first frame and the content of each complete segment.
        smoothing: Weight of the frame before; segments decode as many frames before their own
            as it takes to make their joints invisible.
        decoder_threads: Of the decoder.
        after: Called with the number of frames after each.

    Returns:
        What was done, and how long it took.

    Raises:
        ValueError: The source cannot be decoded here, or a frame is too large.
        OSError: The source cannot be read, or a segment cannot be kept.
    """
    work = Work()
    begun, busy = time.perf_counter(), stylizer.busy_seconds
    decoding = _Stopwatch(_decode(source, plan, firsts, smoothing, decoder_threads, work))
    with _ahead(decoding, _DECODED_AHEAD) as decoded:
        stylizing = _Stopwatch(stylizer.stream(decoded, group=lambda label: label.segment))
        for first in firsts:
            start, last = _decoded_range(plan, first, smoothing)
            frames = _finish(islice(stylizing, last - start), smoothing, after)
            target = io.BytesIO()
            encode_segment(target, plan, first, frames, encoding)
            keep(first, target.getvalue())
            work.segments += 1
            work.frames += last - first
    work.seconds = time.perf_counter() - begun
    work.decode_seconds = decoding.seconds
    work.network_seconds = stylizer.busy_seconds - busy
    work.encode_seconds = work.seconds - stylizing.seconds
    return work


def _decoded_range(plan: VideoPlan, first: int, smoothing: float) -> tuple[int, int]:
    """Return the first frame to decode for a segment, and the one after its last."""
    return max(0, first - warm_up(smoothing)), plan.end_of_segment(first)


def _decode(
    source: Source,
    plan: VideoPlan,
    firsts: Sequence[int],
    smoothing: float,
    threads: int,
    work: Work,
) -> Iterator[tuple[_Label, Picture]]:
    """Decode the segments one after the other; count in `work` what the decoder had to make up."""
    for first in firsts:
        start, last = _decoded_range(plan, first, smoothing)
        for frame in decode_frames(source, plan, start, last, threads=threads):
            if frame.number >= first:
                work.repeated += frame.repeated
                work.damaged += frame.damaged
            yield _Label(first, frame.number, frame.rgb if smoothing else None), frame.rgb


def _finish(
    frames: Iterable[tuple[_Label, Picture]], smoothing: float, after: Callable[[int], object]
) -> Iterator[tuple[int, Picture]]:
    """Smooth the stylized frames of one segment, and leave out those before its first."""
    smoother = Smoother(smoothing)
    for (segment, number, original), stylized in frames:
        picture = stylized if original is None else smoother.smooth(original, stylized)
        if number >= segment:
            yield number, picture
            after(1)


class _Stopwatch:
    """Iterates, and adds up the time it waits for the next item."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self.seconds = 0.0

    def __iter__(self) -> _Stopwatch:
        return self

    def __next__(self) -> Any:
        begun = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.seconds += time.perf_counter() - begun


@contextmanager
def _ahead(items: Iterator[Item], count: int) -> Generator[Iterator[Item]]:
    """The items, of which a thread makes up to `count` ahead; it ends with the context."""
    queue: Queue[tuple[Item | None, BaseException | None]] = Queue(count)
    stopped = Event()

    def put(item: Item | None, error: BaseException | None) -> bool:
        while not stopped.is_set():
            with suppress(Full):
                queue.put((item, error), timeout=0.1)
                return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item, None):
                    return
        except BaseException as error:
            put(None, error)
        else:
            put(None, StopIteration())

    def received() -> Iterator[Item]:
        while True:
            item, error = queue.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]  # without an error there is an item

    thread = Thread(target=work, name="decoding", daemon=True)
    thread.start()
    try:
        yield received()
    finally:
        stopped.set()
        with suppress(Empty):
            queue.get_nowait()
        thread.join()
