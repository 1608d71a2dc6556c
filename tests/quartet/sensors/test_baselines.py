"""The baselines equal their definitions, and their thresholds are set like those of the models."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest

from quartet.sensors import baselines
from quartet.sensors.baselines import (
    BASELINES,
    compare,
    detect_alarms,
    detect_device_alarms,
    fit_residual,
    fit_threshold,
    sample_sensors,
)
from quartet.sensors.features import window_features
from quartet.sensors.settings import Baselines
from sensors.simulated_windows import HOUR, make_table, simulate_windows

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


JOINT = Baselines(seed=1, nu=0.02)


def make_device(count, seed, broken=()):
    """Two sensors that rise and fall together; in broken windows they do the opposite."""
    generator = np.random.default_rng(seed)
    common = generator.normal(size=count)
    ends = (np.arange(count) + 1) * HOUR
    other = common.copy()
    other[list(broken)] *= -1
    return pd.concat(
        [
            make_table(level[:, None] + 0.05 * generator.normal(size=(count, 5)), "d", name, ends)
            for name, level in (("inlet", common), ("outlet", other))
        ],
        ignore_index=True,
    )


def test_sensors_that_no_longer_agree_are_an_alarm_of_the_device():
    training = make_device(300, 1)
    common = np.random.default_rng(2).normal(size=100)
    broken = np.flatnonzero(np.abs(common) > 0.5).tolist()
    windows = make_device(100, 2, broken)
    table, alarms = detect_device_alarms(training, windows, JOINT)
    assert len(table) == 100
    assert set(table["sensor"]) == {""}
    is_broken = np.isin(np.arange(100), broken)
    assert alarms[is_broken].all()
    assert alarms[~is_broken].mean() < 0.1
    alone = detect_alarms("robust_z_score", training, windows, JOINT)
    assert alone.mean() < 0.1


def test_the_residual_keeps_the_false_alarm_rate():
    _, alarms = detect_device_alarms(make_device(500, 3), make_device(2000, 4), JOINT)
    assert alarms.mean() == pytest.approx(JOINT.nu, rel=0.6)


def test_a_sensor_without_a_reading_is_taken_as_usual():
    windows = make_device(50, 6)
    windows = windows.drop(index=windows.index[windows["sensor"].eq("outlet")][:10])
    table, alarms = detect_device_alarms(make_device(300, 5), windows, JOINT)
    assert len(table) == 50
    assert not alarms[10:].any()


def test_unrelated_sensors_have_a_residual_that_is_not_a_rounding_error():
    generator = np.random.default_rng(7)
    training = generator.normal(size=(300, 3))
    score = fit_residual(training)
    far = np.full((1, 3), 50.0)
    assert score(far)[0] > 100 * score(training).max()


def test_a_device_of_one_sensor_is_scored_by_its_distance():
    score = fit_residual(np.random.default_rng(8).normal(5, 2, size=(400, 1)))
    np.testing.assert_allclose(score(np.array([[5.0], [9.0]])), [0, 4], atol=0.6)


def test_sensors_of_devices_with_labels_are_compared_first():
    windows = pd.DataFrame({"device": list("abbc"), "sensor": ["x", "x", "y", "x"]})
    labels = pd.DataFrame({"device": ["b"], "sensor": [""]})
    assert sample_sensors(windows, labels, 3) == [("b", "x"), ("b", "y"), ("a", "x")]


@pytest.mark.parametrize("trained", [0, 1, 14])
def test_a_device_with_too_few_normal_windows_raises_no_alarm(trained):
    windows = make_device(50, 9)
    label = {"device": "d", "sensor": "", "start": windows["window_end"][20], "kind": ""}
    labels = pd.DataFrame([{**label, "end": label["start"]}])
    scores = compare(make_device(trained, 10), windows, labels, HOUR, JOINT)
    assert scores["method"].tolist() == list(BASELINES)
    assert scores["events"].tolist() == [1, 1, 1]
    assert scores["found"].tolist() == scores["false_alarms"].tolist() == [0, 0, 0]


def test_a_threshold_needs_no_more_windows_than_blocks():
    training = np.random.default_rng(11).normal(size=(15, 2))
    each = fit_threshold(fit_residual, training, JOINT.model_copy(update={"blocks": 15}))
    more = fit_threshold(fit_residual, training, JOINT.model_copy(update={"blocks": 100}))
    assert more == each
