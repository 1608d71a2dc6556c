"""What `style_transfer` does where the source is a video."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .segments import Facts, present, progress, segment_name

if TYPE_CHECKING:
    from quartet.datasets.media import Media
    from quartet.datasets.published import PublishedFolder
    from quartet.datasets.segments import SegmentStore
    from quartet.style.encoding_settings import Encoding
    from quartet.style.stylizer import Stylizer
    from quartet.style.transfer_settings import StyleTransfer, Stylizing
    from quartet.style.video import VideoPlan

logger = logging.getLogger(__name__)


def plan_video(
    source: Media, style: str, transfer: StyleTransfer, encoding: Encoding
) -> tuple[Facts, list[Any]]:
    """What the plan says of the video, and all of it that its segments depend on.

    Raises:
        ValueError: It is no video, or is cut short.
    """
    from quartet.style import probe

    with source.open() as opened:
        video = probe.plan_video(
            opened, transfer.segment_frames, accept_truncated=transfer.accept_truncated
        )
    output = f"{source.stem}_{style}{video.suffix}"
    plan = {"video": video.to_dict(), "pictures": {}, "output": output}
    return plan, [video.fingerprint, video.segments, transfer.smoothing, encoding]


def planned_video(transfer_plan: Facts) -> VideoPlan | None:
    """The plan of the video; None where the source are pictures."""
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
    settings: tuple[StyleTransfer, Stylizing, Encoding],
) -> Facts:
    """Stylize some of the segments, and keep each as soon as it is done: how that went.

    Raises:
        ValueError: The video has changed since it was planned.
    """
    from quartet.style import flow

    transfer, stylizing, encoding = settings
    frames = sum(plan.end_of_segment(first) - first for first in firsts)
    with source.open() as opened, progress("stylizing", frames, "frame") as bar:
        done = flow.stylize_segments(
            opened,
            plan,
            firsts,
            stylizer,
            encoding,
            lambda first, content: store.write(work, segment_name(first), content),
            smoothing=transfer.smoothing,
            decoder_threads=stylizing.decoder_threads,
            after=bar.update,
        )
    return done.to_dict()


def publish_video(
    source: Media,
    plan: VideoPlan,
    transfer_plan: Facts,
    store: SegmentStore,
    folder: PublishedFolder,
    encoding: Encoding,
) -> Facts:
    """Join the segments, check the result and publish it: where, and what is in it.

    Raises:
        ValueError: A segment is missing, or the result differs from the source.
    """
    from quartet.style import assemble, check, probe

    names = present(transfer_plan, store)
    name = transfer_plan["output"]
    segments = store.sources(transfer_plan["work"], names)
    with source.open() as opened, folder.create(name) as target:
        made = assemble.assemble(opened, segments, plan, target, encoding)
        check.check_video(target, plan)
        found = probe.plan_video(target, plan.frames)
    for track in made.left_out:
        logger.warning("%s: %s track %d: %s", name, track.kind, track.index, track.left_out)
    return {
        "places": [folder.get_path(name)],
        "frames": found.frames,
        "duration_difference": found.seconds - plan.seconds,
        "container": made.container,
        "tracks_copied": len(made.copied),
        "tracks_left_out": [f"{track.kind}: {track.left_out}" for track in made.left_out],
    }
