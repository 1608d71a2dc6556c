"""The baselines equal their definitions, and their thresholds are set like those of the models."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest

from quartet.sensors import baselines
from quartet.sensors.features import window_features
from quartet.sensors.settings import Baselines
from sensors.simulated_windows import simulate_windows

SETTINGS = Baselines(seed=1, nu=0.05, blocks=5, trees=20)
HOURS = 400


@pytest.fixture(scope="module")
def normal():
    """Windows to train on and later ones, of three sensors."""
    return simulate_windows(3, HOURS), simulate_windows(3, 200, start=HOURS)


def test_the_z_score_is_in_standard_deviations_of_normal_values():
    generator = np.random.default_rng(0)
    training = generator.normal(20, 3, size=(100_000, 1))
    score = baselines.fit_robust_z_score(training)
    np.testing.assert_allclose(score(np.array([[20.0], [26.0], [11.0]])), [0, 2, 3], atol=0.05)
    # A tenth of outliers hardly matters, which is why it is called robust.
    training[:10_000] = 1e6
    np.testing.assert_allclose(
        baselines.fit_robust_z_score(training)(np.array([[26.0]])), [2], atol=0.5
    )


def test_the_z_score_works_where_most_or_all_windows_are_the_same():
    mostly = np.zeros((100, 1))
    mostly[:10] = 5.0
    score = baselines.fit_robust_z_score(mostly)
    assert score(np.array([[0.0]])) == 0
    assert score(np.array([[5.0]])) == pytest.approx(5 / (1.2533 * 0.5))
    assert baselines.fit_robust_z_score(np.full((9, 1), 2.0))(np.array([[5.0]])) == 3


def test_the_forest_equals_that_of_scikit_learn():
    training, new = np.random.default_rng(1).normal(size=(2, 300, 3))
    forest = IsolationForest(n_estimators=20, random_state=1).fit(training)
    score = baselines.make_isolation_forest(SETTINGS)(training)
    np.testing.assert_array_equal(score(new), -forest.score_samples(new))


def test_the_threshold_is_set_on_windows_that_were_not_trained_on():
    training = np.arange(100.0)[:, None]
    seen = []

    def fit(part):
        seen.append(set(part[:, 0]))
        return lambda features: np.array([value not in seen[-1] for value in features[:, 0]]) * 1.0

    assert baselines.fit_threshold(fit, training, SETTINGS) == 1.0
    assert len(seen) == 5
    assert all(len(part) == 80 for part in seen)


@pytest.mark.parametrize("method", baselines.METHODS)
def test_false_alarms_on_later_normal_windows_are_near_nu(normal, method):
    # More sensors than one: of one alone a few hundred windows say little.
    training, later = simulate_windows(12, HOURS), simulate_windows(12, 200, start=HOURS)
    settings = SETTINGS.model_copy(update={"features": ("mean", "log_standard_deviation")})
    found = baselines.detect_alarms(method, training, later, settings)
    assert 0.5 * SETTINGS.nu < found.mean() < 2 * SETTINGS.nu


@pytest.mark.parametrize("method", baselines.METHODS)
def test_an_extreme_window_raises_an_alarm_in_any_order(normal, method):
    training, later = normal
    wrong = later.copy()
    place = 250
    for name in ("mean", "minimum", "maximum", "last_value"):
        wrong.loc[place, name] += 100.0
    found = baselines.detect_alarms(method, training, wrong, SETTINGS)
    assert found[place]
    order = np.random.default_rng(0).permutation(len(wrong))
    shuffled = baselines.detect_alarms(
        method, training.sample(frac=1, random_state=0), wrong.iloc[order], SETTINGS
    )
    np.testing.assert_array_equal(shuffled, found[order])


def test_the_z_score_depends_on_the_mean_only(normal):
    training, later = normal
    changed = later.assign(maximum=1e6, standard_deviation=1e6)
    before = baselines.detect_alarms("robust_z_score", training, later, SETTINGS)
    after = baselines.detect_alarms("robust_z_score", training, changed, SETTINGS)
    np.testing.assert_array_equal(before, after)
    forests = [
        baselines.detect_alarms("isolation_forest", training, each, SETTINGS)
        for each in (later, changed)
    ]
    assert forests[1].mean() > 2 * forests[0].mean()


def test_only_trained_and_requested_sensors_raise_alarms(normal):
    training, later = normal
    strange = later.assign(mean=1e6)
    stranger = strange.assign(device="unknown")
    windows = pd.concat([strange, stranger], ignore_index=True)
    found = baselines.detect_alarms("robust_z_score", training, windows, SETTINGS)
    assert found[: len(strange)].all()
    assert not found[len(strange) :].any()
    only = baselines.detect_alarms("robust_z_score", training, strange, SETTINGS, [("d0", "s1")])
    np.testing.assert_array_equal(only, (strange["sensor"] == "s1").to_numpy())


def test_baselines_use_the_features_of_the_machines(normal):
    """The forest sees what a machine sees, so that they differ by method alone."""
    training, later = normal
    settings = SETTINGS.model_copy(update={"features": ("log_readings",)})
    found = baselines.detect_alarms("isolation_forest", training, later, settings, [("d0", "s0")])
    mine = later["sensor"] == "s0"
    known = window_features(training[training["sensor"] == "s0"], ["log_readings"])
    fit = baselines.make_isolation_forest(settings)
    limit = baselines.fit_threshold(fit, known, settings)
    expected = fit(known)(window_features(later[mine], ["log_readings"])) > limit
    np.testing.assert_array_equal(found[mine], expected)
    assert not found[~mine].any()
