"""Arrays round-trip on any storage."""

import numpy as np
import pytest
from kedro.io import DatasetError
from safetensors.numpy import save

from quartet.datasets.safetensors import SafetensorsDataset

ARRAYS = {
    "pixels": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "weights": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3).T,  # not in C order
    "count": np.array(7),
    "none": np.zeros((0, 5), dtype=np.float64),
}


@pytest.mark.parametrize("root", ["{tmp}/deep/er", "memory://safetensors-test"])
def test_round_trip_keeps_values_dtypes_and_shapes(tmp_path, root):
    dataset = SafetensorsDataset(filepath=f"{root.format(tmp=tmp_path)}/arrays.safetensors")
    assert not dataset.exists()
    dataset.save(ARRAYS)
    assert dataset.exists()
    loaded = dataset.load()
    assert loaded.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def test_damaged_file_raises(tmp_path):
    path = tmp_path / "arrays.safetensors"
    dataset = SafetensorsDataset(filepath=str(path))
    dataset.save(ARRAYS)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DatasetError, match=rf"{path}: not a complete safetensors file"):
        dataset.load()


def test_missing_file_raises(tmp_path):
    with pytest.raises(DatasetError, match=r"nothing\.safetensors: no such file"):
        SafetensorsDataset(filepath=str(tmp_path / "nothing.safetensors")).load()


def test_changed_value_raises(tmp_path):
    """A file of the right length with another number in it would change results in silence."""
    path = tmp_path / "arrays.safetensors"
    dataset = SafetensorsDataset(filepath=str(path))
    dataset.save(ARRAYS)
    saved = path.read_bytes()
    start = 8 + int.from_bytes(saved[:8], "little")
    for position in range(start, len(saved)):
        damaged = bytearray(saved)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(DatasetError, match=rf"{path}: is damaged"):
            dataset.load()


def test_file_without_checksum_is_loaded(tmp_path):
    path = tmp_path / "arrays.safetensors"
    path.write_bytes(save({"a": np.arange(3)}))
    assert SafetensorsDataset(filepath=str(path)).load()["a"].tolist() == [0, 1, 2]
