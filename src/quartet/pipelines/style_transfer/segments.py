"""The segments of a plan: their names, which of them are there, and how far the work is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from kedro_cloud.core import ranks

if TYPE_CHECKING:
    from quartet.datasets.segments import SegmentStore

Facts = dict[str, Any]


def segments_of(transfer_plan: Facts) -> Mapping[str, int]:
    """First frame of each segment of a video, or number of each picture, by name."""
    plan = transfer_plan["video"]
    if plan is None:
        return {name: number for number, name in enumerate(transfer_plan["pictures"])}
    return {segment_name(first): first for first, _ in plan["segments"]}


def segment_name(first: int) -> str:
    """The name of a video's segment, of its first frame's number."""
    return f"{first:08d}.mp4"


def present(transfer_plan: Facts, store: SegmentStore, unreadable: Iterable[str] = ()) -> list[str]:
    """Names of all segments, in their order.

    Raises:
        ValueError: Some are missing.
    """
    there = store.names(transfer_plan["work"])
    names = [name for name in segments_of(transfer_plan) if name not in unreadable]
    missing = [name for name in names if name not in there]
    if missing:
        raise ValueError(
            f"{transfer_plan['source']}: {len(missing)} of {len(names)} segments are missing, the "
            f"first is {missing[0]}: run from the node stylize_segments on"
        )
    return names


def progress(desc: str, total: int, unit: str) -> tqdm[Any]:
    """A bar on the first rank, if the work takes more than a moment."""
    shown = None if ranks.rank() == 0 else True
    return tqdm(total=total, desc=desc, unit=unit, disable=shown, delay=2)
