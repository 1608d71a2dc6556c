"""What `style_transfer` does where the source is a picture or a folder of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kedro.io.core import DatasetError

from quartet.datasets.media import encode_picture

from .segments import Facts, present, progress

if TYPE_CHECKING:
    import numpy as np

    from quartet.datasets.media import Media
    from quartet.datasets.published import PublishedFolder
    from quartet.datasets.segments import SegmentStore
    from quartet.style.stylizer import Stylizer

logger = logging.getLogger(__name__)


def plan_pictures(source: Media, style: str) -> tuple[Facts, Facts]:
    """What the plan says of the pictures, and all of them that their segments depend on."""
    with progress("reading", len(source.pictures), "picture") as bar:
        digests = {}
        for name in source.pictures:
            digests[name] = source.digest(name)
            bar.update()
    return {"video": None, "pictures": _outputs(source, style)}, digests


def _outputs(source: Media, style: str) -> dict[str, str]:
    """Name of the stylized picture by name of the picture."""
    outputs: dict[str, str] = {}
    for name in source.pictures:
        path = PurePosixPath(name)
        lossy = path.suffix.lower() in (".jpg", ".jpeg")
        suffix = path.suffix if lossy else ".png"
        output = f"{path.stem}_{style}{suffix}"
        if output in outputs.values():  # of two that differ in their ending only
            output = f"{path.name}_{style}{suffix}"
        outputs[name] = output
    return outputs


def stylize_pictures(
    source: Media,
    transfer_plan: Facts,
    names: Sequence[str],
    stylizer: Stylizer,
    store: SegmentStore,
) -> Facts:
    """Stylize some of the pictures, and keep each as soon as it is done: how that went.

    Of several, those that cannot be read are left out and told.

    Raises:
        DatasetError: The only picture cannot be read.
    """
    unreadable = []
    begun = time.perf_counter()

    def pictures() -> Iterator[tuple[str, np.ndarray]]:
        for name in names:
            try:
                yield name, source.read_picture(name)
            except DatasetError as error:
                if len(transfer_plan["pictures"]) == 1:
                    raise
                logger.warning("left out: %s", error)
                unreadable.append(name)

    done = 0
    with progress("stylizing", len(names), "picture") as bar:
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
        "seconds": time.perf_counter() - begun,
    }


def publish_pictures(
    source: Media,
    transfer_plan: Facts,
    stylizing_work: Facts,
    store: SegmentStore,
    folder: PublishedFolder,
) -> Facts:
    """Publish what was made of the pictures: where, and which were left out.

    Raises:
        ValueError: A segment is missing, or no picture can be read.
    """
    unreadable = {name for done in stylizing_work["ranks"] for name in done["unreadable"]}
    names = present(transfer_plan, store, unreadable)
    if not names:
        raise ValueError(f"{source.name}: none of its {len(unreadable)} pictures can be read")
    outputs = []
    with progress("publishing", len(names), "picture") as bar:
        for name in names:
            output = transfer_plan["pictures"][name]
            if source.is_folder:
                output = f"{source.name}_{transfer_plan['style']}/{output}"
            with folder.create(output) as target:
                target.write_bytes(store.read(transfer_plan["work"], name))
            outputs.append(output)
            bar.update()
    return {
        "places": [folder.get_path(output) for output in outputs],
        "frames": len(outputs),
        "names": names,
        "outputs": outputs,
        "duration_difference": 0.0,
        "unreadable": sorted(unreadable),
    }
