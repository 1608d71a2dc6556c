"""Interactive figures of a study show the values of the tables and each trial's parameters."""

import json

import numpy as np
import pandas as pd
import pytest

from quartet.faq import interactive_figures
from quartet.pipelines.faq_tuning import untuned

TRIALS = pd.DataFrame(
    {
        "trial": [3, 0, 1, 2],
        "state": ["complete", "complete", "fail", "pruned"],
        "metric": [0.7, 0.8, np.nan, 0.5],
        "l2": [0.1, 30, 2, 3],
        "trees": [np.nan, 1500, 20, 30],
        "loss": ["<b>x</b>", "binary", "binary", "binary"],
    }
)


@pytest.fixture
def traces():
    figure = interactive_figures.plot_study_history(
        TRIALS, ["l2", "trees", "loss"], "gain_at_3", chosen=3
    )
    assert figure.layout.yaxis.title.text == "gain@3"
    return {trace["name"]: trace for trace in json.loads(figure.to_json())["data"]}


def test_the_history_shows_trials_by_state_and_the_best_so_far(traces):
    shown = {name: (trace["x"], trace["y"]) for name, trace in traces.items()}
    assert shown.pop("failed (1)")[0] == [1]
    assert shown == {
        "best so far": ([0, 1, 2, 3], [0.8] * 4),
        "complete (2)": ([0, 3], [0.8, 0.7]),
        "pruned (1)": ([2], [0.5]),
        "chosen: trial 3": ([3], [0.7]),
    }


def test_the_pointer_shows_a_trial_with_its_parameters_and_no_markup(traces):
    first, last = traces["complete (2)"]["hovertext"]
    assert first == "trial 0, complete<br>gain@3: 0.8<br>l2: 30<br>trees: 1,500<br>loss: binary"
    assert last == "trial 3, complete<br>gain@3: 0.7<br>l2: 0.1<br>loss: &lt;b&gt;x&lt;/b&gt;"
    assert traces["failed (1)"]["hovertext"][0].startswith("trial 1, fail<br>l2: 2")


def test_gains_show_each_method_with_its_intervals_and_the_questions():
    table = pd.DataFrame(
        {"method": ["ranker", "ranker", "cosine"], "k": [3, 1, 1], "gain": [0.9, 0.8, 0.6]}
    ).assign(low_95=lambda rows: rows["gain"] - 0.25, high_95=lambda rows: rows["gain"] + 0.125)
    figure = interactive_figures.plot_gains(table, 1250)
    assert "1,250 questions" in figure.layout.title.text
    ranker, cosine = json.loads(figure.to_json())["data"]
    assert (ranker["x"], ranker["y"], cosine["y"]) == (["k = 1", "k = 3"], [0.8, 0.9], [0.6])
    assert ranker["customdata"] == table[["low_95", "high_95"]].to_numpy()[[1, 0]].tolist()
    assert np.allclose(ranker["error_y"]["array"], 0.125)
    assert np.allclose(ranker["error_y"]["arrayminus"], 0.25)
    assert ranker["marker"]["color"] != cosine["marker"]["color"]


def test_too_few_duplicates_are_stated():
    *_, history = untuned.make_study_outputs("gain_at_1")
    (note,) = history.layout.annotations
    assert "too few duplicates" in note.text
    assert not history.layout.xaxis.visible
