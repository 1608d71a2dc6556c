"""A sensor that measures something else than it was trained on must stand out, and no other."""

import numpy as np
import pandas as pd
import pytest

from quartet.sensors.drift import _groups, _index, stability
from quartet.sensors.settings import SensorModels
from quartet.sensors.training import fit_bank

SETTINGS = SensorModels(seed=1, features=("mean", "maximum"), workers=1, gamma=0.5)


def windows_of(device, count, seed, shift=0.0, digits=6):
    generator = np.random.default_rng(seed)
    mean = np.round(generator.normal(20 + shift, 1, count), digits)
    return pd.DataFrame(
        {
            "device": device,
            "sensor": "1",
            "window_end": pd.date_range("2026-03-02", periods=count, freq="5min", unit="s"),
            "readings": 5,
            "mean": mean,
            "standard_deviation": 1.0,
            "minimum": mean - 1,
            "maximum": np.round(mean + generator.random(count), digits),
            "last_value": mean,
        }
    )


@pytest.fixture(scope="module")
def bank():
    normal = pd.concat([windows_of(name, 1000, seed) for seed, name in enumerate("abc")])
    whole = pd.concat([normal, windows_of("d", 1000, 7, digits=0)])  # few distinct values
    return fit_bank(whole, SETTINGS, 300, progress=False).bank


def test_only_what_has_moved_is_called_moved(bank):
    now = pd.concat(
        [
            windows_of("a", 500, 11),
            windows_of("b", 500, 12, shift=1.5),
            windows_of("d", 500, 13, digits=0),
            windows_of("stranger", 20, 14),
        ]
    ).sample(frac=1, random_state=1)
    table = stability(bank, now)
    assert table["device"].tolist() == ["a", "a", "b", "b", "d", "d"]
    assert table["feature"].tolist() == ["mean", "maximum"] * 3
    assert table["windows"].tolist() == [500] * 6
    assert table["moved"].tolist() == [False, False, True, True, False, False]
    index = table["stability_index"].to_numpy()
    assert index[[0, 1, 4, 5]].max() < 0.1
    assert index[[2, 3]].min() > 1


@pytest.mark.parametrize("count", [1, 5, 12])
def test_few_windows_are_no_drift(bank, count):
    many = [stability(bank, windows_of("a", count, seed))["moved"].any() for seed in range(50)]
    assert sum(many) <= 1


def test_no_windows_give_no_rows(bank):
    table = stability(bank, windows_of("a", 0, 1))
    assert table.empty
    assert list(table) == ["device", "sensor", "feature", "windows", "stability_index", "moved"]


def test_the_index_is_that_of_the_formula():
    quantiles = np.arange(11.0)[None, None]
    counts = np.array([[[20, 0, 10, 10, 10, 10, 10, 10, 10, 10]]], dtype=float)
    index, intervals = _index(counts, _groups(quantiles))
    share = np.array([21, 1, *[11] * 8]) / 110
    expected = ((share - 0.1) * np.log(share / 0.1)).sum()
    assert index[0, 0] == pytest.approx(expected)
    assert intervals[0, 0] == 10


def test_a_constant_that_stays_one_has_not_moved():
    quantiles = np.full((1, 1, 11), 3.0)
    group = _groups(quantiles)
    assert group[0, 0].tolist() == [0] * 10
    index, _ = _index(np.array([[[50, *[0] * 9]]], dtype=float), group)
    assert index[0, 0] == 0
    moved, _ = _index(np.array([[[0, *[0] * 8, 50]]], dtype=float), group)
    assert moved[0, 0] == 0  # all intervals are one: a constant's move is seen by its model
