"""Figures must show the values of their tables, also of few or perfect questions."""

import numpy as np
import pandas as pd
import pytest

from faq.figure_contents import read_labels, read_line, read_texts, read_widths, render
from quartet.faq import figures

NONE = np.array([])


def gains_table(methods):
    rows = [
        (method, k, gain, gain - 0.04, min(1, gain + 0.02))
        for number, method in enumerate(methods)
        for k in (1, 2, 3)
        for gain in [0.9 - 0.1 * number + 0.02 * k]
    ]
    return pd.DataFrame(rows, columns=["method", "k", "gain", "low_95", "high_95"])


def hardest_table(*rows):
    columns = ["original", "mean_rank", "mean_probability", "test_duplicates"]
    return pd.DataFrame(list(rows), columns=columns)


def test_lengths_have_medians_and_bars_count_originals_by_their_duplicates():
    lengths = {"originals": np.array([5, 10, 1500]), "duplicates": np.array([3]), "answers": NONE}
    figure = figures.plot_text_lengths(lengths, np.array([3, 3, 5]))
    assert render(figure)
    axis = figure.axes[0]
    assert read_labels(axis) == ["originals (3)\nmedian 10", "duplicates (1)\nmedian 3", "answers"]
    assert axis.get_xscale() == "log"
    assert axis.yaxis_inverted()
    bars = figure.axes[1].patches
    centres = [bar.get_x() + bar.get_width() / 2 for bar in bars]
    assert centres == pytest.approx([3, 4, 5])
    assert [bar.get_height() for bar in bars] == [2, 0, 1]


@pytest.mark.parametrize("counts", [[7], [1, 1000], list(range(3, 44))])
def test_each_original_is_counted_once(counts):
    figure = figures.plot_text_lengths({"originals": NONE}, np.array(counts, dtype=np.int64))
    assert render(figure)
    bars = figure.axes[1].patches
    assert sum(bar.get_height() for bar in bars) == len(counts)
    assert len(bars) <= 40


def test_gains_are_bars_by_method_in_order_of_appearance():
    table = gains_table(["ranker", "nearest_duplicate", "cosine"])
    figure = figures.plot_gains(table.sample(frac=1, random_state=1).sort_values("method")[::-1])
    assert render(figure)
    axis = figure.axes[0]
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert legend == ["ranker", "nearest duplicate", "cosine"]
    assert [bar.get_height() for bar in axis.patches] == list(table["gain"])
    centres = [bar.get_x() + bar.get_width() / 2 for bar in axis.patches]
    assert np.round(centres).tolist() == [0, 1, 2] * 3
    assert [label.get_text() for label in axis.get_xticklabels()] == ["k = 1", "k = 2", "k = 3"]
    intervals = [
        segment[:, 1] for collection in axis.collections for segment in collection.get_segments()
    ]
    assert np.array(intervals) == pytest.approx(table[["low_95", "high_95"]].to_numpy())


def test_the_calibration_curve_is_above_its_pairs():
    table = pd.DataFrame(
        {"probability": [0.02, 0.5, 0.52], "share": [0.0, 0.4, 1.0], "pairs": [6000, 5, 10]}
    )
    figure = figures.plot_calibration(table, "Calibration")
    assert render(figure)
    curve, below = figure.axes
    assert curve.get_title() == "Calibration"
    assert read_line(curve, "perfectly") == ([0, 1], [0, 1])
    intervals, points = curve.collections
    drawn = [segment[:, 1] for segment in intervals.get_segments()]
    assert drawn[1] == pytest.approx([0.117621, 0.769276], abs=1e-5)  # Wilson's of 2 in 5
    assert [drawn[0][0], drawn[2][1]] == pytest.approx([0, 1])
    assert points.get_offsets().tolist() == table[["probability", "share"]].to_numpy().tolist()
    assert np.argsort(points.get_sizes()).tolist() == np.argsort(table["pairs"]).tolist()
    (pairs,) = below.lines  # no bars: their length on a log scale has no meaning
    drawn_pairs = list(zip(pairs.get_xdata(), pairs.get_ydata(), strict=True))
    assert drawn_pairs == list(zip(table["probability"], table["pairs"], strict=True))
    assert below.get_yscale() == "log"
    assert below.get_ylim()[0] < 1


