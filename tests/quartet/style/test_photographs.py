"""Training crops are varied, reproducible, and robust against broken photographs."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quartet.style.photographs import (
    generate_crop_batches,
    load_bundled_photographs,
    load_bundled_test_photographs,
    sample_crops,
    scale_shorter_side,
)
from style_inputs import photographs


class Faulty(Mapping):
    """Photographs of which some are unreadable."""

    def __init__(self, pictures, broken):
        self._pictures, self._broken = pictures, broken

    def __getitem__(self, name):
        if name in self._broken:
            raise ValueError(f"{name}: cut short")
        return self._pictures[name]

    def __iter__(self):
        return iter(self._pictures)

    def __len__(self):
        return len(self._pictures)


def test_bundled_photographs_are_in_colour_and_disjoint_from_test_ones():
    found, tests = load_bundled_photographs(), load_bundled_test_photographs()
    assert len(found) == 11
    assert len(tests) == 2
    for picture in (*found.values(), *tests.values()):
        assert picture.ndim == 3
        assert picture.shape[2] == 3
        assert picture.dtype == np.uint8
        assert min(picture.shape[:2]) >= 256
    for picture in found.values():
        assert np.abs(picture[..., 0].astype(int) - picture[..., 2]).max() > 50
    assert not found.keys() & tests.keys()


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_crops_have_the_requested_size(height, width, seed):
    picture = np.full((height, width, 3), 100, np.uint8)
    crops = sample_crops({"a": picture}, 3, 24, np.random.default_rng(seed))
    assert crops.shape == (3, 24, 24, 3)
    assert crops.dtype == np.uint8
    levels = {int(crop.min()) for crop in crops} | {int(crop.max()) for crop in crops}
    assert all(69 <= level <= 131 for level in levels)  # only the light changes


def test_crops_vary_in_photograph_scale_and_mirroring():
    wedge = np.repeat(np.linspace(0, 200, 120)[None, :, None], 120, axis=0)
    pictures = {
        "a": np.repeat(wedge, 3, axis=2).astype(np.uint8),
        "b": np.repeat(wedge, 3, axis=2).astype(np.uint8) // 2,
    }
    crops = sample_crops(pictures, 200, 32, np.random.default_rng(0)).astype(int)
    rise = crops[:, 16, 31, 0] - crops[:, 16, 0, 0]
    assert (rise > 0).sum() > 60
    assert (rise < 0).sum() > 60
    assert np.abs(rise).max() > 4 * np.abs(rise).min()


def batches(steps, pictures=None, seed=3):
    return list(generate_crop_batches(pictures or photographs(), 2, 16, seed, steps))


def test_resumed_training_gets_the_same_crops():
    complete = batches(range(9))
    assert len(complete) == 9
    np.testing.assert_array_equal(batches(range(4, 9)), complete[4:])
    np.testing.assert_array_equal(batches(range(9)), complete)
    assert not np.array_equal(complete[0], complete[1])
    assert not np.array_equal(batches(range(1), seed=4)[0], complete[0])


def test_stopping_ends_the_threads():
    asked = []

    class Counting(Faulty):
        def __getitem__(self, name):
            asked.append(name)
            return super().__getitem__(name)

    crops = generate_crop_batches(Counting(photographs(), ()), 1, 16, 0, range(10**9))
    next(crops)
    crops.close()
    assert len(asked) < 20


def test_broken_photograph_is_replaced_by_the_next():
    pictures = photographs(3)
    faulty = Faulty(pictures, {"1.png"})
    crops = batches(range(20), faulty)
    np.testing.assert_array_equal(crops, batches(range(20), faulty))
    assert np.isfinite(crops).all()
    complete = batches(range(20))
    same = [np.array_equal(a, b) for a, b in zip(crops, complete, strict=True)]
    assert any(same)  # crops of readable photographs
    assert not all(same)


def test_only_broken_photographs_raise_with_the_reason():
    faulty = Faulty(photographs(2), {"0.png", "1.png"})
    with pytest.raises(ValueError, match=r"none of the 2 photographs can be read; .*cut short"):
        batches(range(2), faulty)


@pytest.mark.parametrize(("shape", "expected"), [((100, 50), (64, 32)), ((2, 300), (32, 4800))])
def test_scaling_keeps_the_aspect_ratio(shape, expected):
    picture = np.zeros((*shape, 3), np.uint8)
    assert scale_shorter_side(picture, 32).shape == (*expected, 3)
