"""Animated pictures as lossless videos, for decoders that read only videos."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from kedro.io.core import DatasetError
from PIL import Image, ImageSequence

from quartet.datasets.picture_headers import FORMATS
from quartet.datasets.pictures import Pixels, convert_to_rgb

_MILLISECOND = Fraction(1, 1000)
_DEFAULT_DURATION = 100
"""Milliseconds for which browsers show a frame without a duration."""


def write_animation(content: bytes, path: str) -> None:
    """Write an animated picture as a video: PNG frames in MP4, with its times in milliseconds.

    Only one frame is in memory at a time. Transparent pixels become white.

    Args:
        content: Content of the animated picture.
        path: Local path of the video.

    Raises:
        DatasetError: A frame cannot be decoded.
    """
    with av.open(f"file:{path}", "w", format="mp4") as output:
        video = None
        start = 0
        for pixels, duration in _decode_frames(content, path):
            if video is None:
                height, width = pixels.shape[:2]
                rate = Fraction(1000, duration)
                video = output.add_stream("png", rate=rate, width=width, height=height)
                video.pix_fmt = "rgb24"
                video.time_base = video.codec_context.time_base = _MILLISECOND
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = start, _MILLISECOND
            for packet in video.encode(frame):
                packet.duration = duration
                output.mux(packet)
            start += duration


def _decode_frames(content: bytes, path: str) -> Iterator[tuple[Pixels, int]]:
    """Yield each frame and its duration in milliseconds."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            for frame in ImageSequence.Iterator(picture):
                frame.load()
                duration = frame.info.get("duration") or _DEFAULT_DURATION
                yield np.array(convert_to_rgb(frame)), max(1, round(duration))
    except (OSError, EOFError, SyntaxError, ValueError) as error:
        raise DatasetError(
            f"{path.rpartition('/')[2]}: not a complete animation ({error}); export it again"
        ) from error
