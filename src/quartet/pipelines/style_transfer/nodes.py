"""Nodes of `style_transfer`: from a source to the published output."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import lazy_loader
from kedro.io.core import DatasetError
from tqdm import tqdm

from quartet import __version__, distributed
from quartet.datasets.checkpoint import fingerprint
from quartet.datasets.media import encode_picture
from quartet.style.encoding_settings import Encoding
from quartet.style.transfer_settings import Restyling, StyleTransfer

if TYPE_CHECKING:
    import numpy as np

    from quartet.datasets.media import Media
    from quartet.datasets.pieces import PieceStore
    from quartet.datasets.published import PublishedFolder
    from quartet.datasets.torch_weights import Weights
    from quartet.style.restyler import Platform, Restyler
    from quartet.style.video import VideoPlan
else:
    # Kedro resolves these annotations in a run; listing the pipelines should not pay for them.
    np = lazy_loader.load("numpy")
    Media = PieceStore = PublishedFolder = Weights = Platform = Restyler = VideoPlan = Any

logger = logging.getLogger(__name__)

Facts = dict[str, Any]


def plan_transfer(
    style_source: Media,
    style_weights: Weights,
    style_transfer: StyleTransfer,
    restyling: Restyling,
    video_encoding: Encoding,
) -> Facts:
    """What is to be done, in which pieces, and what the result will be called.

    `work` is a fingerprint of all that pieces depend on: finished ones are used again only
    for the same source, weights and parameters.

    Raises:
        ValueError: The source is no video or is cut short, or the weights are of another
            architecture.
    """
    from quartet.style import network

    begun = time.perf_counter()
    try:
        network.width_of(style_weights.arrays)
    except ValueError as error:
        raise ValueError(f"style '{style_weights.name}': {error}") from error
    plan: Facts = {"source": style_source.name, "style": style_weights.name}
    if style_source.pictures:
        with _progress("reading", len(style_source.pictures), "picture") as bar:
            digests = {}
            for name in style_source.pictures:
                digests[name] = style_source.digest(name)
                bar.update()
        parts: list[Any] = [digests]
        plan |= {"video": None, "pictures": _outputs(style_source, style_weights.name)}
    else:
        from quartet.style import probe

        with style_source.opened() as source:
            video = probe.plan_video(
                source,
                style_transfer.piece_frames,
                accept_truncated=style_transfer.accept_truncated,
            )
        parts = [video.fingerprint, video.pieces, style_transfer.smoothing, video_encoding]
        plan |= {"video": video.to_dict(), "pictures": {}}
        plan["output"] = f"{style_source.stem}_{style_weights.name}{video.suffix}"
    how = (restyling.precision, restyling.compiled)
    plan["work"] = fingerprint(__version__, style_weights.arrays, *how, *parts)[:32]
    plan["seconds"] = time.perf_counter() - begun
    return plan


def _outputs(source: Media, style: str) -> dict[str, str]:
    """Name of the restyled picture by name of the picture."""
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


def restyle(
    style_source: Media,
    style_weights: Weights,
    transfer_plan: Facts,
    style_pieces: PieceStore,
    style_transfer: StyleTransfer,
    restyling: Restyling,
    video_encoding: Encoding,
) -> Facts:
    """Restyle the pieces that are not there yet; with several MPI ranks each its share.

    Raises:
        ValueError: A frame needs more memory than there is, or the video has changed since it
            was planned.
    """
    from quartet.style import restyler

    platform = restyler.detect(restyling, distributed.ranks_here())
    plan = _video_of(transfer_plan)
    pieces = _pieces(transfer_plan)
    # The first rank's list counts: the others may look when it is at work already.
    there = distributed.broadcast(style_pieces.names(transfer_plan["work"]))
    missing = [name for name in pieces if name not in there]
    mine = distributed.shard(missing)
    if distributed.rank() == 0 and len(missing) < len(pieces):
        logger.info("%d of %d pieces are there already", len(pieces) - len(missing), len(pieces))
    with restyler.Restyler(style_weights.arrays, restyling, platform) as made:
        if plan is None:
            work = _restyle_pictures(style_source, transfer_plan, mine, made, style_pieces)
        else:
            work = _restyle_video(
                style_source,
                plan,
                [pieces[name] for name in mine],
                made,
                style_pieces,
                transfer_plan["work"],
                (style_transfer, restyling, video_encoding),
            )
    mine_done = {**work, **platform.describe()}
    return {"ranks": distributed.gather(mine_done) or [mine_done], "pieces": len(pieces)}


def _restyle_video(
    source: Media,
    plan: VideoPlan,
    firsts: Sequence[int],
    restyler: Restyler,
    store: PieceStore,
    work: str,
    settings: tuple[StyleTransfer, Restyling, Encoding],
) -> Facts:
    from quartet.style import flow

    transfer, restyling, encoding = settings
    frames = sum(plan.end_of_piece(first) - first for first in firsts)
    with source.opened() as opened, _progress("restyling", frames, "frame") as bar:
        done = flow.restyle_pieces(
            opened,
            plan,
            firsts,
            restyler,
            encoding,
            lambda first, content: store.write(work, _piece_name(first), content),
            smoothing=transfer.smoothing,
            decoder_threads=restyling.decoder_threads,
            after=bar.update,
        )
    return done.to_dict()


def _restyle_pictures(
    source: Media,
    transfer_plan: Facts,
    names: Sequence[str],
    restyler: Restyler,
    store: PieceStore,
) -> Facts:
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
    with _progress("restyling", len(names), "picture") as bar:
        for name, _, restyled in restyler.stream(pictures()):
            output = transfer_plan["pictures"][name]
            content = encode_picture(restyled, PurePosixPath(output).suffix)
            store.write(transfer_plan["work"], name, content)
            done += 1
            bar.update()
    return {
        "pieces": done,
        "frames": done,
        "unreadable": unreadable,
        "network_seconds": restyler.busy_seconds,
        "seconds": time.perf_counter() - begun,
    }


def publish(
    style_source: Media,
    transfer_plan: Facts,
    restyling_work: Facts,
    style_pieces: PieceStore,
    restyled_folder: PublishedFolder,
    video_encoding: Encoding,
) -> Facts:
    """Join the pieces, check the result against the source, and only then publish it.

    The pieces are given up when all is published.

    Raises:
        ValueError: A piece is missing, or the result differs from the source in the number,
            time or size of its frames, or in its sound; nothing is published then.
    """
    begun = time.perf_counter()
    plan = _video_of(transfer_plan)
    if plan is None:
        facts = _publish_pictures(
            style_source, transfer_plan, restyling_work, style_pieces, restyled_folder
        )
    else:
        facts = _publish_video(
            style_source, plan, transfer_plan, style_pieces, restyled_folder, video_encoding
        )
    style_pieces.clear(transfer_plan["work"])
    return {**facts, "seconds": time.perf_counter() - begun}


def _publish_video(
    source: Media,
    plan: VideoPlan,
    transfer_plan: Facts,
    store: PieceStore,
    folder: PublishedFolder,
    encoding: Encoding,
) -> Facts:
    from quartet.style import assemble, check, probe

    names = _present(transfer_plan, store)
    name = transfer_plan["output"]
    pieces = store.sources(transfer_plan["work"], names)
    with source.opened() as opened, folder.new(name) as target:
        made = assemble.assemble(opened, pieces, plan, target, encoding)
        check.check_video(target, plan)
        found = probe.plan_video(target, plan.frames)
    for track in made.left_out:
        logger.warning("%s: %s track %d: %s", name, track.kind, track.index, track.left_out)
    return {
        "places": [folder.place(name)],
        "frames": found.frames,
        "duration_difference": found.seconds - plan.seconds,
        "container": made.container,
        "tracks_copied": len(made.copied),
        "tracks_left_out": [f"{track.kind}: {track.left_out}" for track in made.left_out],
    }


def _publish_pictures(
    source: Media,
    transfer_plan: Facts,
    restyling_work: Facts,
    store: PieceStore,
    folder: PublishedFolder,
) -> Facts:
    unreadable = {name for done in restyling_work["ranks"] for name in done["unreadable"]}
    names = _present(transfer_plan, store, unreadable)
    if not names:
        raise ValueError(f"{source.name}: none of its {len(unreadable)} pictures can be read")
    outputs = []
    with _progress("publishing", len(names), "picture") as bar:
        for name in names:
            output = transfer_plan["pictures"][name]
            if source.is_folder:
                output = f"{source.name}_{transfer_plan['style']}/{output}"
            with folder.new(output) as target:
                target.write_bytes(store.read(transfer_plan["work"], name))
            outputs.append(output)
            bar.update()
    return {
        "places": [folder.place(output) for output in outputs],
        "frames": len(outputs),
        "names": names,
        "outputs": outputs,
        "duration_difference": 0.0,
        "unreadable": sorted(unreadable),
    }


def _present(transfer_plan: Facts, store: PieceStore, unreadable: Iterable[str] = ()) -> list[str]:
    """Names of all pieces, in their order.

    Raises:
        ValueError: Some are missing.
    """
    there = store.names(transfer_plan["work"])
    names = [name for name in _pieces(transfer_plan) if name not in unreadable]
    missing = [name for name in names if name not in there]
    if missing:
        raise ValueError(
            f"{transfer_plan['source']}: {len(missing)} of {len(names)} pieces are missing, the "
            f"first is {missing[0]}: run from the node restyle_pieces on"
        )
    return names


def _pieces(transfer_plan: Facts) -> Mapping[str, int]:
    """First frame of each piece of a video, or number of each picture, by name."""
    plan = transfer_plan["video"]
    if plan is None:
        return {name: number for number, name in enumerate(transfer_plan["pictures"])}
    return {_piece_name(first): first for first, _ in plan["pieces"]}


def _piece_name(first: int) -> str:
    return f"{first:08d}.mp4"


def _video_of(transfer_plan: Facts) -> VideoPlan | None:
    from quartet.style import video

    plan = transfer_plan["video"]
    return None if plan is None else video.VideoPlan.from_dict(plan)


def _progress(desc: str, total: int, unit: str) -> tqdm[Any]:
    shown = None if distributed.rank() == 0 else True
    return tqdm(total=total, desc=desc, unit=unit, disable=shown, delay=2)
