"""A model set is restored exactly from its file, and damaged files are rejected."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load, save

from quartet.sensors.model_set import SensorModels
from quartet.sensors.scoring import predict
from quartet.sensors.settings import SensorSvm
from quartet.sensors.training import fit_model_set
from sensors.simulated_windows import HOUR, simulate_windows

SETTINGS = SensorSvm(seed=1, workers=1, nu=0.05, gamma=0.1)


@pytest.fixture(scope="module")
def windows():
    return simulate_windows(sensors=6, windows=120)


@pytest.fixture(scope="module")
def model_set(windows):
    return fit_model_set(windows, SETTINGS, HOUR).model_set


@pytest.fixture(scope="module")
def retrained():
    """Return later models of the second and third sensor, and of one more sensor."""
    later = simulate_windows(sensors=7, windows=120, start=120)
    pairs = [("d0", "s1"), ("d0", "s2"), ("d1", "s2")]
    return fit_model_set(later, SETTINGS, HOUR, sensors=pairs).model_set


def test_a_model_set_can_be_restored_from_bytes(model_set, windows):
    restored = SensorModels.from_bytes(model_set.to_bytes())
    pd.testing.assert_frame_equal(predict(restored, windows), predict(model_set, windows))
    pd.testing.assert_frame_equal(restored.summary(), model_set.summary())
    np.testing.assert_array_equal(restored.quantiles, model_set.quantiles)
    assert restored.to_bytes() == model_set.to_bytes()
    assert restored.version == model_set.version
    assert restored.window_seconds == HOUR


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_rejected(model_set, share):
    content = model_set.to_bytes()
    with pytest.raises(ValueError, match=r"not a complete model set .* train the models again"):
        SensorModels.from_bytes(content[: int(share * len(content))])


def test_a_changed_byte_is_detected_at_any_position(model_set):
    content = model_set.to_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for place in np.linspace(header, len(content) - 1, 60).astype(int).tolist():
        damaged = bytearray(content)
        damaged[place] ^= 1
        with pytest.raises(ValueError, match="model set is damaged"):
            SensorModels.from_bytes(bytes(damaged))


def test_other_files_are_rejected(model_set, tmp_path):
    with pytest.raises(
        ValueError, match=r"not a model set: missing arrays .*coefficients.*vectors"
    ):
        SensorModels.from_bytes(save({"weights": np.zeros(3)}))
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as file:
        file.writestr("model", "something")
    with pytest.raises(ValueError, match="not a complete model set"):
        SensorModels.from_bytes((tmp_path / "model.zip").read_bytes())


def test_a_model_set_of_another_format_is_rejected(model_set, monkeypatch):
    monkeypatch.setattr("quartet.sensors.model_set.FORMAT", 2)
    later = model_set.to_bytes()
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"the model set has format 2 .* reads format 1"):
        SensorModels.from_bytes(later)


def test_the_file_contains_only_arrays_and_one_text(model_set):
    arrays = load(model_set.to_bytes())
    assert {array.dtype.kind for array in arrays.values()} <= {"f", "i", "u"}
    facts = json.loads(arrays["facts"].tobytes())
    assert facts["pairs"][0] == ["d0", "s0"]


def test_the_context_of_models_is_kept_and_not_mixed(model_set, windows):
    with_context = fit_model_set(
        windows, SETTINGS.model_copy(update={"context_hours": 2.0}), HOUR
    ).model_set
    restored = SensorModels.from_bytes(with_context.to_bytes())
    assert restored.context == with_context.context == (2.0, 24.0)
    assert with_context.take(np.array([1])).context == (2.0, 24.0)
    assert SensorModels.from_bytes(model_set.to_bytes()).context == (0.0, 0.0)
    assert not set(with_context.versions) & set(model_set.versions)
    both = SensorModels.merge([model_set, with_context.take(np.array([1]))])
    assert both.context == (2.0, 24.0)
    assert both.relative.tolist() == [0, 1, 0, 0, 0, 0]
    other = fit_model_set(windows, SETTINGS.model_copy(update={"context_hours": 3.0}), HOUR)
    with pytest.raises(ValueError, match="relative to the 2 hours before"):
        SensorModels.merge([other.model_set, with_context])


def test_an_update_replaces_and_adds_models_and_leaves_the_others(model_set, retrained, windows):
    updated = SensorModels.merge([model_set, retrained])
    assert updated.pairs == (*model_set.pairs, ("d1", "s2"))
    for number, pair in enumerate(updated.pairs):
        source = retrained if pair in retrained.pairs else model_set
        alone = updated.take(np.array([number]))
        assert alone.to_bytes() == source.take(np.array([source.find(*pair)])).to_bytes()
    same = predict(updated, windows)["score"].eq(predict(model_set, windows)["score"])
    changed = windows["device"].eq("d0") & windows["sensor"].isin(["s1", "s2"])
    assert same[~changed].all()
    assert not same[changed].all()


def test_versions_differ_where_models_do_and_only_there(model_set, retrained, windows):
    updated = SensorModels.merge([model_set, retrained])
    changed = np.array(model_set.versions) != np.array(updated.versions[:6])
    assert changed.tolist() == [False, True, True, False, False, False]
    assert updated.version != model_set.version
    assert (
        SensorModels.merge([model_set, model_set.take(np.array([3]))]).version == model_set.version
    )
    stricter = fit_model_set(
        windows, SETTINGS.model_copy(update={"threshold": "machine"}), HOUR
    ).model_set
    assert not set(stricter.versions) & set(model_set.versions)
    longer = fit_model_set(windows, SETTINGS, 2 * HOUR).model_set
    assert not set(longer.versions) & set(model_set.versions)


def test_models_of_other_features_or_windows_cannot_be_merged(model_set, windows):
    other = fit_model_set(
        windows, SETTINGS.model_copy(update={"features": ("mean",)}), HOUR
    ).model_set
    with pytest.raises(
        ValueError, match=r"features mean; 3600 s windows, features mean, log_standard_deviation"
    ):
        SensorModels.merge([model_set, other])
    with pytest.raises(ValueError, match=r"3600 s.*; 7200 s"):
        SensorModels.merge([model_set, fit_model_set(windows, SETTINGS, 2 * HOUR).model_set])


def test_an_empty_model_set_can_be_restored_and_merged(model_set, windows):
    empty = fit_model_set(windows, SETTINGS, HOUR, sensors=[]).model_set
    restored = SensorModels.from_bytes(empty.to_bytes())
    assert len(restored) == 0
    assert predict(restored, windows).empty
    assert SensorModels.merge([restored, model_set]).to_bytes() == model_set.to_bytes()


def test_a_sensor_is_found_by_text_and_categorical_names(model_set):
    table = pd.DataFrame(
        {
            "device": ["d1", "d0", "d9", "d0", None, "d0"],
            "sensor": ["s1", "s3", "s0", "s9", "s0", None],
        }
    )
    expected = [5, 3, -1, -1, -1, -1]
    assert model_set.locate(table).tolist() == expected
    assert model_set.locate(table.astype("category")).tolist() == expected
    assert model_set.locate(table[:0]).tolist() == []
    assert model_set.find("d1", "s1") == 5
    crossed = model_set.take(np.array([1, 4, 5]))  # the first device has the later sensor only
    assert crossed.locate(table).tolist() == [2, -1, -1, -1, -1, -1]
    assert crossed.find("d1", "s0") == 1
    with pytest.raises(KeyError, match="s9"):
        model_set.find("d0", "s9")


def test_numbers_are_accepted_as_names():
    numbered = simulate_windows(sensors=2, windows=60).assign(device=1)
    numbered["sensor"] = numbered["sensor"].map({"s0": 10, "s1": 9})
    model_set = fit_model_set(numbered, SETTINGS, HOUR).model_set
    assert model_set.pairs == (("1", "10"), ("1", "9"))
    np.testing.assert_array_equal(model_set.locate(numbered), np.repeat([0, 1], 60))
