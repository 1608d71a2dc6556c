"""All models in one file: nothing may be lost in it, and no damage pass unnoticed."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load, save

from quartet.sensors.bank import ModelBank
from quartet.sensors.scoring import predict
from quartet.sensors.settings import SensorModels
from quartet.sensors.training import fit_bank
from sensors.invented import HOUR, invent

SETTINGS = SensorModels(seed=1, workers=1, nu=0.05, gamma=0.1)


@pytest.fixture(scope="module")
def windows():
    return invent(sensors=6, windows=120)


@pytest.fixture(scope="module")
def bank(windows):
    return fit_bank(windows, SETTINGS, HOUR).bank


@pytest.fixture(scope="module")
def retrained():
    """Models of the second and the third sensor, of later windows, and of one sensor more."""
    later = invent(sensors=7, windows=120, start=120)
    pairs = [("d0", "s1"), ("d0", "s2"), ("d1", "s2")]
    return fit_bank(later, SETTINGS, HOUR, sensors=pairs).bank


def test_a_bank_is_the_same_after_its_file(bank, windows):
    restored = ModelBank.unpacked(bank.packed())
    pd.testing.assert_frame_equal(predict(restored, windows), predict(bank, windows))
    pd.testing.assert_frame_equal(restored.summary(), bank.summary())
    np.testing.assert_array_equal(restored.quantiles, bank.quantiles)
    assert restored.packed() == bank.packed()
    assert restored.version == bank.version
    assert restored.window_seconds == HOUR


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_half_written_file_is_refused(bank, share):
    content = bank.packed()
    with pytest.raises(ValueError, match=r"not a whole model bank .* train the models anew"):
        ModelBank.unpacked(content[: int(share * len(content))])


def test_a_changed_byte_is_noticed_wherever_it_is(bank):
    content = bank.packed()
    header = 8 + int.from_bytes(content[:8], "little")
    for place in np.linspace(header, len(content) - 1, 60).astype(int).tolist():
        damaged = bytearray(content)
        damaged[place] ^= 1
        with pytest.raises(ValueError, match="damaged model bank"):
            ModelBank.unpacked(bytes(damaged))


def test_other_files_are_refused(bank, tmp_path):
    with pytest.raises(ValueError, match=r"no model bank: it lacks .*coefficients.*vectors"):
        ModelBank.unpacked(save({"weights": np.zeros(3)}))
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as file:
        file.writestr("model", "something")
    with pytest.raises(ValueError, match="not a whole model bank"):
        ModelBank.unpacked((tmp_path / "model.zip").read_bytes())


def test_a_bank_of_a_later_version_says_so(bank, monkeypatch):
    monkeypatch.setattr("quartet.sensors.bank.FORMAT", 2)
    later = bank.packed()
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"a model bank of format 2 .* reads format 1"):
        ModelBank.unpacked(later)


def test_the_file_holds_arrays_and_one_text_only(bank):
    arrays = load(bank.packed())
    assert {array.dtype.kind for array in arrays.values()} <= {"f", "i", "u"}
    facts = json.loads(arrays["facts"].tobytes())
    assert facts["pairs"][0] == ["d0", "s0"]


def test_the_context_of_models_is_kept_and_not_mixed(bank, windows):
    told = fit_bank(windows, SETTINGS.model_copy(update={"context_hours": 2.0}), HOUR).bank
    restored = ModelBank.unpacked(told.packed())
    assert restored.context == told.context == (2.0, 24.0)
    assert told.take(np.array([1])).context == (2.0, 24.0)
    assert ModelBank.unpacked(bank.packed()).context == (0.0, 0.0)
    assert not set(told.versions) & set(bank.versions)
    with pytest.raises(ValueError, match="against the 2 hours before"):
        bank.updated(told)


def test_an_update_replaces_and_adds_models_and_leaves_the_others(bank, retrained, windows):
    updated = bank.updated(retrained)
    assert updated.pairs == (*bank.pairs, ("d1", "s2"))
    for number, pair in enumerate(updated.pairs):
        source = retrained if pair in retrained.pairs else bank
        alone = updated.take(np.array([number]))
        assert alone.packed() == source.take(np.array([source.find(*pair)])).packed()
    same = predict(updated, windows)["score"].eq(predict(bank, windows)["score"])
    changed = windows["device"].eq("d0") & windows["sensor"].isin(["s1", "s2"])
    assert same[~changed].all()
    assert not same[changed].all()


def test_versions_differ_where_models_do_and_only_there(bank, retrained, windows):
    updated = bank.updated(retrained)
    changed = np.array(bank.versions) != np.array(updated.versions[:6])
    assert changed.tolist() == [False, True, True, False, False, False]
    assert updated.version != bank.version
    assert bank.updated(bank.take(np.array([3]))).version == bank.version
    stricter = fit_bank(windows, SETTINGS.model_copy(update={"threshold": "machine"}), HOUR).bank
    assert not set(stricter.versions) & set(bank.versions)
    longer = fit_bank(windows, SETTINGS, 2 * HOUR).bank
    assert not set(longer.versions) & set(bank.versions)


def test_models_of_other_features_or_windows_do_not_get_into_a_bank(bank, windows):
    other = fit_bank(windows, SETTINGS.model_copy(update={"features": ("mean",)}), HOUR).bank
    with pytest.raises(ValueError, match=r"3600 s, mean; 3600 s, mean, log_standard_deviation"):
        bank.updated(other)
    with pytest.raises(ValueError, match=r"3600 s.*; 7200 s"):
        bank.updated(fit_bank(windows, SETTINGS, 2 * HOUR).bank)


def test_an_empty_bank_can_be_kept_and_filled(bank, windows):
    empty = fit_bank(windows, SETTINGS, HOUR, sensors=[]).bank
    restored = ModelBank.unpacked(empty.packed())
    assert len(restored) == 0
    assert predict(restored, windows).empty
    assert restored.updated(bank).packed() == bank.packed()


def test_a_sensor_is_found_by_name_whatever_the_names_are_kept_as(bank):
    table = pd.DataFrame(
        {
            "device": ["d1", "d0", "d9", "d0", None, "d0"],
            "sensor": ["s1", "s3", "s0", "s9", "s0", None],
        }
    )
    expected = [5, 3, -1, -1, -1, -1]
    assert bank.locate(table).tolist() == expected
    assert bank.locate(table.astype("category")).tolist() == expected
    assert bank.locate(table[:0]).tolist() == []
    assert bank.find("d1", "s1") == 5
    crossed = bank.take(np.array([1, 4, 5]))  # the first device has the later sensor only
    assert crossed.locate(table).tolist() == [2, -1, -1, -1, -1, -1]
    assert crossed.find("d1", "s0") == 1
    with pytest.raises(KeyError, match="no model of the sensor s9 of the device d0"):
        bank.find("d0", "s9")


def test_numbers_serve_as_names():
    numbered = invent(sensors=2, windows=60).assign(device=1)
    numbered["sensor"] = numbered["sensor"].map({"s0": 10, "s1": 9})
    bank = fit_bank(numbered, SETTINGS, HOUR).bank
    assert bank.pairs == (("1", "10"), ("1", "9"))
    np.testing.assert_array_equal(bank.locate(numbered), np.repeat([0, 1], 60))
