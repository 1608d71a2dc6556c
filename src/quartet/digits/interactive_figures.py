"""Plot confusion matrices for Kedro-Viz, where the pointer shows the counts of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from plotly.colors import sequential
from plotly.graph_objects import Figure, Heatmap

from quartet.digits.figures import shorten_name

_MAX_NUMBERED = 16
"""Most classes whose cells have room for numbers."""
_ORANGES = [[0, "white"], *zip(np.linspace(1e-6, 1, 9).tolist(), sequential.Oranges, strict=True)]
"""White for no errors, and shades of orange above."""


def plot_confusion_matrix(
    confusion: NDArray[np.int64], title: str, names: Sequence[str] = ()
) -> Figure:
    """Plot counts, shape (classes, classes): actual digits as rows, predicted digits as columns.

    `names` are those of the classes; their indices by default. As in the figure of the same name
    in `figures`, errors are coloured.
    """
    errors = confusion - np.diag(np.diag(confusion))
    most = int(errors.max()) or 1
    numbered = len(confusion) <= _MAX_NUMBERED
    names = names or [str(digit) for digit in range(len(confusion))]
    shown = [escape(name, quote=False) for name in names]
    totals = np.broadcast_to(confusion.sum(axis=1, keepdims=True), confusion.shape)
    matrix = Heatmap(
        x=shown,
        y=shown,
        z=errors.tolist(),
        zmin=0,
        zmax=most,
        colorscale=_ORANGES,
        colorbar={"title": "errors<br>(images)", "dtick": -(-most // 5)},
        customdata=np.stack([confusion, totals], axis=-1).tolist(),
        hovertemplate="actual %{y}<br>predicted %{x}<br>"
        "%{customdata[0]:,} of %{customdata[1]:,} images<extra></extra>",
        text=[[str(count or "") for count in row] for row in confusion] if numbered else None,
        texttemplate="%{text}" if numbered else None,
    )
    heading = f"{title}: {errors.sum():,} errors in {confusion.sum():,} test images"
    figure = Figure(matrix, layout={"template": "none", "title": heading})
    ticks = {
        "type": "category",
        "tickvals": shown,
        "ticktext": [escape(shorten_name(name), quote=False) for name in names],
    }
    figure.update_xaxes(title="predicted", **ticks)
    return figure.update_yaxes(title="actual", autorange="reversed", **ticks)
