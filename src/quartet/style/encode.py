"""Encode the stylized frames of one segment as self-contained H.264."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from av.container import OutputContainer
from av.video.stream import VideoStream

from quartet.style.conversion import FULL, LIMITED, FrameConverter
from quartet.style.encoding_settings import Encoding
from quartet.style.files import Target, open_output
from quartet.style.video import Picture, VideoPlan


def segment_label(plan: VideoPlan, first: int, last: int) -> str:
    """Return the metadata comment that identifies a segment."""
    return f"frames {first} to {last - 1} of {plan.fingerprint}"


def encode_segment(
    target: Target,
    plan: VideoPlan,
    first: int,
    frames: Iterable[tuple[int, Picture]],
    settings: Encoding,
) -> None:
    """Write the frames of one segment as an MP4 file that starts at time 0.

    It starts with a key frame and refers to no other segment. The same pictures and settings
    give the same bytes.

    Args:
        target: Path or file to write to; a path appears only when the segment is complete.
        plan: Plan of the video.
        first: Index of the segment's first frame.
        frames: Index and picture of each frame in order; pictures are uint8 of shape (h, w, 3), of
            the plan's size.
        settings: Settings of the encoder.

    Raises:
        ValueError: No segment starts at `first`, or a frame is missing or outside the segment.
        OSError: The segment cannot be written.
    """
    last = plan.end_of_segment(first)
    convert = FrameConverter(plan, settings.threads)
    next_index = first
    with open_output(target, "mp4", {}) as container:
        container.metadata["comment"] = segment_label(plan, first, last)
        stream = _add_encoder(container, plan, convert.pixel_format, settings)
        for index, picture in frames:
            if index != next_index or index == last:
                raise ValueError(
                    f"{plan.name}: frame {index} does not follow frame {next_index - 1} in the "
                    f"segment of frames {first} to {last - 1}"
                )
            frame = convert.to_frame(picture)
            frame.pts = plan.timestamps[index] - plan.timestamps[first]
            frame.time_base = plan.tick
            container.mux(stream.encode(frame))
            next_index = index + 1
        if next_index < last:
            raise ValueError(
                f"{plan.name}: the segment that starts at frame {first} has {last - first} "
                f"frames, {next_index - first} given"
            )
        container.mux(stream.encode(None))


def _add_encoder(
    container: OutputContainer, plan: VideoPlan, pixel_format: str, settings: Encoding
) -> VideoStream:
    options = {
        "crf": f"{settings.quality:g}",
        "preset": settings.preset,
        # All segments need the same extradata, whatever their first frames are like. At some
        # sizes (480×270), x264's macroblock tree is not deterministic; without it, files are
        # 10 % larger, but the same for any number of ranks.
        "x264-params": "open-gop=0:scenecut=40:mbtree=0",
    }
    if plan.container == "nut":
        # It stores no negative times, which frames decoded before the first one shown have.
        options["bf"] = "0"
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
    context.color_range = FULL if colours.full_range else LIMITED
    context.color_primaries = colours.primaries
    context.color_trc = colours.transfer
    return stream