def test_distributions_are_shares_of_questions():
    right, wrong = np.array([0.0, 0.97, 0.99, 1.0]), np.array([0.01, 0.12])
    figure = figures.plot_score_distributions(right, wrong)
    assert render(figure)
    *bars, outline = figure.axes[0].patches
    assert [bar.get_height() for bar in bars] == [0.25, *[0] * 18, 0.75]
    assert outline.get_data()[0].tolist() == [0.5, 0, 0.5, *[0] * 17]
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["right original", "best wrong candidate"]


def test_the_hardest_original_is_on_top():
    table = hardest_table((7, 1.5, 0.6, 2), (8, 4.0, 0.1, 3), (9, 1.5, 0.2, 1))
    figure = figures.plot_hardest_originals(
        table, pd.Series(["seven", "eight", "nine"], index=[7, 8, 9])
    )
    assert render(figure)
    axis = figure.axes[0]
    assert read_labels(axis) == ["eight", "nine", "seven"]
    assert read_widths(axis) == [4.0, 1.5, 1.5]
    assert read_texts(axis) == ["10% · 3", "20% · 1", "60% · 2"]
    assert axis.yaxis_inverted()
    assert axis.get_title() == "Hardest originals"


def test_long_titles_are_shortened_and_missing_ones_replaced_by_ids():
    third = "why\n  is   $a$ and $\\nothing$?. value... so"
    titles = pd.Series(["x" * 60, "x" * 61, third], index=[1, 2, 3])
    rows = [(original, 2.0, original / 10, 1) for original in (1, 2, 3, 4)]
    figure = figures.plot_hardest_originals(hardest_table(*rows), titles)
    assert render(figure)
    assert read_labels(figure.axes[0]) == [
        "x" * 60,
        "x" * 59 + "…",
        "why is $a$ and $\\nothing$? value... so",
        "4",
    ]


def test_a_perfect_ranking_changes_the_title():
    titles = pd.Series(["one"], index=[1])
    figure = figures.plot_hardest_originals(hardest_table((1, 1.0, 0.9, 1)), titles)
    assert render(figure)
    assert "All originals ranked first" in figure.axes[0].get_title()


def test_features_are_shown_by_their_share_of_all_gain():
    gains = pd.Series({"all.words": 10.0, "word_2.margin": 60.0, "characters.mean": 30.0})
    figure = figures.plot_feature_gains(gains, 2)
    assert render(figure)
    axis = figure.axes[0]
    assert read_labels(axis) == ["word_2.margin", "characters.mean"]
    assert read_widths(axis) == [0.6, 0.3]
    assert axis.yaxis_inverted()
    assert "2 of 3, 90.0% of the gain" in axis.get_title()


@pytest.mark.parametrize("gains", [{}, {"all.words": 0.0}])
def test_features_without_gain_are_rendered(gains):
    figure = figures.plot_feature_gains(pd.Series(gains, dtype=float))
    assert render(figure)
    assert [bar.get_width() for bar in figure.axes[0].patches] == list(gains.values())


@pytest.mark.parametrize(
    ("count", "title"),
    [(1, "1 new question"), (1234, "1,234 new questions")],
)
def test_the_first_matches_are_counted(count, title):
    figure = figures.plot_top_probabilities(np.linspace(1, 0, count))
    assert render(figure)
    axis = figure.axes[0]
    assert axis.get_title().endswith(title)
    assert sum(bar.get_height() for bar in axis.patches) == count
    assert axis.get_xlim() == (0, 1)


def test_a_certain_match_is_in_the_last_bar():
    bars = figures.plot_top_probabilities(np.array([1.0, 0.951, 0.3])).axes[0].patches
    assert [bar.get_height() for bar in bars] == [*[0] * 6, 1, *[0] * 12, 2]
