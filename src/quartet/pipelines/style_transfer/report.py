"""Nodes of `style_transfer` that evaluate the published output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader

from quartet.datasets.pictures import decode_picture
from quartet.style.transfer_settings import StyleTransfer

from .segments import JsonDict

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from quartet.datasets.media import Media
    from quartet.datasets.published import PublishedFolder
    from quartet.style.comparison import Thumbnails
else:
    # Kedro resolves these annotations in a run only, so that listing the pipelines stays fast.
    pd = lazy_loader.load("pandas")
    Figure = Media = PublishedFolder = Any

_PICTURES_SHOWN = 6


def compare_output(
    style_source: Media,
    transfer_plan: JsonDict,
    stylized_output: JsonDict,
    stylized_folder: PublishedFolder,
    style_transfer: StyleTransfer,
) -> tuple[pd.DataFrame, bytes, Figure, Figure]:
    """Return metrics per pair of frames, a preview, a contact sheet, and the consistency figure."""
    from quartet.style import transfer_figures

    if transfer_plan["video"] is None:
        table, thumbnails, preview = _compare_pictures(
            style_source, transfer_plan, stylized_output, stylized_folder
        )
    else:
        table, thumbnails, preview = _compare_video(
            style_source, transfer_plan, stylized_folder, style_transfer.comparison_pairs
        )
    source, style = transfer_plan["source"], transfer_plan["style"]
    sheet = transfer_figures.draw_contact_sheet(thumbnails, source, style)
    return table, preview, sheet, transfer_figures.draw_consistency(table, source, style)


def _compare_video(
    source: Media, transfer_plan: JsonDict, folder: PublishedFolder, pairs: int
) -> tuple[pd.DataFrame, list[Thumbnails], bytes]:
    from quartet.style import comparison, preview, video

    plan = video.VideoPlan.from_dict(transfer_plan["video"])
    with source.open() as opened, folder.fetch(transfer_plan["output"]) as stylized:
        table, thumbnails = comparison.compare(opened, stylized, plan, pairs)
        return table, thumbnails, preview.render_preview(opened, stylized, plan)


def _compare_pictures(
    source: Media, transfer_plan: JsonDict, stylized_output: JsonDict, folder: PublishedFolder
) -> tuple[pd.DataFrame, list[Thumbnails], bytes]:
    from quartet.style import comparison, preview

    names, outputs = stylized_output["names"], stylized_output["outputs"]
    step = -(-len(names) // _PICTURES_SHOWN)
    thumbnails = []
    for name, output in list(zip(names, outputs, strict=True))[::step]:
        with folder.fetch(output) as path:
            stylized = decode_picture(path.read_bytes())
        thumbnails.append(comparison.make_thumbnails(name, source.read_picture(name), stylized))
    return comparison.build_table([]), thumbnails, preview.render_slide_show(thumbnails)


def report_transfer(
    transfer_plan: JsonDict,
    stylizing_work: JsonDict,
    stylized_output: JsonDict,
    frame_consistency: pd.DataFrame,
) -> tuple[dict[str, float], Figure]:
    """Return the metrics of the run, and the figure of the time per stage."""
    from quartet.style import transfer_figures

    ranks = stylizing_work["ranks"]
    frames = sum(done["frames"] for done in ranks)
    stylizing = max(done["seconds"] for done in ranks)
    elapsed = transfer_plan["seconds"] + stylizing + stylized_output["seconds"]
    metrics = _counts(transfer_plan, stylizing_work, stylized_output)
    if frames:  # a run that reused all segments has no speed
        metrics["frames_per_s"] = frames / elapsed
        metrics["network_frames_per_s"] = sum(
            done["frames"] * done["workers"] / done["network_seconds"]
            for done in ranks
            if done["network_seconds"]
        )
    means = frame_consistency.drop(columns=["frame", "seconds"]).mean()
    metrics |= {str(name): float(value) for name, value in means.dropna().items()}
    stages = {
        "plan": transfer_plan["seconds"],
        "decode": sum(done.get("decode_seconds", 0.0) for done in ranks),
        "network": sum(done["network_seconds"] for done in ranks),
        "encode": sum(done.get("encode_seconds", 0.0) for done in ranks),
        "publish": stylized_output["seconds"],
    }
    return metrics, transfer_figures.draw_stage_times(stages, frames, elapsed)


def _counts(
    transfer_plan: JsonDict, stylizing_work: JsonDict, stylized_output: JsonDict
) -> dict[str, float]:
    """Return counts of frames, tracks, segments and workers."""
    ranks, plan = stylizing_work["ranks"], transfer_plan["video"]
    pictures = len(transfer_plan["pictures"]) + len(transfer_plan.get("left_out", ()))
    return {
        "frames_in": pictures if plan is None else len(plan["timestamps"]),
        "frames_out": stylized_output["frames"],
        "frames_repeated": sum(done.get("repeated", 0) for done in ranks),
        "frames_damaged": sum(done.get("damaged", 0) for done in ranks),
        "pictures_unreadable": len(stylized_output.get("unreadable", ())),
        "left_out": len(stylized_output.get("left_out", ())),
        "duration_difference_s": stylized_output["duration_difference"],
        "tracks_copied": stylized_output.get("tracks_copied", 0),
        "tracks_left_out": len(stylized_output.get("tracks_left_out", ())),
        "metadata_lost": len(stylized_output.get("lost", ())),
        "segments": stylizing_work["segments"],
        "segments_stylized": sum(done["segments"] for done in ranks),
        "ranks": len(ranks),
        "workers": sum(done["workers"] for done in ranks),
    }
