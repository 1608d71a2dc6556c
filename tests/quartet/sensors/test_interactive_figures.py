"""Interactive figures of a fleet show the values of the tables, and any name as it is."""

import json
from html import unescape

import numpy as np
import pandas as pd
import pytest

from quartet.sensors.figures import compute_fleet_shares, pivot_drift
from quartet.sensors.interactive_figures import plot_drift, plot_fleet_heat_map
from sensors.simulated_windows import simulate_windows

NAME = "<script>alert(1)</script><b>x</b> a&b &lt; 007"


def make_drift(rows=3, **columns):
    table = {"device": "d", "sensor": ["a", "a", NAME], "feature": ["mean", "maximum", "mean"]}
    index = {"stability_index": [0.28, 0.26, 0.5], "drifted": [False, True, False]}
    return pivot_drift(pd.DataFrame({**table, **index, **columns}).head(rows))


def test_the_fleet_shows_the_shares_of_the_table_below_the_names():
    scores = simulate_windows(sensors=3, windows=5)
    scores = scores.assign(anomaly=(scores["sensor"] == "s1") & (scores.index % 2 == 0))
    fleet = compute_fleet_shares(scores)
    (heat,) = json.loads(plot_fleet_heat_map(fleet).to_json())["data"]
    assert heat["z"] == fleet.shares.to_numpy().tolist()
    assert [name.partition("  ")[0] for name in heat["y"]] == list(fleet.shares.index)
    assert heat["y"][0].endswith(f"{scores.loc[scores['sensor'] == 's1', 'anomaly'].mean():.1%}")
    assert heat["x"][0] == f"{scores['window_end'].min()}"
    assert len(heat["x"]) == fleet.shares.shape[1] + 1


def test_drift_shows_the_indices_of_the_table_with_drift_in_bold():
    (heat,) = json.loads(plot_drift(make_drift()).to_json())["data"]
    assert heat["z"] == [[0.5, None], [0.28, 0.26]]
    assert heat["text"] == [["0.50", ""], ["0.28", "<b>0.26</b>"]]
    assert (heat["y"][1], heat["x"]) == ("d a", ["mean", "maximum"])


def test_names_are_no_markup():
    """Plotly draws tags in labels; it would also show `&lt;` as `<`."""
    scores = simulate_windows(sensors=1, windows=3).assign(anomaly=True, device="d", sensor=NAME)
    for figure in (plot_fleet_heat_map(compute_fleet_shares(scores)), plot_drift(make_drift())):
        label = figure.data[0].y[0]
        assert "<" not in label
        assert unescape(label).startswith(f"d {NAME}")


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (plot_fleet_heat_map(compute_fleet_shares(pd.DataFrame())), "no windows scored"),
        (plot_drift(make_drift(0)), "no windows"),
        (plot_drift(make_drift(stability_index=np.nan)), "too few windows"),
    ],
)
def test_nothing_to_show_is_stated(figure, text):
    assert [note.text for note in figure.layout.annotations] == [text]
    assert not figure.data
