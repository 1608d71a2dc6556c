"""Scores equal those of scikit-learn, for any mixture of sensors and windows."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.svm import OneClassSVM

from quartet.sensors import scoring, serving
from quartet.sensors.features import Scale, window_features
from quartet.sensors.model_set import SensorModels
from quartet.sensors.models import QUANTILES, SensorModel
from quartet.sensors.scoring import find_unmatched, predict, score
from quartet.sensors.settings import SensorSvm
from quartet.sensors.training import fit_model_set
from sensors.simulated_windows import HOUR, simulate_windows
from support import ROOT, clean_environment

MODELS = SensorSvm(seed=1, workers=1, nu=0.05, gamma=0.2)
NAMES = ("mean", "minimum", "maximum")
COLUMNS = ["device", "sensor", "window_end", "score", "threshold", "anomaly", "model_version"]


@pytest.fixture(scope="module")
def windows():
    return simulate_windows(sensors=9, windows=70)


@pytest.fixture(scope="module")
def model_set(windows):
    return fit_model_set(windows, MODELS, HOUR).model_set


def fit_scikit_learn(seed, sensors):
    """Return machines of very different sizes fitted by scikit-learn, and their model set."""
    generator = np.random.default_rng(seed)
    machines, models = [], {}
    for number in range(sensors):
        center, scale = generator.normal(size=3) * 10, generator.gamma(2, size=3) + 0.01
        inputs = generator.normal(size=(int(generator.integers(20, 150)), 3))
        nu, gamma = generator.uniform(0.01, 0.4), float(np.exp(generator.uniform(-5, 2)))
        machine = OneClassSVM(nu=nu, gamma=gamma, tol=1e-7).fit(inputs)
        machines.append((Scale(np.full(3, -np.inf), center, scale), machine))
        models["d", f"{number:03d}"] = SensorModel(
            *machines[-1][0],
            vectors=machine.support_vectors_,
            coefficients=machine.dual_coef_[0],
            intercept=machine.intercept_[0],
            gamma=gamma,
            threshold=0.0,
            nu=nu,
            windows=len(inputs),
            false_alarm_rate=0.0,
            trained_until=0,
            quantiles=np.zeros((3, len(QUANTILES))),
        )
    return machines, SensorModels.from_models(models, NAMES, HOUR)


@given(
    st.integers(0, 10**6),
    st.lists(st.integers(0, 11), max_size=60),
    st.integers(0, 600),
    st.floats(0.1, 30),
)
def test_scores_and_labels_equal_those_of_scikit_learn(seed, few, many, spread):
    """For sensors in any order and number of windows, with outliers."""
    machines, model_set = fit_scikit_learn(seed, 12)
    model = np.array([*few, *[few[0] if few else 3] * many, *few[::2]], dtype=np.int64)
    generator = np.random.default_rng(seed + 1)
    inputs = generator.standard_t(2, size=(len(model), 3)) * spread
    features = inputs * model_set.scale[model] + model_set.center[model]
    scores = score(model_set, model, features)
    for number in set(model.tolist()):
        rows = model == number
        scale, machine = machines[number]
        scaled = (features[rows] - scale.center) / scale.scale
        theirs = machine.decision_function(scaled)
        np.testing.assert_allclose(scores[rows], theirs, rtol=0, atol=1e-9)
        clear = np.abs(theirs) > 1e-9
        labels = np.where(scores[rows] < 0, -1, 1)
        np.testing.assert_array_equal(labels[clear], machine.predict(scaled)[clear])


def test_threads_and_stacks_do_not_change_scores(model_set, windows, monkeypatch):
    model, features = model_set.locate(windows), window_features(windows, model_set.features)
    before = score(model_set, model, features)
    for name, value in (
        ("TERMS_PER_STACK", 200),
        ("_MIN_STACKS_PER_THREAD", 1),
        ("_ROWS_PER_STACK", 7),
    ):
        monkeypatch.setattr(scoring, name, value)
    np.testing.assert_allclose(score(model_set, model, features), before, rtol=0, atol=1e-12)


def test_a_window_scores_the_same_alone_and_among_others(model_set, windows):
    crowd = predict(model_set, pd.concat([windows] * 3, ignore_index=True))
    alone = pd.concat([predict(model_set, windows[row : row + 1]) for row in range(0, 630, 37)])
    same = crowd["score"].iloc[range(0, 630, 37)]
    np.testing.assert_allclose(alone["score"], same, rtol=0, atol=1e-12)


def test_windows_keep_their_order_and_get_their_own_models_threshold_and_version(model_set):
    windows = simulate_windows(sensors=9, windows=70, start=70)
    windows.loc[::50, ["mean", "maximum"]] += 100
    shuffled = windows.sample(frac=1, random_state=1)
    table = predict(model_set, shuffled)
    assert list(table) == COLUMNS
    keys = ["device", "sensor", "window_end"]
    pd.testing.assert_frame_equal(table[keys], shuffled[keys].reset_index(drop=True))
    ordered = table.merge(predict(model_set, windows), on=keys, suffixes=("", "_ordered"))
    np.testing.assert_allclose(ordered["score"], ordered["score_ordered"], atol=1e-12)
    summary = model_set.summary().set_index(["device", "sensor"])
    rows = summary.loc[list(zip(table["device"], table["sensor"], strict=True))]
    assert (table["threshold"].to_numpy() == rows["threshold"].to_numpy()).all()
    assert (table["model_version"].to_numpy() == rows["model_version"].to_numpy()).all()
    assert (table["anomaly"] == (table["score"] < table["threshold"])).all()
    assert table["anomaly"].any()
    assert not table["anomaly"].all()


def test_sensors_with_few_and_many_windows_are_scored_together(model_set, windows):
    """Models of one size are scored together and padded to the longest."""
    alone = model_set.take(np.array([0]))
    clones = SensorModels.merge(
        [replace(alone, pairs=(("d", f"{number:02d}"),)) for number in range(40)]
    )
    model = np.repeat(np.arange(40), np.arange(40)[::-1] % 13 + 1)
    features = window_features(windows, model_set.features)[: len(model)]
    expected = score(model_set, np.zeros_like(model), features)
    np.testing.assert_allclose(score(clones, model, features), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("value", [1e6, 1e155, 1e300, -1e300])
def test_extreme_values_are_anomalies_with_finite_scores(model_set, windows, value):
    absurd = windows[:3].assign(mean=value, maximum=value)
    table = predict(model_set, absurd)
    assert table["anomaly"].all()
    assert np.isfinite(table["score"]).all()


def test_extreme_values_of_a_sensor_with_tiny_values_are_anomalies():
    minute = simulate_windows(1, 70)
    minute[["mean", "standard_deviation", "minimum", "maximum"]] *= 1e-12
    model_set = fit_model_set(minute, MODELS, HOUR).model_set
    table = predict(model_set, minute.assign(mean=1e300, minimum=-1e300))
    assert (table["score"] == model_set.intercept[0]).all()
    assert table["anomaly"].all()


def test_shards_divide_the_windows_of_a_fleet(model_set, windows):
    shards = [predict(model_set, windows, shard, 4) for shard in range(4)]
    merged = pd.concat(shards).sort_values(["device", "sensor", "window_end"], ignore_index=True)
    pd.testing.assert_frame_equal(merged, predict(model_set, windows))
    assert max(map(len, shards)) <= 3 * 70  # nine sensors for four


def test_sensors_without_a_model_and_models_without_windows_are_reported(model_set, windows):
    strange = windows[:140].replace({"device": {"d0": "d7"}})
    others = pd.concat([windows[70:], strange], ignore_index=True)
    assert len(predict(model_set, others)) == len(windows) - 70
    assert find_unmatched(model_set, others).to_dict("records") == [
        {"device": "d0", "sensor": "s0", "windows": 0, "reason": "no windows"},
        {"device": "d7", "sensor": "s0", "windows": 70, "reason": "no model"},
        {"device": "d7", "sensor": "s1", "windows": 70, "reason": "no model"},
    ]
    assert find_unmatched(model_set, windows).empty
    nothing = predict(model_set, windows[:0])
    assert list(nothing) == COLUMNS
    assert nothing.empty


def test_inputs_of_a_wrong_shape_are_rejected(model_set, windows):
    features = window_features(windows, model_set.features)
    with pytest.raises(ValueError, match=r"expected 3 windows of 5 features \(mean, .*\(3, 2\)"):
        score(model_set, np.zeros(3, np.int64), features[:3, :2])
    for strange in (-1, 9):
        with pytest.raises(ValueError, match="model indices from 0 to 8"):
            score(model_set, np.array([0, strange]), features[:2])
    with pytest.raises(ValueError, match="column 'maximum' is missing"):
        predict(model_set, windows.drop(columns="maximum"))


def test_the_served_model_set_scores_equally_and_lists_its_requirements(
    model_set, windows, tmp_path
):
    (tmp_path / serving.MODEL_FILE).write_bytes(model_set.to_bytes())
    served = serving._load_pyfunc(str(tmp_path))
    pd.testing.assert_frame_equal(served.predict(windows), predict(model_set, windows))
    assert served.get_raw_model().version == model_set.version
    with pytest.raises(ValueError, match="expected columns device, sensor and window_end, found a"):
        served.predict(pd.DataFrame({"a": [1]}))


def test_serving_needs_only_its_requirements():
    """Other libraries may be missing where the model set is served."""
    missing = ["sklearn", "scipy", "torch", "pydantic", "tqdm", "threadpoolctl", "pyarrow"]
    assert not set(missing) & set(serving.REQUIREMENTS)
    code = (
        f"import sys; sys.path[:0] = sys.argv[1:]; sys.modules.update(dict.fromkeys({missing}));"
        "import quartet.sensors.serving"
    )
    command = [sys.executable, "-c", code, str(ROOT / "src")]
    result = subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
