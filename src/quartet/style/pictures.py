"""Pictures out of frames as they are stored, and back, with the right colours and way up."""

from __future__ import annotations

from typing import Any

import numpy as np
from av import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from quartet.style.video import Colours, Orientation, Picture, VideoPlan

# Numbers of ITU-T H.273.
BT709, UNSPECIFIED, BT601 = 1, 2, 6
LIMITED, FULL = 1, 2

# FFmpeg's conversion has its own names for the matrices that it knows.
_MATRICES = {BT709: 1, 4: 4, 5: 5, BT601: 5, 7: 7, 9: 9}

# The faster ways darken by up to three levels.
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def colours_of(frame: VideoFrame) -> Colours:
    """How the frame's samples stand for colours, and how the output's will."""
    # Where nothing is said, players go by size.
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


def orientation_of(frame: VideoFrame) -> Orientation:
    """How the frame is turned to be shown; the nearest quarter turn.

    From FFmpeg's display matrix, whose first four numbers a, b and c, d send the point
    x, y to a x + c y, b x + d y.
    """
    # Typed as a dictionary of other things.
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, mirrored=a < 0, upside_down=d < 0)
    return Orientation(True, mirrored=c < 0, upside_down=b < 0)


class FrameConverter:
    """Between frames as FFmpeg has them and RGB pictures as shown.

    Args:
        plan: Colours, sizes and orientation.
        threads: For the conversion of one frame.
    """

    def __init__(self, plan: VideoPlan, threads: int = 1) -> None:
        self._plan = plan
        self._threads = threads
        self._reformatter = VideoReformatter()
        self.pixel_format = "yuv444p" if plan.width % 2 or plan.height % 2 else "yuv420p"

    def to_picture(self, frame: VideoFrame) -> Picture:
        """The picture that the frame shows, contiguous.

        A frame whose size has changed in the middle of the video is scaled to the first one's.
        """
        limited_grey = _is_grey(frame) and frame.color_range == LIMITED
        if not (frame.format.is_rgb or _is_grey(frame)):
            frame.colorspace = self._plan.colours.matrix
            frame.color_range = FULL if self._plan.colours.full_range else LIMITED
        width, height = self._plan.stored_size
        converted = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            interpolation=_EXACT,
            threads=self._threads,
        )
        rgb: Picture = converted.to_ndarray()  # type: ignore[assignment]
        if limited_grey:  # FFmpeg takes all grey for full range.
            rgb = _from_limited(rgb)
        return np.ascontiguousarray(self._plan.orientation.applied(rgb))

    def to_frame(self, picture: Picture) -> VideoFrame:
        """The picture in the output's colours; odd sizes without halving the colour's."""
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


def _is_grey(frame: VideoFrame) -> bool:
    return frame.format.name.startswith("gray")


def _has_full_range(frame: VideoFrame) -> bool:
    return frame.color_range == FULL or frame.format.name.startswith("yuvj")


def _from_limited(grey: Picture) -> Picture:
    levels = np.clip((np.arange(256) - 16) * (255 / 219), 0, 255).round().astype(np.uint8)
    return levels[grey]
