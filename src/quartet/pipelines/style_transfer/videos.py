"""Plan, stylize and publish a video."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .segments import JsonDict, list_segments, progress_bar, segment_name

if TYPE_CHECKING:
    from quartet.datasets.media import Media
    from quartet.datasets.published import PublishedFolder
    from quartet.datasets.segments import SegmentStore
    from quartet.style.encoding_settings import Encoding
    from quartet.style.stylizer import Stylizer
    from quartet.style.transfer_settings import StyleTransfer
    from quartet.style.video import VideoPlan

logger = logging.getLogger(__name__)


def plan_video(
    source: Media,
    style: str,
    transfer: StyleTransfer,
    encoding: Encoding,
    folder: PublishedFolder,
) -> tuple[JsonDict, list[Any]]:
    """Return the plan's entries for a video, and the values that its segments depend on.

    The output is rehearsed with one frame, so that what fails at the end fails now.

    Raises:
        ValueError: The source is not a video, or is truncated; or the output cannot be written.
        OSError: The folder of the output cannot be written.
    """
    from quartet.style import probe, rehearsal

    with source.open() as opened:
        planned = probe.plan_video(
            opened, transfer.segment_frames, accept_truncated=transfer.accept_truncated
        )
        output = f"{source.stem}_{style}{planned.suffix}"
        with folder.rehearse(output) as target:
            planned = rehearsal.rehearse_assembly(opened, planned, target, encoding)
    if planned.lost:
        lost = ", ".join(planned.lost)
        logger.warning("%s: the result will not contain: %s", output, lost)
    plan = {"video": planned.to_dict(), "pictures": {}, "output": output}
    return plan, [planned.fingerprint, planned.segments, transfer.smoothing, encoding]


def load_video_plan(transfer_plan: JsonDict) -> VideoPlan | None:
    """Return the plan of the video; None if the source consists of pictures."""
    from quartet.style import video

    plan = transfer_plan["video"]
    return None if plan is None else video.VideoPlan.from_dict(plan)


def stylize_video(
    source: Media,
    plan: VideoPlan,
    firsts: Sequence[int],
    stylizer: Stylizer,
    store: SegmentStore,
    work: str,
    encoding: Encoding,
    *,
    smoothing: float,
    decoder_threads: int,
) -> JsonDict:
    """Stylize segments, and store each as soon as it is finished.

    Args:
        source: Video.
        plan: Plan of the video.
        firsts: First frames of the segments to stylize.
        stylizer: Stylizer, entered as a context manager.
        store: Store of the finished segments.
        work: Fingerprint of the work, under which segments are stored.
        encoding: Parameters of the encoder.
        smoothing: Weight of the previous frame.
        decoder_threads: Threads of the decoder.

    Returns:
        Counts and times.

    Raises:
        ValueError: The video has changed since planning.
    """
    from quartet.style import flow

    frames = sum(plan.end_of_segment(first) - first for first in firsts)
    with source.open() as opened, progress_bar("stylizing", frames, "frame") as bar:
        done = flow.stylize_segments(
            opened,
            plan,
            firsts,
            stylizer,
            encoding,
            lambda first, content: store.write(work, segment_name(first), content),
            smoothing=smoothing,
            decoder_threads=decoder_threads,
            on_frame=bar.update,
        )
    return asdict(done)


def publish_video(
    source: Media,
    plan: VideoPlan,
    transfer_plan: JsonDict,
    store: SegmentStore,
    folder: PublishedFolder,
    encoding: Encoding,
) -> JsonDict:
    """Join the segments, check the result and publish it.

    Returns:
        Where it is, and what it contains.

    Raises:
        ValueError: A segment is missing, or the result differs from the source.
    """
    from quartet.style import assemble, check, probe

    names = list_segments(transfer_plan, store)
    name = transfer_plan["output"]
    segments = store.sources(transfer_plan["work"], names)
    with source.open() as opened, folder.create(name) as target:
        assemble.assemble(opened, segments, plan, target, encoding)
        check.check_video(target, plan)
        found = probe.plan_video(target, plan.frames)
    left_out = [track for track in plan.tracks if track.left_out]
    for track in left_out:
        logger.warning("%s: %s track %d: %s", name, track.kind, track.index, track.left_out)
    return {
        "places": [folder.get_path(name)],
        "frames": found.frames,
        "duration_difference": found.seconds - plan.seconds,
        "container": plan.container,
        "lost": list(plan.lost),
        "tracks_copied": len(plan.copied_tracks),
        "tracks_left_out": [f"{track.kind}: {track.left_out}" for track in left_out],
    }
