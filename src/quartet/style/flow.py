"""Pieces of a video on their way: decoded, restyled and encoded side by side."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import groupby
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, NamedTuple, TypeVar

from quartet.style.decode import Frame, decode_frames
from quartet.style.encode import encode_piece
from quartet.style.encoding_settings import Encoding
from quartet.style.restyler import Restyler
from quartet.style.smoothing import smoothed, warm_up
from quartet.style.video import Picture, Source, VideoPlan

Item = TypeVar("Item")

_DECODED_AHEAD = 4
"""Frames; a handful bridges the time that a decoder takes to find its next key frame."""


@dataclass
class Work:
    """What one process did, and how long that took.

    Attributes:
        pieces: Pieces finished.
        frames: Frames in them.
        repeated: Frames that could not be decoded and show the one before.
        damaged: Frames of which the decoder guessed parts.
        decode_seconds: In the decoder.
        network_seconds: In the network, summed over its threads.
        encode_seconds: In smoothing and in the encoder.
        seconds: From the first frame wanted to the last piece kept; stages overlap, so this is
            less than their sum.
    """

    pieces: int = 0
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


class _Place(NamedTuple):
    """A decoded frame and the piece it is wanted for; before the piece, only to warm up."""

    piece: int
    frame: Frame


def restyle_pieces(
    source: Source,
    plan: VideoPlan,
    firsts: Sequence[int],
    restyler: Restyler,
    encoding: Encoding,
    keep: Callable[[int, bytes], None],
    *,
    smoothing: float = 0.0,
    decoder_threads: int = 1,
    after: Callable[[int], object] = lambda frames: None,
) -> Work:
    """Restyle some pieces of a video.

    A thread decodes, the restyler's compute, this one encodes; a few frames wait between
    them, however long the video. While the end of a piece is encoded the next one is
    already computed.

    Args:
        source: That the plan was made of.
        plan: Of the video.
        firsts: First frames of the wanted pieces.
        restyler: Entered.
        encoding: Of the output.
        keep: Is given the first frame and the content of each piece when it is whole.
        smoothing: Weight of the frame before; pieces decode as many frames before their own
            as it takes to make their joints invisible.
        decoder_threads: Of the decoder.
        after: Called with the number of frames after each.

    Raises:
        ValueError: The source cannot be decoded here, or a frame is too large.
        OSError: The source cannot be read, or a piece not be kept.
    """
    work = Work()
    begun, busy = time.perf_counter(), restyler.busy_seconds

    def decoded() -> Iterator[_Place]:
        for first in firsts:
            start = max(0, first - warm_up(smoothing))
            last = plan.end_of_piece(first)
            for frame in decode_frames(source, plan, start, last, threads=decoder_threads):
                yield _Place(first, frame)

    decoding = _Stopwatch(decoded())
    with _ahead(decoding, _DECODED_AHEAD) as places:
        pictures = ((place, place.frame.rgb) for place in places)
        restyled = restyler.stream(pictures, group=lambda place: place.piece)
        waiting = _Stopwatch(restyled)
        for first, group in groupby(waiting, key=lambda item: item[0].piece):
            target = io.BytesIO()
            finished = _pictures(group, first, smoothing, work, after)
            encode_piece(target, plan, first, finished, encoding)
            keep(first, target.getvalue())
            work.pieces += 1
    work.seconds = time.perf_counter() - begun
    work.decode_seconds = decoding.seconds
    work.network_seconds = restyler.busy_seconds - busy
    work.encode_seconds = work.seconds - waiting.seconds
    return work


def _pictures(
    group: Iterable[tuple[_Place, Picture, Picture]],
    first: int,
    smoothing: float,
    work: Work,
    after: Callable[[int], object],
) -> Iterator[Picture]:
    """The pictures of one piece for the encoder; its frames are counted."""
    numbers: list[int] = []

    def noted() -> Iterator[tuple[Picture, Picture]]:
        for place, picture, restyled in group:
            numbers.append(place.frame.number)
            if place.frame.number >= first:
                work.frames += 1
                work.repeated += place.frame.repeated
                work.damaged += place.frame.damaged
            yield picture, restyled

    pictures = smoothed(noted(), smoothing) if smoothing else (made for _, made in noted())
    for picture in pictures:
        if numbers.pop() >= first:
            yield picture
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
