"""Draw a digit and see the classifier's probabilities."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from quartet.try_page.project import load_model, report_errors

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_SCALE = 5
"""Pixels of the page for one of the image that the classifier gets."""
_PREFIX = "probability_"


def show() -> None:
    """Show the page of digits."""
    st.title("Draw a digit")
    st.caption("With a mouse, a finger or a pen. The classifier answers when you lift it.")
    with report_errors():
        champion = load_model("mnist_classifier")
        paper, answer = st.columns(2, gap="large")
        with paper:
            canvas = _load_canvas()
            strokes = canvas(
                key="digit", default={"strokes": []}, on_strokes_change=lambda: None
            ).strokes
        with answer:
            if strokes:
                _show_prediction(champion, strokes)
            else:
                st.info("The probabilities of all classes appear here.")
        st.caption(f"Model `mnist_classifier`, version {champion.version}.")


@cache
def _load_canvas() -> Any:
    """Return the component on which a digit is drawn; its state has the strokes."""
    folder = Path(__file__).parent
    html, css, js = (
        folder.joinpath(f"canvas.{suffix}").read_text("utf-8") for suffix in ("html", "css", "js")
    )
    return st.components.v2.component("quartet_canvas", html=html, css=css, js=js)


def _show_prediction(champion: Any, strokes: list[Any]) -> None:
    import numpy as np

    from quartet.digits.drawing import draw_strokes

    image = draw_strokes(strokes)
    prediction = champion.predict(image[None])
    label = str(prediction["label"].iloc[0])
    probabilities = prediction.drop(columns="label").iloc[0]
    probabilities.index = probabilities.index.str.removeprefix(_PREFIX)
    left, right = st.columns(2, vertical_alignment="center")
    left.metric("Class", label)
    left.metric("Probability", f"{probabilities[label]:.1%}")
    enlarged = np.kron(255 - image, np.ones((_SCALE, _SCALE), np.uint8))
    right.image(enlarged, caption="What the classifier sees", width=enlarged.shape[1])
    st.altair_chart(_draw_bars(probabilities, label))


def _draw_bars(probabilities: pd.Series, label: str) -> alt.Chart:
    import altair as alt

    table = probabilities.rename_axis("class").reset_index(name="probability")
    color = alt.condition(alt.datum["class"] == label, alt.value("#e8590c"), alt.value("#9aa5b1"))
    return (
        alt.Chart(table, height=240)
        .mark_bar(cornerRadius=3)
        .encode(
            x=alt.X("probability:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            y=alt.Y("class:N", sort=None, title=None, axis=alt.Axis(labelOverlap=False)),
            color=color,
            tooltip=["class:N", alt.Tooltip("probability:Q", format=".2%")],
        )
    )
