"""Nodes of `style_transfer`, from the source to the published output."""

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
from .segments import JsonDict, index_segments

if TYPE_CHECKING:
    from quartet.datasets.media import Media
    from quartet.datasets.published import PublishedFolder
    from quartet.datasets.segments import SegmentStore
    from quartet.datasets.torch_weights import Weights
    from quartet.style.stylizer import Platform
else:
    # Kedro resolves these annotations in a run only, so that listing the pipelines stays fast.
    Media = SegmentStore = PublishedFolder = Weights = Any

logger = logging.getLogger(__name__)


def plan_transfer(
    style_source: Media,
    style_weights: Weights,
    style_transfer: StyleTransfer,
    stylizing: Stylizing,
    video_encoding: Encoding,
    stylized_folder: PublishedFolder,
) -> JsonDict:
    """Plan the segments and the names of the output.

    `work` is a fingerprint of everything that segments depend on: finished segments are
    reused only for the same source, weights and parameters.

    Raises:
        ValueError: The source is not a video or is truncated, the weights belong to another
            architecture or give no picture, or the output cannot be written with its name and
            tracks.
        OSError: The folder of the output cannot be written.
    """
    from quartet.style import network

    started = time.perf_counter()
    style = style_weights.name
    try:
        network.check_output(style_weights.arrays)
    except ValueError as error:
        raise ValueError(f"style '{style}': {error}") from error
    parts: Any
    if style_source.pictures:
        plan, parts = pictures.plan_pictures(style_source, style, stylized_folder)
    else:
        plan, parts = videos.plan_video(
            style_source, style, style_transfer, video_encoding, stylized_folder
        )
    work = fingerprint(__version__, style_weights.arrays, stylizing.precision, parts)[:32]
    seconds = time.perf_counter() - started
    return {"source": style_source.name, "style": style, **plan, "work": work, "seconds": seconds}


def stylize(
    style_source: Media,
    style_weights: Weights,
    transfer_plan: JsonDict,
    style_segments: SegmentStore,
    style_transfer: StyleTransfer,
    stylizing: Stylizing,
    video_encoding: Encoding,
) -> JsonDict:
    """Stylize the missing segments; each MPI rank takes its share.

    Raises:
        ValueError: A frame does not fit into memory, or the video has changed since planning.
    """
    from quartet.style import stylizer

    platform = _unify_precision(stylizer.detect_platform(stylizing, ranks.local_size()))
    plan, segments = videos.load_video_plan(transfer_plan), index_segments(transfer_plan)
    own_share = ranks.shard(_find_missing(transfer_plan, style_segments))
    with stylizer.Stylizer(style_weights.arrays, stylizing, platform) as active_stylizer:
        if plan is None:
            done = pictures.stylize_pictures(
                style_source, transfer_plan, own_share, active_stylizer, style_segments
            )
        else:
            done = videos.stylize_video(
                style_source,
                plan,
                [segments[name] for name in own_share],
                active_stylizer,
                style_segments,
                transfer_plan["work"],
                video_encoding,
                smoothing=style_transfer.smoothing,
                decoder_threads=stylizing.decoder_threads,
            )
    statistics = {**done, **active_stylizer.describe()}
    return {"ranks": ranks.gather(statistics) or [statistics], "segments": len(segments)}


def _unify_precision(platform: Platform) -> Platform:
    """Return the platform, with float32 if the machines of the ranks select different precisions.

    Otherwise the segments of a video would differ.
    """
    import torch

    found = ranks.broadcast(sorted(set(ranks.gather(platform.describe()["precision"]) or [])))
    if len(found) == 1:
        return platform
    if ranks.rank() == 0:
        logger.warning("All ranks use float32, as their machines select %s", " or ".join(found))
    return platform._replace(dtype=torch.float32)


def _find_missing(transfer_plan: JsonDict, store: SegmentStore) -> list[str]:
    """Return the names of the segments to stylize, the same on all ranks."""
    # Use the first rank's list: others may read the store after it has started to write.
    finished = ranks.broadcast(store.names(transfer_plan["work"]))
    segments = index_segments(transfer_plan)
    missing = [name for name in segments if name not in finished]
    if ranks.rank() == 0 and len(missing) < len(segments):
        logger.info(
            "%d of %d segments are already stylized", len(segments) - len(missing), len(segments)
        )
    return missing


def publish(
    style_source: Media,
    transfer_plan: JsonDict,
    stylizing_work: JsonDict,
    style_segments: SegmentStore,
    stylized_folder: PublishedFolder,
    video_encoding: Encoding,
) -> JsonDict:
    """Join the segments, check the result against the source, and publish it.

    Raises:
        ValueError: A segment is missing, or the result differs from the source in number,
            time or size of frames, or in its audio; nothing is published then.
    """
    started = time.perf_counter()
    plan = videos.load_video_plan(transfer_plan)
    if plan is None:
        facts = pictures.publish_pictures(
            style_source, transfer_plan, stylizing_work, style_segments, stylized_folder
        )
    else:
        facts = videos.publish_video(
            style_source, plan, transfer_plan, style_segments, stylized_folder, video_encoding
        )
    return {**facts, "seconds": time.perf_counter() - started}


def clear_segments(
    style_transfer_metrics: dict[str, float], transfer_plan: JsonDict, style_segments: SegmentStore
) -> None:
    """Clear the finished segments.

    `style_transfer_metrics` is an input only for the order: output and reports are saved
    first.
    """
    style_segments.clear(transfer_plan["work"])
