"""Plot the alarms and the drift of a fleet for Kedro-Viz, where the pointer shows the values.

Each function shows what that of the same name in `figures` shows.
"""

from __future__ import annotations

from html import escape

import matplotlib.dates as mdates
import numpy as np
from plotly.graph_objects import Figure, Heatmap

from quartet.sensors.drift import DRIFT_THRESHOLD
from quartet.sensors.figures import HEAT_COLOURS, DriftIndices, FleetShares


def plot_fleet_heat_map(fleet: FleetShares) -> Figure:
    """Plot the result of `figures.compute_fleet_shares`, most alarms on top."""
    if fleet.shares.empty:
        return _plot_message("Share of anomalous windows over the fleet", "no windows scored")
    names = fleet.shares.index
    title = f"Share of anomalous windows, {len(names)} of {len(fleet.rates):,} sensors"
    shares = Heatmap(
        x=[f"{time:%Y-%m-%d %H:%M:%S}" for time in mdates.num2date(fleet.edges)],
        y=[f"{escape(name, quote=False)}  {fleet.rates[name]:.1%}" for name in names],
        z=fleet.shares.to_numpy(float).tolist(),
        colorbar={"title": "anomalous<br>windows<br>(grey: none<br>scored)", "tickformat": ".0%"},
        hovertemplate="%{y} of all windows<br>%{x|%Y-%m-%d %H:%M} UTC: %{z:.0%}<extra></extra>",
    )
    return _plot_heat_map(title, shares).update_xaxes(title="time, UTC")


def plot_drift(drift: DriftIndices) -> Figure:
    """Plot the result of `figures.pivot_drift`, the largest index on top."""
    indices, drifted, without_index = drift
    if indices.empty:
        text = "too few windows" if without_index else "no windows"
        return _plot_message("Drift of features since training", text)
    values = indices.to_numpy(float)
    texts = np.where(np.isnan(values), "", np.char.mod("%.2f", values)).astype(object)
    texts[drifted] = "<b>" + texts[drifted] + "</b>"
    title = f"Drift of features since training: {len(indices)} sensors"
    if without_index:
        title += f"; with too few windows: {without_index:,}"
    heat = Heatmap(
        x=[escape(str(name).replace("_", " "), quote=False) for name in indices.columns],
        y=[escape(name, quote=False) for name in indices.index],
        z=values.tolist(),
        text=texts.tolist(),
        texttemplate="%{text}",
        colorbar={"title": "population<br>stability<br>index"},
        hovertemplate="%{y}<br>%{x}: %{z:.3f}<extra></extra>",
    )
    figure = _plot_heat_map(title, heat)
    figure.update_xaxes(type="category")
    return figure.update_xaxes(title=f"bold: drift, above {DRIFT_THRESHOLD:g} and chance")


def _plot_heat_map(title: str, heat: Heatmap) -> Figure:
    """Return a figure of values from 0 to 1, one row per sensor; cells without one are grey."""
    heat.update(colorscale=HEAT_COLOURS, zmin=0, zmax=1)
    figure = _make_figure(title).add_trace(heat)
    figure.add_shape(
        x0=0, x1=1, y0=0, y1=1, xref="paper", yref="paper",
        fillcolor="#d9d9d9", line={"width": 0}, layer="below",
    )  # fmt: skip
    return figure.update_yaxes(type="category", autorange="reversed")


def _plot_message(title: str, text: str) -> Figure:
    figure = _make_figure(title).add_annotation(
        text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False
    )
    return figure.update_xaxes(visible=False).update_yaxes(visible=False)


def _make_figure(title: str) -> Figure:
    """Return an empty figure; Kedro-Viz gives it the font and the colours of its theme."""
    return Figure(layout={"template": "none", "title": title})
