"""Nodes of `style_transfer`: from a source to the published output."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from kedro_cloud.core import ranks
from quartet import __version__
from quartet.datasets.checkpoint import fingerprint
from quartet.style.encoding_settings import Encoding
from quartet.style.transfer_settings import StyleTransfer, Stylizing

from . import pictures, videos
from .segments import Facts, segments_of

if TYPE_CHECKING:
    from quartet.datasets.media import Media
    from quartet.datasets.published import PublishedFolder
    from quartet.datasets.segments import SegmentStore
    from quartet.datasets.torch_weights import Weights
else:
    # Kedro resolves these annotations in a run; listing the pipelines should not pay for them.
    Media = SegmentStore = PublishedFolder = Weights = Any

logger = logging.getLogger(__name__)


def plan_transfer(
    style_source: Media,
    style_weights: Weights,
    style_transfer: StyleTransfer,
    stylizing: Stylizing,
    video_encoding: Encoding,
) -> Facts:
    """What is to be done, in which segments, and what the result will be called.

    `work` is a fingerprint of all that segments depend on: finished ones are used again only
    for the same source, weights and parameters.

    Raises:
        ValueError: The source is no video or is cut short, or the weights are of another
            architecture.
    """
    from quartet.style import network

    begun = time.perf_counter()
    style = style_weights.name
    try:
        network.width_of(style_weights.arrays)
    except ValueError as error:
        raise ValueError(f"style '{style}': {error}") from error
    parts: Any
    if style_source.pictures:
        plan, parts = pictures.plan_pictures(style_source, style)
    else:
        plan, parts = videos.plan_video(style_source, style, style_transfer, video_encoding)
    how = (stylizing.precision, stylizing.compiled)
    work = fingerprint(__version__, style_weights.arrays, *how, parts)[:32]
    seconds = time.perf_counter() - begun
    return {"source": style_source.name, "style": style, **plan, "work": work, "seconds": seconds}


def stylize(
    style_source: Media,
    style_weights: Weights,
    transfer_plan: Facts,
    style_segments: SegmentStore,
    style_transfer: StyleTransfer,
    stylizing: Stylizing,
    video_encoding: Encoding,
) -> Facts:
    """Stylize the segments that are not there yet; with several MPI ranks each its share.

    Raises:
        ValueError: A frame needs more memory than there is, or the video has changed since it
            was planned.
    """
    from quartet.style import stylizer

    platform = stylizer.detect(stylizing, ranks.local_size())
    plan, segments = videos.planned_video(transfer_plan), segments_of(transfer_plan)
    mine = ranks.shard(_missing(transfer_plan, style_segments))
    settings = (style_transfer, stylizing, video_encoding)
    with stylizer.Stylizer(style_weights.arrays, stylizing, platform) as made:
        if plan is None:
            done = pictures.stylize_pictures(
                style_source, transfer_plan, mine, made, style_segments
            )
        else:
            firsts, work = [segments[name] for name in mine], transfer_plan["work"]
            done = videos.stylize_video(
                style_source, plan, firsts, made, style_segments, work, settings
            )
    told = {**done, **platform.describe()}
    return {"ranks": ranks.gather(told) or [told], "segments": len(segments)}


def _missing(transfer_plan: Facts, store: SegmentStore) -> list[str]:
    """Names of the segments that are not there yet, the same on all ranks."""
    # The first rank's list counts: the others may look when it is at work already.
    there = ranks.broadcast(store.names(transfer_plan["work"]))
    segments = segments_of(transfer_plan)
    missing = [name for name in segments if name not in there]
    if ranks.rank() == 0 and len(missing) < len(segments):
        logger.info(
            "%d of %d segments are there already", len(segments) - len(missing), len(segments)
        )
    return missing


def publish(
    style_source: Media,
    transfer_plan: Facts,
    stylizing_work: Facts,
    style_segments: SegmentStore,
    stylized_folder: PublishedFolder,
    video_encoding: Encoding,
) -> Facts:
    """Join the segments, check the result against the source, and only then publish it.

    Raises:
        ValueError: A segment is missing, or the result differs from the source in the number,
            time or size of its frames, or in its sound; nothing is published then.
    """
    begun = time.perf_counter()
    plan = videos.planned_video(transfer_plan)
    if plan is None:
        facts = pictures.publish_pictures(
            style_source, transfer_plan, stylizing_work, style_segments, stylized_folder
        )
    else:
        facts = videos.publish_video(
            style_source, plan, transfer_plan, style_segments, stylized_folder, video_encoding
        )
    return {**facts, "seconds": time.perf_counter() - begun}


def clear_segments(
    style_transfer_metrics: dict[str, float], transfer_plan: Facts, style_segments: SegmentStore
) -> None:
    """Nothing: the finished segments are no longer wanted.

    The metrics are received to come after them: by then the output is published, and all that
    is told of it is saved.
    """
    style_segments.clear(transfer_plan["work"])
