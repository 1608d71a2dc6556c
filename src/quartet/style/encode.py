"""Encode the stylized frames of one segment as H.264 that refers to no other segment."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from av.container import OutputContainer
from av.video.stream import VideoStream

from quartet.style.encoding_settings import Encoding
from quartet.style.files import Target, written
from quartet.style.pictures import FrameConverter
from quartet.style.video import Picture, VideoPlan


def label_of(plan: VideoPlan, first: int, last: int) -> str:
    """Return what a segment's metadata says, so that it is not taken for another."""
    return f"frames {first} to {last - 1} of {plan.fingerprint}"


def encode_segment(
    target: Target,
    plan: VideoPlan,
    first: int,
    frames: Iterable[tuple[int, Picture]],
    settings: Encoding,
) -> None:
    """Write the frames of one segment as an MP4 file, which begins at time 0.

    It begins with a key frame and refers to no other segment. The same pictures and settings
    give the same bytes.

    Args:
        target: Where to; a path appears when the segment is complete.
        plan: Of the video.
        first: Number of the segment's first frame.
        frames: Number and picture, uint8 of shape (height, width, 3), of each frame in order.
        settings: Of the encoder.

    Raises:
        ValueError: No segment begins there, a frame is missing or not one of the segment, or
            a picture is of another size.
        OSError: The segment cannot be written.
    """
    last = plan.end_of_segment(first)
    convert = FrameConverter(plan, settings.threads)
    following = first
    with written(target, "mp4", {}) as container:
        container.metadata["comment"] = label_of(plan, first, last)
        stream = _encoder(container, plan, convert.pixel_format, settings)
        for number, picture in frames:
            if number != following or number == last:
                raise ValueError(
                    f"{plan.name}: frame {number} does not follow frame {following - 1} in the "
                    f"segment of frames {first} to {last - 1}"
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
            following = number + 1
        if following < last:
            raise ValueError(
                f"{plan.name}: {following - first} frames instead of the {last - first} of the "
                f"segment from {first} on"
            )
        container.mux(stream.encode(None))


def _encoder(
    container: OutputContainer, plan: VideoPlan, pixel_format: str, settings: Encoding
) -> VideoStream:
    options = {
        "crf": f"{settings.quality:g}",
        "preset": settings.preset,
        # All segments must have the same head, whatever their own first frames are like. At some
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
