"""Images must keep their labels, and bad sets must be refused before any training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.digits.data import compute_checksum, count_classes, pair_digits, stratified_split


def digits(labels):
    labels = np.asarray(labels, dtype=np.uint8)
    images = np.zeros((len(labels), 28, 28), dtype=np.uint8)
    images[:, 0, 0] = labels  # each image tells its own label
    images[:, 0, 1] = np.arange(len(labels)) % 256
    return pair_digits(images, labels, "training")


@given(
    counts=st.lists(st.integers(2, 40), min_size=2, max_size=10),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
)
def test_a_split_keeps_every_digit_once_with_its_label(counts, fraction, seed):
    whole = digits(np.repeat(np.arange(len(counts)), counts))
    larger, held_back = stratified_split(whole, fraction, np.random.default_rng(seed))
    for part in (larger, held_back):
        np.testing.assert_array_equal(part["images"][:, 0, 0], part["labels"])
    np.testing.assert_array_equal(
        count_classes(larger) + count_classes(held_back), count_classes(whole)
    )
    for count, share in zip(counts, count_classes(held_back), strict=False):
        assert share == min(max(1, round(fraction * count)), count - 1)


def test_the_same_seed_holds_the_same_images_back():
    whole = digits(np.arange(200) % 10)
    first, again, other = (
        compute_checksum(stratified_split(whole, 0.2, np.random.default_rng(seed))[1])
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_digit_that_does_not_occur_is_no_obstacle():
    larger, held_back = stratified_split(digits([3, 3, 8, 8]), 0.5, np.random.default_rng(0))
    assert sorted(larger["labels"]) == sorted(held_back["labels"]) == [3, 8]


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ([4, 4, 4], "holds only the digit 4; a classifier needs at least two"),
        ([4, 4, 7], "a single image of the digit 7; at least two"),
    ],
)
def test_a_set_that_cannot_be_split_is_refused(labels, complaint):
    with pytest.raises(ValueError, match=complaint):
        stratified_split(digits(labels), 0.5, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("images", "labels", "complaint"),
    [
        (3, [1, 2], "training set has 3 images but 2 labels"),
        (0, [], "training set is empty"),
        (3, [1, 10, 2], "label in row 1 is 10, expected 0 to 9"),
    ],
)
def test_files_that_do_not_fit_are_refused(images, labels, complaint):
    with pytest.raises(ValueError, match=complaint):
        pair_digits(
            np.zeros((images, 28, 28), dtype=np.uint8), np.array(labels, dtype=np.uint8), "training"
        )


def test_the_checksum_tells_one_changed_pixel_and_one_changed_label():
    whole = digits([1, 2, 3])
    pixel, label = digits([1, 2, 3]), digits([1, 2, 3])
    pixel["images"][2, 27, 27] = 1
    label["labels"][0] = 0
    assert len({compute_checksum(whole), compute_checksum(pixel), compute_checksum(label)}) == 3
