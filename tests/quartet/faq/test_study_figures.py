"""Figures of a study must show its trials and parameters, also if it is small."""

import numpy as np
import pandas as pd
import pytest

from faq.figure_contents import read_labels, read_line, read_texts, read_widths, render
from quartet.faq import study_figures
from quartet.faq.drawing import ACCENT


def make_study(trials=50):
    """Return an unordered study: every fifth trial pruned, every seventh failed, two parameters."""
    number = np.arange(trials)
    state = np.where(number % 7 == 6, "fail", np.where(number % 5 == 4, "pruned", "complete"))
    generator = np.random.default_rng(0)
    metric = np.where(state == "fail", np.nan, generator.uniform(0.6, 0.9, trials))
    table = pd.DataFrame({"trial": number, "state": state, "metric": metric})
    table["l2"] = generator.uniform(0.1, 30, trials)
    table["objective"] = generator.choice(["binary", "lambdarank"], trials)
    return table.sample(frac=1, random_state=0)


def make_completed(**parameters):
    """Return completed trials 0, 1, … with rising metric."""
    count = len(next(iter(parameters.values())))
    metric = np.linspace(0.5, 0.8, count)
    trial = np.arange(count)
    return pd.DataFrame({"trial": trial, "state": "complete", "metric": metric, **parameters})


def read_heights(figure):
    """Return the heights of the lines: one row a trial, one column an axis."""
    return np.array([path.vertices[:, 1] for path in figure.axes[0].collections[0].get_paths()])


def read_axis_labels(figure, position):
    """Return the labels of one axis, by height."""
    return {
        round(float(text.get_position()[1]), 6): text.get_text()
        for text in figure.axes[0].texts
        if position <= text.get_position()[0] < position + 1
    }


def test_the_history_shows_trials_by_state_and_the_best_so_far():
    trials = make_study()
    figure = study_figures.plot_study_history(trials, "gain_at_3", 10)
    assert render(figure)
    axis, ordered = figure.axes[0], trials.sort_values("trial")
    for state in ("complete", "pruned"):
        rows = ordered[ordered["state"] == state]
        assert read_line(axis, f"{state} ({len(rows)})") == (
            list(rows["trial"]),
            list(rows["metric"]),
        )
    assert read_line(axis, "failed (7)")[0] == [6, 13, 20, 27, 34, 41, 48]
    best = ordered["metric"].where(ordered["state"] == "complete").cummax().ffill()
    assert read_line(axis, "best so far") == (list(range(50)), list(best))
    assert axis.get_ylabel() == "gain@3"


def test_the_chosen_trial_is_ringed():
    trials = make_study()
    figure = study_figures.plot_study_history(trials, "mean_reciprocal_rank", 10)
    metric = trials.set_index("trial")["metric"][10]
    assert read_line(figure.axes[0], "chosen: trial 10") == ([10], [metric])
    (ring,) = [line for line in figure.axes[0].lines if line.get_color() == ACCENT]
    assert ring.get_markerfacecolor() == "none"


def test_the_most_important_parameter_is_on_top():
    table = pd.DataFrame({"parameter": ["l2", "num_leaves"], "importance": [0.2, 0.8]})
    figure = study_figures.plot_parameter_importance(table)
    assert render(figure)
    axis = figure.axes[0]
    assert read_labels(axis) == ["num leaves", "l2"]
    assert read_widths(axis) == [0.8, 0.2]
    assert read_texts(axis) == ["80.0%", "20.0%"]
    assert axis.yaxis_inverted()


def test_unknown_importance_is_reported():
    figure = study_figures.plot_parameter_importance(
        pd.DataFrame(columns=["parameter", "importance"])
    )
    assert render(figure)
    assert "Too few trials completed" in read_texts(figure.axes[0])[0]


def test_a_line_for_each_completed_trial_the_best_drawn_last():
    trials = make_study()
    figure = study_figures.plot_parallel_coordinates(trials, ["l2", "objective"], "gain_at_1", 10)
    assert render(figure)
    complete = trials[trials["state"] == "complete"]
    collection = figure.axes[0].collections[0]
    assert list(collection.get_array()) == sorted(complete["metric"])
    assert (np.diff(read_heights(figure)[:, -1]) > 0).all()
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names == ["l2", "objective", "gain@1"]
    assert figure.axes[1].get_ylabel() == "gain@1"


def test_the_line_of_the_chosen_trial_is_marked():
    trials = make_completed(l2=[1, 2, 5], trees=[10, 20, 10])
    figure = study_figures.plot_parallel_coordinates(trials, ["l2", "trees"], "gain_at_1", 1)
    assert render(figure)
    (marked,) = [line for line in figure.axes[0].lines if line.get_color() == ACCENT]
    assert marked.get_label() == "chosen: trial 1"
    assert list(marked.get_ydata()) == pytest.approx([0.25, 1, 0.5])


def test_wide_ranges_are_logarithmic_and_narrow_ones_not():
    trials = make_completed(l2=[0.1, 1, 10], trees=[100, 150, 300], share=[0, 0.5, 100])
    figure = study_figures.plot_parallel_coordinates(
        trials, ["l2", "trees", "share"], "gain_at_1", 0
    )
    assert render(figure)
    expected = [[0, 0, 0, 0], [0.5, 0.25, 0.005, 0.5], [1, 1, 1, 1]]
    assert read_heights(figure) == pytest.approx(np.array(expected))
    assert read_axis_labels(figure, 0) == {0: "0.1", 0.5: "1", 1: "10"}
    assert read_axis_labels(figure, 1) == {0: "100", 0.5: "200", 1: "300"}
    assert read_axis_labels(figure, 2) == {0: "0", 0.5: "50", 1: "100"}


def test_the_middle_label_is_at_its_value():
    figure = study_figures.plot_parallel_coordinates(
        make_completed(leaves=[3, 5, 8], large=[1, 2, 4000]), ["leaves", "large"], "gain_at_1", 0
    )
    assert read_axis_labels(figure, 0) == {0: "3", 0.6: "6", 1: "8"}
    middle = round(np.log(63) / np.log(4000), 6)
    assert read_axis_labels(figure, 1) == {0: "1", middle: "63", 1: "4,000"}


def test_names_are_evenly_spaced():
    trials = make_completed(kind=["b", "c", "a"])
    figure = study_figures.plot_parallel_coordinates(trials, ["kind"], "gain_at_1", 0)
    assert render(figure)
    assert read_heights(figure)[:, 0].tolist() == [0.5, 1, 0]
    assert read_axis_labels(figure, 0) == {0: "a", 0.5: "b", 1: "c"}


def test_a_constant_parameter_is_in_the_middle():
    trials = make_completed(trees=[400, 400], kind=["a", "a"])
    figure = study_figures.plot_parallel_coordinates(trials, ["trees", "kind"], "gain_at_1", 0)
    assert render(figure)
    assert read_heights(figure)[:, :2].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert (read_axis_labels(figure, 0), read_axis_labels(figure, 1)) == ({0.5: "400"}, {0.5: "a"})


def test_a_single_trial_is_rendered():
    table = make_completed(l2=[0.1], kind=["a"])
    figure = study_figures.plot_parallel_coordinates(table, ["l2", "kind"], "gain_at_1", 0)
    assert render(figure)
    assert read_heights(figure).tolist() == [[0.5, 0.5, 0.5]]
