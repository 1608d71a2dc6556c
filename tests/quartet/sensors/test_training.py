"""Models have the requested false-alarm rate and are reproducible."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from quartet.sensors.features import window_features
from quartet.sensors.machines import calibrate, displace, fit_machine, lower_quantile
from quartet.sensors.model_set import SensorModels
from quartet.sensors.scoring import predict
from quartet.sensors.settings import SensorSvm
from quartet.sensors.training import fit_model_set
from sensors.fakes import KillingSettings
from sensors.simulated_windows import HOUR, simulate_windows

QUICK = SensorSvm(seed=1, workers=1, nu=0.05, gamma=0.1)


def rate(model_set, windows):
    return predict(model_set, windows)["anomaly"].mean()


@pytest.mark.parametrize("nu", [0.02, 0.05])
@pytest.mark.parametrize("count", [100, 300])
def test_false_alarms_on_later_normal_windows_are_near_nu(nu, count):
    models = SensorSvm(seed=1, workers=1, nu=nu)
    model_set = fit_model_set(simulate_windows(16, count), models, HOUR).model_set
    later = simulate_windows(16, 500, start=count)
    assert 0.5 * nu <= rate(model_set, later) <= 2 * nu
    assert 0.3 * nu <= model_set.false_alarm_rate.mean() <= 3 * nu


def test_the_threshold_of_scikit_learn_raises_more_alarms():
    windows, later = simulate_windows(8, 100), simulate_windows(8, 500, start=100)
    models = SensorSvm(seed=1, workers=1, nu=0.02)
    tuned = fit_model_set(windows, models, HOUR).model_set
    theirs = fit_model_set(
        windows, models.model_copy(update={"threshold": "machine"}), HOUR
    ).model_set
    assert (theirs.threshold == 0).all()
    assert rate(theirs, later) > 3 * rate(tuned, later)


def test_a_model_equals_a_pipeline_of_scikit_learn():
    windows = simulate_windows(1, 150)
    names = ("mean", "minimum", "maximum")
    models = SensorSvm(seed=1, workers=1, nu=0.1, gamma=0.3, features=names)
    models = models.model_copy(update={"seasonality": "none"})
    model_set = fit_model_set(windows, models, HOUR).model_set
    features = window_features(windows, names)
    machine = OneClassSVM(nu=0.1, gamma=0.3, tol=1e-6 * 0.1 * 150)
    pipeline = make_pipeline(StandardScaler(), machine).fit(features)
    scores = predict(model_set, windows)["score"]
    np.testing.assert_allclose(scores, pipeline.decision_function(features), atol=1e-9)
    assert model_set.sizes.tolist() == [len(machine.support_)]
    assert model_set.coefficients.sum() == pytest.approx(0.1 * 150)


def test_the_width_of_the_kernel_follows_the_shape_of_normal():
    """Two separate normal levels: what lies between is found only if the kernel is narrow."""
    generator = np.random.default_rng(0)
    level = np.where(np.arange(400) // 7 % 2 == 0, -10.0, 10.0)
    between = simulate_windows(1, 10).assign(mean=0.0, minimum=-1.0, maximum=1.0)
    windows = simulate_windows(1, 400)
    for name in ("mean", "minimum", "maximum"):
        windows[name] = level + generator.normal(size=400) * 0.3
    models = SensorSvm(seed=1, workers=1, features=("mean", "minimum", "maximum"))
    tuned = fit_model_set(windows, models, HOUR).model_set
    wide = fit_model_set(windows, models.model_copy(update={"gamma": 0.01}), HOUR).model_set
    assert tuned.gamma[0] > 0.01
    assert rate(tuned, between) == 1
    assert rate(wide, between) == 0


def test_windows_far_from_all_training_windows_are_anomalies():
    windows = simulate_windows(4, 200)
    windows.loc[::25, ["mean", "maximum"]] += 1e4  # more outliers than nu allows for
    far = simulate_windows(4, 3).assign(mean=-1e6, minimum=-1e6)
    for gamma in ("tuned", 0.01, 10.0):
        model_set = fit_model_set(
            windows, QUICK.model_copy(update={"gamma": gamma}), HOUR
        ).model_set
        assert rate(model_set, far) == 1


@pytest.fixture(scope="module")
def fleet():
    """Enough sensors for worker processes, two of which cannot be trained."""
    windows = simulate_windows(44, 60)
    windows = windows.drop(index=windows.index[60 * 7 : 60 * 8 - 9])  # 9 windows of d1/s3
    stuck = windows["device"].eq("d2") & windows["sensor"].eq("s0")
    windows.loc[stuck, ["mean", "minimum", "maximum", "last_value"]] = 5.0
    windows.loc[stuck, "standard_deviation"] = 0.0
    return windows


@pytest.fixture(scope="module")
def trained(fleet):
    return fit_model_set(fleet, QUICK, HOUR)


def test_a_sensor_that_cannot_be_trained_is_reported_and_the_others_are_trained(trained):
    assert len(trained.model_set) == 42
    assert trained.untrained.to_dict("records") == [
        {"device": "d1", "sensor": "s3", "windows": 9, "reason": "9 windows, fewer than 15"},
        {"device": "d2", "sensor": "s0", "windows": 60, "reason": "its values never change"},
    ]


def test_more_workers_train_the_same_model_set(fleet, trained):
    several = fit_model_set(fleet, QUICK.model_copy(update={"workers": 2}), HOUR)
    assert several.model_set.to_bytes() == trained.model_set.to_bytes()
    pd.testing.assert_frame_equal(several.untrained, trained.untrained)


def test_shards_of_a_fleet_make_the_same_model_set(fleet, trained):
    pairs = sorted(set(zip(fleet["device"], fleet["sensor"], strict=True)))
    shards = [fit_model_set(fleet, QUICK, HOUR, sensors=pairs[rank::3]) for rank in range(3)]
    merged = SensorModels.merge([shard.model_set for shard in reversed(shards)])
    assert merged.to_bytes() == trained.model_set.to_bytes()
    faults = pd.concat([shard.untrained for shard in shards]).sort_values(
        "device", ignore_index=True
    )
    pd.testing.assert_frame_equal(faults, trained.untrained)


def test_the_order_of_windows_does_not_matter(fleet, trained):
    shuffled = fleet.sample(frac=1, random_state=3).astype({"device": "category"})
    assert fit_model_set(shuffled, QUICK, HOUR).model_set.to_bytes() == trained.model_set.to_bytes()


def test_the_same_seed_trains_the_same_models_and_another_seed_draws_others():
    windows = simulate_windows(2, 150)
    few = SensorSvm(seed=1, workers=1, nu=0.05, gamma=0.1, max_windows=100)
    model_set = fit_model_set(windows, few, HOUR).model_set
    assert model_set.windows.tolist() == [100, 100]
    assert fit_model_set(windows, few, HOUR).model_set.version == model_set.version
    other = fit_model_set(windows, few.model_copy(update={"seed": 2}), HOUR).model_set
    assert not set(other.versions) & set(model_set.versions)


def test_the_fewest_windows_that_settings_allow_are_enough():
    few = SensorSvm(seed=1, workers=1, min_windows=30, validation_fraction=0.5)
    trained = fit_model_set(simulate_windows(3, 30), few, HOUR)
    assert len(trained.model_set) == 3
    assert rate(trained.model_set, simulate_windows(3, 5).assign(mean=1e6)) == 1


def test_requested_sensors_without_windows_are_reported():
    trained = fit_model_set(
        simulate_windows(2, 60), QUICK, HOUR, sensors=[("d0", "s1"), ("d5", "s0")]
    )
    assert trained.model_set.pairs == (("d0", "s1"),)
    assert trained.untrained["device"].tolist() == ["d5"]
    nothing = fit_model_set(simulate_windows(2, 60)[:0], QUICK, HOUR)
    assert len(nothing.model_set) == len(nothing.untrained) == 0


def test_the_model_set_describes_its_training():
    windows = simulate_windows(3, 60, start=10)
    model_set = fit_model_set(windows, QUICK, HOUR).model_set
    summary = model_set.summary()
    assert (summary["trained_until"] == windows["window_end"].max()).all()
    assert (summary["windows"] == 60).all()
    features = window_features(windows[:60], QUICK.features)
    np.testing.assert_allclose(model_set.quantiles[0][:, 5], np.median(features, axis=0))
    np.testing.assert_allclose(model_set.quantiles[0][:, -1], features.max(axis=0))


def test_a_killed_worker_is_reported_with_a_hint(fleet):
    deadly = KillingSettings(**{**QUICK.model_dump(), "workers": 2})
    with pytest.raises(RuntimeError, match=r"killed.*set sensor_svm.workers below 2"):
        fit_model_set(fleet, deadly, HOUR)


@pytest.mark.parametrize("most", [3000, 200])
def test_the_false_alarm_rate_is_measured_on_held_out_windows(most):
    """An unusual end of the training data raises alarms when it is held out."""
    windows = simulate_windows(1, 400)
    shifted = windows["window_end"].rank() > 340
    windows.loc[shifted, ["mean", "minimum", "maximum"]] += 50.0
    model_set = fit_model_set(
        windows, QUICK.model_copy(update={"max_windows": most}), HOUR
    ).model_set
    assert model_set.false_alarm_rate[0] > 0.5
    assert rate(model_set, windows[shifted]) < 0.5


inputs = st.integers(0, 10**6).map(
    lambda seed: np.random.default_rng(seed).normal(size=(60 + seed % 40, 1 + seed % 4))
)


@given(inputs, st.sampled_from([0.02, 0.1]), st.sampled_from([0.05, 1.0]))
@settings(max_examples=20)
def test_the_threshold_is_the_quantile_by_machines_that_lack_the_block(inputs, nu, gamma):
    models = SensorSvm(seed=1, nu=nu, gamma=gamma)
    count, nearness = len(inputs), []
    for block in range(5):
        first, last = round(block * count / 5), round((block + 1) * count / 5)
        others = np.delete(inputs, np.s_[first:last], axis=0)
        machine = OneClassSVM(nu=nu, gamma=gamma, tol=1e-10).fit(others)
        scores = machine.decision_function(inputs[first:last]) - machine.intercept_
        nearness.append(scores / len(others))
    found, threshold, *_ = calibrate(inputs, gamma, models)
    least = lower_quantile(np.concatenate(nearness), nu) * count
    least = max(least, -0.001 * found.intercept)
    assert threshold - found.intercept == pytest.approx(least, abs=1e-4 * nu * count)


@given(inputs, st.sampled_from([0.02, 0.1, 0.3]), st.sampled_from([0.05, 0.3, 2.0]))
@settings(max_examples=30)
def test_a_machine_scores_like_scikit_learns(inputs, nu, gamma):
    machine = fit_machine(inputs, gamma, SensorSvm(seed=1, nu=nu, tolerance=1e-5))
    theirs = OneClassSVM(nu=nu, gamma=gamma, tol=1e-5 * nu * len(inputs)).fit(inputs)
    np.testing.assert_allclose(machine.score(inputs), theirs.decision_function(inputs), atol=1e-9)


@pytest.mark.parametrize("share", [0.002, 0.005, 0.01, 0.03, 0.1, 0.5])
def test_a_new_value_falls_below_the_quantile_with_the_given_probability(share):
    """A share exp(q) of negated exponential variables is below q."""
    generator = np.random.default_rng(7)
    quantiles = [lower_quantile(-generator.exponential(size=99), share) for _ in range(4000)]
    assert np.exp(quantiles).mean() == pytest.approx(share, rel=0.15)


def test_the_quantile_at_an_integer_rank_is_one_of_the_scores():
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 100.0))
    assert [lower_quantile(scores, share) for share in (0.01, 0.05, 0.5)] == [1, 5, 50]


@given(inputs)
@settings(max_examples=20)
def test_displaced_windows_are_two_to_six_deviations_off(inputs):
    displacement = displace(inputs, np.random.default_rng(0)) - inputs
    precision = np.linalg.inv(np.cov(inputs, rowvar=False).reshape(2 * inputs.shape[1:]))
    lengths = np.sqrt(np.einsum("wd,de,we->w", displacement, precision, displacement))
    assert 2 - 1e-6 <= lengths.min() <= lengths.max() <= 6 + 1e-6
