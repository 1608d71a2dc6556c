"""Figures show the values of their tables, and any name as it is."""

import json
import re
from html import unescape

import numpy as np
import pandas as pd
import pytest
from matplotlib.dates import date2num

from quartet.sensors.baselines import make_score_table
from quartet.sensors.evaluation import EventScores
from quartet.sensors.figures import (
    compute_fleet_shares,
    pivot_drift,
    plot_comparison,
    plot_drift,
    plot_readings_over_time,
    plot_timelines,
)
from quartet.sensors.interactive_figures import plot_drift as plot_interactive_drift
from quartet.sensors.interactive_figures import plot_fleet_heat_map as plot_interactive_fleet
from sensors.simulated_windows import simulate_windows


def find_shaded_times(axis, colour="#e9c46a"):
    """Return the drawn spans of known anomalies, in days since the epoch."""
    from matplotlib.colors import to_rgb

    return [
        (patch.get_x(), patch.get_x() + patch.get_width())
        for patch in axis.patches
        if patch.get_facecolor()[:3] == to_rgb(colour)
    ]


def test_labels_of_a_sensor_and_of_its_device_are_drawn():
    scores = simulate_windows(sensors=5, windows=48).assign(anomaly=False)
    days = np.array([0.5, 1.0, 1.5, 0.25]) * 86400
    events = pd.DataFrame(
        {
            "device": ["d0", "d0", "d0", "d1"],
            "sensor": ["s0", "", "s1", ""],
            "start": days.astype("datetime64[s]"),
            "end": (days + 3600).astype("datetime64[s]"),
            "kind": "stuck",
        }
    )
    figure = plot_timelines(scores, [("d0", "s0"), ("d1", "s0")], events)
    np.testing.assert_allclose(
        find_shaded_times(figure.axes[0]), [(0.5, 0.5 + 1 / 24), (1.0, 1 + 1 / 24)]
    )
    np.testing.assert_allclose(find_shaded_times(figure.axes[1]), [(0.25, 0.25 + 1 / 24)])


def make_events(*spans, device="d0"):
    starts, ends = np.array(spans).T
    return pd.DataFrame(
        {
            "device": device,
            "sensor": "",
            "start": starts.astype("datetime64[s]"),
            "end": ends.astype("datetime64[s]"),
            "kind": "spike",
        }
    )


def test_a_label_of_one_instant_is_visible_and_covers_its_detection():
    """Or a hit looks like a false alarm."""
    scores = simulate_windows(sensors=1, windows=48).assign(anomaly=False)
    ends = scores["window_end"].sort_values().tolist()
    instant = int(ends[9].timestamp()) + 1200
    scores["anomaly"] = scores["window_end"] == ends[10]  # the window that contains the instant
    figure = plot_timelines(scores, [("d0", "s0")], make_events((instant, instant)))
    axis = figure.axes[0]
    ((first, last),) = find_shaded_times(axis)
    detected = date2num(ends[10])
    assert first < detected <= last + 1e-9
    (patch,) = (patch for patch in axis.patches if patch.get_x() == first)
    assert patch.get_linewidth() > 0


def test_an_instant_at_the_end_of_a_window_is_visible():
    scores = simulate_windows(sensors=1, windows=48).assign(anomaly=False)
    instant = int(scores["window_end"].iloc[5].timestamp())
    figure = plot_timelines(scores, [("d0", "s0")], make_events((instant, instant)))
    assert [patch.get_linewidth() for patch in figure.axes[0].patches] == [1]


def test_a_sensor_with_one_window_is_visible():
    scores = simulate_windows(sensors=1, windows=48).assign(anomaly=False).head(1)
    figure = plot_timelines(scores, [("d0", "s0")], make_events((0, 0)))
    axis = figure.axes[0]
    assert axis.lines[0].get_marker() == "."
    assert axis.collections[0].get_linewidth() > 0


@pytest.mark.parametrize("windows", [1, 2, 96, 97, 1000])
def test_each_bar_of_readings_covers_the_same_number_of_windows(windows):
    """Or the last bar is a false peak."""
    table = simulate_windows(sensors=2, windows=windows).assign(readings=3)
    figure = plot_readings_over_time(table, pd.Series({"not a number": 2}))
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert len(heights) <= 96
    assert sum(heights) == 6 * windows
    assert set(heights[:-1]) <= {max(heights)}
    assert 0 < heights[-1] <= max(heights)


def test_missing_readings_are_stated():
    table = simulate_windows(sensors=1, windows=2).assign(readings=3)
    figure = plot_readings_over_time(table.head(0), pd.Series(dtype=int))
    assert [[text.get_text() for text in axis.texts] for axis in figure.axes] == [["none"]] * 2


