"""Images keep their labels, and invalid sets raise errors before any training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartet.digits.data import compute_checksum, count_classes, pair_digits, stratified_split


def digits(labels):
    labels = np.asarray(labels, dtype=np.uint8)
    images = np.zeros((len(labels), 28, 28), dtype=np.uint8)
    images[:, 0, 0] = labels  # encodes the label in the image
    images[:, 0, 1] = np.arange(len(labels)) % 256
    return pair_digits(images, labels, "training")


@given(
    counts=st.lists(st.integers(2, 40), min_size=2, max_size=10),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
)
def test_split_keeps_every_digit_once_with_its_label(counts, fraction, seed):
    complete = digits(np.repeat(np.arange(len(counts)), counts))
    remaining, held_out = stratified_split(complete, fraction, np.random.default_rng(seed))
    for part in (remaining, held_out):
        np.testing.assert_array_equal(part["images"][:, 0, 0], part["labels"])
    np.testing.assert_array_equal(
        count_classes(remaining) + count_classes(held_out), count_classes(complete)
    )
    for count, expected in zip(counts, count_classes(held_out), strict=False):
        assert expected == min(max(1, round(fraction * count)), count - 1)


def test_same_seed_holds_out_the_same_images():
    complete = digits(np.arange(200) % 10)
    first, repeated, other = (
        compute_checksum(stratified_split(complete, 0.2, np.random.default_rng(seed))[1])
        for seed in (1, 1, 2)
    )
    assert first == repeated != other


def test_split_without_images_of_a_digit():
    remaining, held_out = stratified_split(digits([3, 3, 8, 8]), 0.5, np.random.default_rng(0))
    assert sorted(remaining["labels"]) == sorted(held_out["labels"]) == [3, 8]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([4, 4, 4], "contains only the digit 4, expected at least two digits"),
        ([4, 4, 7], "contains a single image of the digit 7, expected at least two"),
    ],
)
def test_split_of_too_few_images_raises(labels, message):
    with pytest.raises(ValueError, match=message):
        stratified_split(digits(labels), 0.5, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (3, [1, 2], "training set: found 3 images but 2 labels"),
        (0, [], "training set: found no images"),
        (3, [1, 10, 2], "label in row 1 is 10, expected 0 to 9"),
    ],
)
def test_pairing_of_invalid_files_raises(images, labels, message):
    with pytest.raises(ValueError, match=message):
        pair_digits(
            np.zeros((images, 28, 28), dtype=np.uint8), np.array(labels, dtype=np.uint8), "training"
        )


def test_checksum_depends_on_every_pixel_and_label():
    original = digits([1, 2, 3])
    pixel, label = digits([1, 2, 3]), digits([1, 2, 3])
    pixel["images"][2, 27, 27] = 1
    label["labels"][0] = 0
    assert len({compute_checksum(original), compute_checksum(pixel), compute_checksum(label)}) == 3
