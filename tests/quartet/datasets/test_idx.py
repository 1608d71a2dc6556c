"""IDX files round-trip, and damaged or wrong files raise errors."""

import gzip
import struct

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from kedro.io import DatasetError

from quartet.datasets.idx import IDXDataset

IMAGES = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
DTYPES = st.sampled_from([np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64])


def save(path, array=IMAGES):
    IDXDataset(filepath=str(path)).save(array)
    return path


@given(array=DTYPES.flatmap(lambda d: npst.arrays(d, npst.array_shapes(max_dims=4, min_side=0))))
@pytest.mark.parametrize("name", ["a.idx", "a.idx.gz"])
def test_save_and_load_round_trip(tmp_path_factory, name, array):
    path = tmp_path_factory.mktemp("idx") / name
    loaded = IDXDataset(filepath=str(save(path, array))).load()
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)


def test_bytes_follow_the_format(tmp_path):
    path = save(tmp_path / "labels", np.array([5, 0, 4], dtype=np.uint8))
    assert path.read_bytes() == b"\x00\x00\x08\x01" + b"\x00\x00\x00\x03" + b"\x05\x00\x04"


def test_real_mnist_is_loaded(real_mnist):
    images = IDXDataset(filepath=str(real_mnist / "train-images-idx3-ubyte.gz")).load()
    assert images.shape == (60000, 28, 28)
    assert images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)


def test_saved_bytes_are_reproducible(tmp_path):
    first = save(tmp_path / "a.gz").read_bytes()
    assert save(tmp_path / "b.gz").read_bytes() == first


def test_compression_is_detected_from_the_content(tmp_path):
    compressed = save(tmp_path / "a.gz")
    plain_name = compressed.rename(tmp_path / "images-ubyte")
    np.testing.assert_array_equal(IDXDataset(filepath=str(plain_name)).load(), IMAGES)


def test_files_on_other_storage():
    url = "memory:///idx-test/images.gz"
    IDXDataset(filepath=url).save(IMAGES)
    np.testing.assert_array_equal(IDXDataset(filepath=url).load(), IMAGES)
    assert fsspec.filesystem("memory").exists("/idx-test/images.gz")


def test_loaded_array_is_writable(tmp_path):
    loaded = IDXDataset(filepath=str(save(tmp_path / "a"))).load()
    loaded[0] = 7
    assert (loaded[0] == 7).all()


HEADER = struct.pack(">BBBBII", 0, 0, 8, 2, 2, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file.*found nothing"),
        (b"PK\x03\x04 a zip file", "not an IDX file.*50 4b 03 04"),
        (b"\x00\x00\x08\x03\x00\x00", "not an IDX file"),
        (b"\x00\x00\x07\x01\x00\x00\x00\x01x", "type code is 0x07, expected one of 0x08"),
        (HEADER + b"abc", r"truncated: \(2, 2\) uint8 values need 4 bytes, found 3"),
        (HEADER + b"abcde", "longer than its header says.*4 bytes, found 5"),
        (gzip.compress(HEADER + b"abcd", mtime=0)[:-9], "gzip file is damaged"),
        (gzip.compress(HEADER + b"abcd", mtime=0)[:12] + b"garbage" * 3, "gzip file is damaged"),
    ],
)
def test_damaged_file_raises_with_reason(tmp_path, content, message):
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message) as error:
        IDXDataset(filepath=str(path)).load()
    assert str(path) in str(error.value)


def test_values_of_another_type_raise(tmp_path):
    path = save(tmp_path / "a", np.zeros(5, np.int32))
    with pytest.raises(DatasetError, match="expected uint8 values, found int32"):
        IDXDataset(filepath=str(path), dtype="uint8").load()


@pytest.mark.parametrize("array", [np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int16)])
def test_invalid_save_keeps_the_old_file(tmp_path, array):
    path = save(tmp_path / "a", np.array([1, 2], dtype=np.uint8))
    before = path.read_bytes()
    with pytest.raises(DatasetError):
        IDXDataset(filepath=str(path), dtype="uint8").save(array)
    assert path.read_bytes() == before


NAMES = ["train-images-idx3-ubyte", "train-images.idx3-ubyte"]


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("there", [name + end for name in NAMES for end in ("", ".gz")])
def test_file_is_found_under_every_common_name(tmp_path, there, folder):
    path = tmp_path / there / there if folder else tmp_path / there
    save(path, np.arange(3, dtype=np.uint8))
    for named in (NAMES[0], f"{NAMES[1]}.gz"):
        dataset = IDXDataset(filepath=str(tmp_path / named))
        assert dataset.exists()
        assert dataset.load().tolist() == [0, 1, 2]


def test_names_that_were_looked_for_are_in_the_error(tmp_path):
    with pytest.raises(DatasetError, match=r"nor t-idx1-ubyte\.gz, t\.idx1-ubyte.* beside it"):
        IDXDataset(filepath=str(tmp_path / "t-idx1-ubyte")).load()
