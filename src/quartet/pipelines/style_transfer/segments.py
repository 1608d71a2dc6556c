"""Names of the segments of a plan, and which of them are finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from kedro_cloud.core import ranks

if TYPE_CHECKING:
    from quartet.datasets.segments import SegmentStore

JsonDict = dict[str, Any]


def index_segments(transfer_plan: JsonDict) -> Mapping[str, int]:
    """Return the first frame of each segment of a video, or the index of each picture, by name."""
    plan = transfer_plan["video"]
    if plan is None:
        return {name: index for index, name in enumerate(transfer_plan["pictures"])}
    return {segment_name(first): first for first, _ in plan["segments"]}


def segment_name(first: int) -> str:
    """Return the name of the segment of a video that starts at frame `first`."""
    return f"{first:08d}.mp4"


def list_segments(
    transfer_plan: JsonDict, store: SegmentStore, unreadable: Iterable[str] = ()
) -> list[str]:
    """Return the names of all segments in order.

    Raises:
        ValueError: A segment is missing.
    """
    finished = store.names(transfer_plan["work"])
    names = [name for name in index_segments(transfer_plan) if name not in unreadable]
    missing = [name for name in names if name not in finished]
    if missing:
        raise ValueError(
            f"{transfer_plan['source']}: {len(missing)} of {len(names)} segments are missing, "
            f"starting with {missing[0]}; run again from the node stylize_segments"
        )
    return names


def progress_bar(desc: str, total: int, unit: str) -> tqdm[Any]:
    """Return a progress bar, shown on the first rank if the work takes more than two seconds."""
    disable = None if ranks.rank() == 0 else True
    return tqdm(total=total, desc=desc, unit=unit, disable=disable, delay=2)
