"""Convert stored frames to RGB pictures and back, with correct colours and orientation."""

from __future__ import annotations

from typing import Any

import numpy as np
from av import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from quartet.style.video import Colours, Orientation, Picture, VideoPlan

# Code points of ITU-T H.273.
BT709, UNSPECIFIED, BT601 = 1, 2, 6
LIMITED, FULL = 1, 2

# Code points of H.273 that FFmpeg's converter supports, and its own numbers for them.
_MATRICES = {BT709: 1, 4: 4, 5: 5, BT601: 5, 7: 7, 9: 9}

# By the number of quarter turns counter-clockwise, FFmpeg's direction.
_QUARTER_TURNS = (
    Orientation(),
    Orientation(transposed=True, upside_down=True),
    Orientation(mirrored=True, upside_down=True),
    Orientation(transposed=True, mirrored=True),
)

# Faster conversions darken pictures by up to three levels.
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def detect_colours(frame: VideoFrame) -> Colours:
    """Return the colour encoding of the frame, with the tag of the matrix for the output."""
    # Without a tag, players decide by size.
    guess = BT709 if frame.width >= 1280 or frame.height > 576 else BT601
    tag = int(frame.colorspace)
    if frame.format.is_rgb or _is_grey(frame):
        matrix = tag = guess
    elif tag == UNSPECIFIED:
        matrix = guess
    elif tag in _MATRICES:
        matrix = tag
    else:
        matrix = tag = guess
    return Colours(
        matrix=matrix,
        matrix_tag=tag,
        full_range=_has_full_range(frame) and not (frame.format.is_rgb or _is_grey(frame)),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
    )


def read_side_data(frame: VideoFrame) -> dict[str, Any]:
    """Return the frame's side data by FFmpeg's name; none if PyAV does not support a type of it.

    PyAV 18.1 does not support Exif, for instance, which frames of some cameras contain.
    """
    try:
        # The type stub of side_data is wrong.
        return {data.type.name: data for data in frame.side_data}  # type: ignore[attr-defined]
    except ValueError:
        return {}


def detect_orientation(frame: VideoFrame) -> Orientation:
    """Return how the frame is rotated for display, to the nearest quarter turn.

    Reads FFmpeg's display matrix, 3 × 3, whose first two rows begin with a, b and with c, d: it
    maps the point x, y to a x + c y, b x + d y.
    """
    matrix: Any = read_side_data(frame).get("DISPLAYMATRIX")
    if matrix is None:
        return _QUARTER_TURNS[round(frame.rotation / 90) % 4]
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(mirrored=a < 0, upside_down=d < 0)
    return Orientation(transposed=True, mirrored=c < 0, upside_down=b < 0)


class FrameConverter:
    """Convert frames of FFmpeg to RGB pictures as displayed, and back.

    Args:
        plan: Plan with colours, sizes and orientation.
        threads: Threads for the conversion of one frame.
    """

    def __init__(self, plan: VideoPlan, threads: int = 1) -> None:
        self._plan = plan
        self._threads = threads
        self._reformatter = VideoReformatter()
        self.pixel_format = "yuv444p" if plan.width % 2 or plan.height % 2 else "yuv420p"

    def to_picture(self, frame: VideoFrame) -> Picture:
        """Return the displayed picture, shape (h, w, 3), uint8 RGB, contiguous.

        A frame whose size differs from the plan's is scaled. Transparent pixels become white.
        """
        transparent = has_transparency(frame)
        limited_grey = _is_grey(frame) and frame.color_range == LIMITED
        if not (frame.format.is_rgb or _is_grey(frame)):
            frame.colorspace = self._plan.colours.matrix
            frame.color_range = FULL if self._plan.colours.full_range else LIMITED
        width, height = self._plan.stored_size
        converted = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgba" if transparent else "rgb24",
            interpolation=_EXACT,
            threads=self._threads,
        )
        rgb: Picture = converted.to_ndarray()  # type: ignore[assignment]
        if transparent:
            rgb = _composite_on_white(rgb)
        if limited_grey:  # FFmpeg treats all grey as full range.
            rgb = _expand_range(rgb)
        return np.ascontiguousarray(self._plan.orientation.apply(rgb))

    def to_frame(self, picture: Picture) -> VideoFrame:
        """Return a frame with the colours of the output; odd sizes get full-resolution chroma.

        Args:
            picture: Shape (h, w, 3), uint8 RGB.
        """
        colours = self._plan.colours
        frame = self._reformatter.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"),
            format=self.pixel_format,
            dst_colorspace=_MATRICES[colours.matrix],
            dst_color_range=FULL if colours.full_range else LIMITED,
            threads=self._threads,
        )
        frame.colorspace = colours.matrix_tag
        frame.color_primaries = colours.primaries
        frame.color_trc = colours.transfer
        return frame


def has_transparency(frame: VideoFrame) -> bool:
    """Return whether some pixels of the frame are transparent.

    A frame whose alpha is 0 everywhere is of an old format that does not use the fourth channel.
    """
    if frame.format.name == "pal8" or not any(each.is_alpha for each in frame.format.components):
        return False
    alpha = frame.reformat(format="rgba").to_ndarray()[..., 3]
    return bool(alpha.min(initial=255) < 255) and bool(alpha.any())


def _composite_on_white(rgba: Picture) -> Picture:
    alpha = rgba[..., 3:].astype(np.uint16)
    colours = rgba[..., :3] * alpha + 255 * (255 - alpha)
    return ((colours + 127) // 255).astype(np.uint8)


def _is_grey(frame: VideoFrame) -> bool:
    return frame.format.name.startswith("gray")


def _has_full_range(frame: VideoFrame) -> bool:
    return frame.color_range == FULL or frame.format.name.startswith("yuvj")


def _expand_range(grey: Picture) -> Picture:
    levels = np.clip((np.arange(256) - 16) * (255 / 219), 0, 255).round().astype(np.uint8)
    return levels[grey]
