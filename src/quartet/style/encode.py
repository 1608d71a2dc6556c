"""Restyled frames of one piece, as H.264 that stands alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from av.container import OutputContainer
from av.video.stream import VideoStream

from quartet.style.encoding_settings import Encoding
from quartet.style.files import Target, written
from quartet.style.pictures import FrameConverter
from quartet.style.video import Picture, VideoPlan


@dataclass(frozen=True)
class PieceFacts:
    """What a finished piece holds.

    Attributes:
        first: Number of its first frame.
        frames: How many it has.
    """

    first: int
    frames: int


def label_of(plan: VideoPlan, first: int, last: int) -> str:
    """What a piece says of itself in its metadata, so that it is not taken for another."""
    return f"frames {first} to {last - 1} of {plan.fingerprint}"


def encode_piece(
    target: Target, plan: VideoPlan, first: int, frames: Iterable[Picture], settings: Encoding
) -> PieceFacts:
    """Write the frames of one piece as an MP4 file, which begins at time 0.

    It begins with a key frame and refers to no other piece. The same pictures and settings
    give the same bytes.

    Args:
        target: Where to; a path appears when the piece is whole.
        plan: Of the video.
        first: Number of the piece's first frame.
        frames: All pictures of the piece in order, uint8 of shape (height, width, 3).
        settings: Of the encoder.

    Raises:
        ValueError: No piece begins there, there are more or fewer frames than it has, or one
            is of another size.
        OSError: The piece cannot be written.
    """
    last = plan.end_of_piece(first)
    convert = FrameConverter(plan, settings.threads)
    number = first
    with written(target, "mp4", {}) as container:
        container.metadata["comment"] = label_of(plan, first, last)
        stream = _encoder(container, plan, convert.pixel_format, settings)
        for picture in frames:
            if number == last:
                raise ValueError(
                    f"{plan.name}: more frames than the {last - first} of the piece from {first} on"
                )
            if picture.shape != (plan.height, plan.width, 3):
                raise ValueError(
                    f"{plan.name}: frame {number} must have the shape "
                    f"{(plan.height, plan.width, 3)}, not {picture.shape}"
                )
            frame = convert.to_frame(picture)
            frame.pts = plan.timestamps[number] - plan.timestamps[first]
            frame.time_base = plan.tick
            container.mux(stream.encode(frame))
            number += 1
        if number < last:
            raise ValueError(
                f"{plan.name}: {number - first} frames instead of the {last - first} of the piece "
                f"from {first} on"
            )
        container.mux(stream.encode(None))
    return PieceFacts(first, last - first)


def _encoder(
    container: OutputContainer, plan: VideoPlan, pixel_format: str, settings: Encoding
) -> VideoStream:
    options = {
        "crf": f"{settings.quality:g}",
        "preset": settings.preset,
        # All pieces must have the same head, whatever their own first frames are like. At some
        # sizes (480×270) x264's macroblock tree gives other bytes each time; without it files
        # are a tenth larger, and the same for any number of ranks.
        "x264-params": "open-gop=0:scenecut=40:mbtree=0",
    }
    if settings.tune:
        options["tune"] = settings.tune
    stream = container.add_stream(
        "libx264",
        rate=plan.rate,
        options=options,
        width=plan.width,
        height=plan.height,
        time_base=plan.tick,
    )
    stream.pix_fmt = pixel_format
    stream.time_base = plan.tick
    context = stream.codec_context
    context.thread_count = settings.threads
    context.gop_size = max(1, round(settings.keyframe_seconds * plan.rate))
    context.sample_aspect_ratio = Fraction(*plan.sample_aspect)
    colours = plan.colours
    context.colorspace = colours.matrix_tag
    context.color_range = 2 if colours.full_range else 1
    context.color_primaries = colours.primaries
    context.color_trc = colours.transfer
    return stream