def test_drift_above_the_threshold_is_marked():
    table = pd.DataFrame(
        {
            "device": "d",
            "sensor": ["b", "b", "a", "a", "late"],
            "feature": [*["mean", "maximum"] * 2, "mean"],
            "stability_index": [0.1, np.nan, 0.28, 0.26, np.nan],
            "drifted": [False, False, False, True, False],
        }
    )
    axis, scale = plot_drift(pivot_drift(table)).axes
    weights = {text.get_text(): text.get_weight() for text in axis.texts}
    assert weights == {"0.28": "normal", "0.26": "bold", "0.10": "normal"}
    assert 0.25 in [line.get_ydata()[0] for line in scale.lines]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["d a", "d b"]
    assert axis.get_title().endswith("sensors with too few windows: 1")
    for nothing, expected in ((table.tail(1), "too few windows"), (table[:0], "no windows")):
        (axis,) = plot_drift(pivot_drift(nothing)).axes
        assert [text.get_text() for text in axis.texts] == [expected]


def test_dates_are_written_as_in_the_tables():
    table = simulate_windows(sensors=1, windows=500).assign(readings=3)
    figure = plot_readings_over_time(table, pd.Series(dtype=int))
    figure.canvas.draw()
    axis = figure.axes[0].xaxis
    texts = [label.get_text() for label in axis.get_ticklabels()]
    assert all(
        re.fullmatch(r"[\d:-]*", text) for text in [*texts, axis.get_offset_text().get_text()]
    )


def test_compared_methods_are_named_with_their_scores():
    found = EventScores(0.5, 0.75, 0.6, 4, 3, 3, 0.01)
    table = make_score_table({("one_class_svm", "sensors"): found})
    left, right = plot_comparison(table).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["one-class SVM"]
    assert {text.get_text() for text in left.texts} == {"0.50", "0.75", "0.60"}
    assert [text.get_text() for text in right.texts] == ["none compared"]


NAME = "<script>alert(1)</script><b>x</b> a&b &lt; 007"


def make_drift(rows=3, **columns):
    table = {"device": "d", "sensor": ["a", "a", NAME], "feature": ["mean", "maximum", "mean"]}
    index = {"stability_index": [0.28, 0.26, 0.5], "drifted": [False, True, False]}
    return pivot_drift(pd.DataFrame({**table, **index, **columns}).head(rows))


def test_the_fleet_shows_the_shares_of_the_table_below_the_names():
    scores = simulate_windows(sensors=3, windows=5)
    scores = scores.assign(anomaly=(scores["sensor"] == "s1") & (scores.index % 2 == 0))
    fleet = compute_fleet_shares(scores)
    (heat,) = json.loads(plot_interactive_fleet(fleet).to_json())["data"]
    assert heat["z"] == fleet.shares.to_numpy().tolist()
    assert [name.partition("  ")[0] for name in heat["y"]] == list(fleet.shares.index)
    assert heat["y"][0].endswith(f"{scores.loc[scores['sensor'] == 's1', 'anomaly'].mean():.1%}")
    assert heat["x"][0] == f"{scores['window_end'].min()}"
    assert len(heat["x"]) == fleet.shares.shape[1] + 1


def test_drift_shows_the_indices_of_the_table_with_drift_in_bold():
    (heat,) = json.loads(plot_interactive_drift(make_drift()).to_json())["data"]
    assert heat["z"] == [[0.5, None], [0.28, 0.26]]
    assert heat["text"] == [["0.50", ""], ["0.28", "<b>0.26</b>"]]
    assert (heat["y"][1], heat["x"]) == ("d a", ["mean", "maximum"])


def test_names_are_no_markup():
    """Plotly draws tags in labels; it would also show `&lt;` as `<`."""
    scores = simulate_windows(sensors=1, windows=3).assign(anomaly=True, device="d", sensor=NAME)
    for figure in (
        plot_interactive_fleet(compute_fleet_shares(scores)),
        plot_interactive_drift(make_drift()),
    ):
        label = figure.data[0].y[0]
        assert "<" not in label
        assert unescape(label).startswith(f"d {NAME}")


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (plot_interactive_fleet(compute_fleet_shares(pd.DataFrame())), "no windows scored"),
        (plot_interactive_drift(make_drift(0)), "no windows"),
        (plot_interactive_drift(make_drift(stability_index=np.nan)), "too few windows"),
    ],
)
def test_nothing_to_show_is_stated(figure, text):
    assert [note.text for note in figure.layout.annotations] == [text]
    assert not figure.data
