"""Plan, stylize and publish a picture or a folder of pictures."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kedro.io.core import DatasetError

from quartet.datasets.media import JPEG_SUFFIXES, encode_picture

from .segments import JsonDict, list_segments, progress_bar

if TYPE_CHECKING:
    import numpy as np

    from quartet.datasets.media import Media
    from quartet.datasets.published import PublishedFolder
    from quartet.datasets.segments import SegmentStore
    from quartet.style.stylizer import Stylizer

logger = logging.getLogger(__name__)

_SEGMENT_SUFFIX = ".00000000.part"
"""Stands for the random suffix of the temporary file that a segment is written to; as long."""


def plan_pictures(source: Media, style: str, folder: PublishedFolder) -> tuple[JsonDict, JsonDict]:
    """Return the plan's entries for pictures, and the digests that segments depend on.

    Raises:
        ValueError: The only picture, or the folder, has a name too long for the output.
        OSError: The folder of the output cannot be written.
    """
    outputs, left_out = _name_outputs(source, style), dict(source.left_out)
    for name, output in list(outputs.items()):
        try:
            folder.check_name(output)
            folder.check_name(f".{name}{_SEGMENT_SUFFIX}")
        except ValueError as error:
            if len(outputs) == 1:
                raise ValueError(f"{name}: {error}") from error
            left_out[name] = str(error)
            del outputs[name]
    first = next(iter(outputs.values()))
    with folder.rehearse(_get_output_path(source, style, first)) as target:
        target.write_bytes(b"")
    with progress_bar("reading", len(outputs), "picture") as bar:
        digests = {}
        for name in outputs:
            digests[name] = source.digest(name)
            bar.update()
    for name, reason in left_out.items():
        logger.warning("Picture left out: %s: %s", name, reason)
    for name in sorted(source.pages.keys() & outputs.keys()):
        logger.warning("%s: only the first of its %d pages is stylized", name, source.pages[name])
    return {"video": None, "pictures": outputs, "left_out": left_out}, digests


def _get_output_path(source: Media, style: str, output: str) -> str:
    """Return the path of a stylized picture in the folder of results."""
    return f"{source.name}_{style}/{output}" if source.is_folder else output


def _name_outputs(source: Media, style: str) -> dict[str, str]:
    """Return the file name of the stylized picture by name of the picture."""
    outputs: dict[str, str] = {}
    for name in source.pictures:
        path = PurePosixPath(name)
        lossy = path.suffix.lower() in JPEG_SUFFIXES
        suffix = path.suffix if lossy else ".png"
        output = f"{path.stem}_{style}{suffix}"
        if output in outputs.values():  # two pictures that differ only in their suffix
            output = f"{path.name}_{style}{suffix}"
        outputs[name] = output
    return outputs


def stylize_pictures(
    source: Media,
    transfer_plan: JsonDict,
    names: Sequence[str],
    stylizer: Stylizer,
    store: SegmentStore,
) -> JsonDict:
    """Stylize pictures, and store each as soon as it is finished.

    Args:
        source: Picture or folder.
        transfer_plan: Plan of the transfer.
        names: Names of the pictures to stylize.
        stylizer: Stylizer, entered as a context manager.
        store: Store of the finished segments.

    Returns:
        Counts, times, and the reason by name of unreadable pictures, which are logged and left
        out.

    Raises:
        DatasetError: The only picture cannot be read.
    """
    unreadable = {}
    started = time.perf_counter()

    def pictures() -> Iterator[tuple[str, np.ndarray]]:
        for name in names:
            try:
                yield name, source.read_picture(name)
            except DatasetError as error:
                if not source.is_folder:
                    raise
                logger.warning("Picture left out: %s", error)
                unreadable[name] = str(error)

    done = 0
    with progress_bar("stylizing", len(names), "picture") as bar:
        for name, stylized in stylizer.stream(pictures()):
            output = transfer_plan["pictures"][name]
            content = encode_picture(stylized, PurePosixPath(output).suffix)
            store.write(transfer_plan["work"], name, content)
            done += 1
            bar.update()
    return {
        "segments": done,
        "frames": done,
        "unreadable": unreadable,
        "network_seconds": stylizer.busy_seconds,
        "seconds": time.perf_counter() - started,
    }


def publish_pictures(
    source: Media,
    transfer_plan: JsonDict,
    stylizing_work: JsonDict,
    store: SegmentStore,
    folder: PublishedFolder,
) -> JsonDict:
    """Publish the stylized pictures.

    Returns:
        Where they are, and which were left out.

    Raises:
        ValueError: A segment is missing, or no picture can be read.
    """
    unreadable: dict[str, str] = {}
    for done in stylizing_work["ranks"]:
        unreadable |= done["unreadable"]
    names = list_segments(transfer_plan, store, unreadable)
    if not names:
        raise ValueError(f"{source.name}: none of its {len(unreadable)} pictures can be read")
    outputs = [
        _get_output_path(source, transfer_plan["style"], transfer_plan["pictures"][name])
        for name in names
    ]
    bar = progress_bar("publishing", len(names), "picture")
    with bar, folder.create_all(outputs) as targets:
        for name, target in zip(names, targets, strict=True):
            target.write_bytes(store.read(transfer_plan["work"], name))
            bar.update()
    return {
        "places": [folder.get_path(output) for output in outputs],
        "frames": len(outputs),
        "names": names,
        "outputs": outputs,
        "duration_difference": 0.0,
        "unreadable": sorted(unreadable),
        "left_out": dict(sorted((transfer_plan["left_out"] | unreadable).items())),
    }
