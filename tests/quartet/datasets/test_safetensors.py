"""Weights and arrays must come back as they were saved, from any storage."""

import numpy as np
import pytest
from kedro.io import DatasetError

from quartet.datasets.safetensors import SafetensorsDataset

ARRAYS = {
    "pixels": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "weights": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3).T,  # not in C order
    "count": np.array(7),
    "none": np.zeros((0, 5), dtype=np.float64),
}


@pytest.mark.parametrize("root", ["{tmp}/deep/er", "memory://safetensors-test"])
def test_arrays_come_back_with_value_type_and_shape(tmp_path, root):
    dataset = SafetensorsDataset(filepath=f"{root.format(tmp=tmp_path)}/arrays.safetensors")
    assert not dataset.exists()
    dataset.save(ARRAYS)
    assert dataset.exists()
    loaded = dataset.load()
    assert loaded.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "arrays.safetensors"
    dataset = SafetensorsDataset(filepath=str(path))
    dataset.save(ARRAYS)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DatasetError, match=rf"{path}: not a whole safetensors file"):
        dataset.load()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"nothing\.safetensors: no such file"):
        SafetensorsDataset(filepath=str(tmp_path / "nothing.safetensors")).load()
