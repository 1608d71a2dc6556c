"""Stylize a picture or a short video in several styles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from quartet.datasets.pictures import decode_picture
from quartet.try_page.project import (
    compute_once,
    escape,
    make_folder,
    open_project,
    report_errors,
    store_upload,
)

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

_MAX_MEGAPIXELS = 300
"""Maximum pixels of all frames together: about 10 s of video at 1280 × 720."""
_SELECTED_STYLES = 2
"""Number of styles that are selected when the page opens."""
_SHOWN_SIDE = 1200
"""Longest side of the source on the page, pixels."""
_PLAYED = (".mp4", ".mov")
"""Suffixes of the results that browsers play."""


class _Stylized(NamedTuple):
    """A stylized file.

    Attributes:
        name: Name of the file.
        content: Its content.
        is_video: Whether it is a video.
        preview: Animated WebP of source and result, for a video that browsers do not play.
    """

    name: str
    content: bytes
    is_video: bool
    preview: bytes = b""


def show() -> None:
    """Show the page of styles."""
    st.set_page_config(layout="wide")
    st.title("Stylize a picture or a video")
    st.caption("Drop a picture, or a video of a few seconds, and see it in the style of paintings.")
    with report_errors():
        known = _list_styles()
        styles = st.pills(
            "Styles",
            known,
            selection_mode="multi",
            default=known[:_SELECTED_STYLES],
            format_func=_format_style,
        )
        upload = st.file_uploader("Picture or video")
        if upload is None:
            st.session_state.pop("stylized", None)
        elif styles:
            _show_results(upload, styles)


def _list_styles() -> list[str]:
    """Return the names of the styles in the folder of the catalog's style."""
    entry = open_project().entries["style_weights"]
    return sorted(path.stem for path in Path(entry["filepath"]).parent.glob("*.safetensors"))


def _show_results(upload: UploadedFile, styles: list[str]) -> None:
    kept = compute_once("stylized", upload.file_id, dict[str, _Stylized])
    for style in styles:
        if style not in kept:
            message = f"Stylizing {escape(upload.name)} after {_format_style(style)} …"
            with st.spinner(message, show_time=True):
                kept[style] = _stylize(upload, style)
    source, *columns = st.columns(1 + len(styles))
    with source:
        _show_source(upload, kept[styles[0]])
    for column, style in zip(columns, styles, strict=True):
        with column:
            _show_stylized(kept[style], _format_style(style))


def _format_style(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _show_source(upload: UploadedFile, result: _Stylized) -> None:
    if not result.is_video:
        # Decoded as for the network: browsers do not show all formats.
        st.image(decode_picture(upload.getvalue(), longest_side=_SHOWN_SIDE), caption="Source")
    elif not result.preview:
        st.video(upload, loop=True, autoplay=True, muted=True)
        st.caption("Source")


def _show_stylized(result: _Stylized, title: str) -> None:
    if result.preview:
        st.image(result.preview, caption=f"{title}: three seconds, with the source")
    elif result.is_video:
        st.video(result.content, loop=True, autoplay=True, muted=True)
        st.caption(title)
    else:
        st.image(result.content, caption=title)
    st.download_button(
        "Download", result.content, result.name, key=f"download_{title}", on_click="ignore"
    )


def _stylize(upload: UploadedFile, style: str) -> _Stylized:
    """Run the pipeline's nodes from source to output in temporary folders."""
    from kedro.runner import SequentialRunner

    from quartet.pipelines.style_transfer.pipeline import create_output_pipeline
    from quartet.style.preview import render_preview
    from quartet.style.video import VideoPlan

    with store_upload(upload) as path, make_folder() as work:
        catalog = open_project(
            video=str(path), style=style, transfer_folder=work, stylized_folder=f"{work}/results"
        ).catalog
        source = catalog.load("style_source")
        _check_work(source)
        SequentialRunner().run(create_output_pipeline(), catalog)
        place = Path(*catalog.load("stylized_output")["places"])
        result = _Stylized(place.name, place.read_bytes(), not source.pictures)
        if source.pictures or place.suffix in _PLAYED:
            return result
        plan = VideoPlan.from_dict(catalog.load("transfer_plan")["video"])
        with source.open() as opened:
            return result._replace(preview=render_preview(opened, place, plan))


def _check_work(source: Any) -> None:
    """Check that a video is short enough to wait for.

    Raises:
        ValueError: It has too many pixels.
    """
    from quartet.style.probe import plan_video

    if source.pictures:
        return
    with source.open() as opened:
        plan = plan_video(opened, 64)
    megapixels = plan.frames * plan.width * plan.height / 1e6
    if megapixels > _MAX_MEGAPIXELS:
        raise ValueError(
            f"{source.name}: has {plan.frames:,} frames of {plan.width}×{plan.height} pixels, "
            f"{megapixels:,.0f} megapixels, expected at most {_MAX_MEGAPIXELS}; shorten it, or run "
            "`kedro run --pipelines style_transfer --params video=FILE`"
        )
