"""Labelled digits: pairing, checking, counting and splitting them."""

from __future__ import annotations

import hashlib
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

SIDE = 28
"""Height and width of an image in pixels."""
CLASSES = 10
"""Number of digits."""

Images = NDArray[np.uint8]
"""Grey levels 0 (paper) to 255 (ink), shape (n, 28, 28)."""
Labels = NDArray[np.uint8]
"""Digits 0 to 9, shape (n,)."""


class Digits(TypedDict):
    """Images and their labels, in the same order."""

    images: Images
    labels: Labels


def pair_digits(images: Images, labels: Labels, name: str) -> Digits:
    """Images with their labels, checked.

    Args:
        images: Shape (n, 28, 28).
        labels: Shape (n,).
        name: What to call this set in an error, such as "training".

    Raises:
        ValueError: The lengths differ, a label is not a digit, or the set is empty.
    """
    if len(images) != len(labels):
        raise ValueError(
            f"the {name} set has {len(images)} images but {len(labels)} labels; "
            "take both files from the same source"
        )
    if len(labels) == 0:
        raise ValueError(f"the {name} set is empty; at least one image is needed")
    if labels.max() >= CLASSES:
        row = int(np.argmax(labels >= CLASSES))
        raise ValueError(
            f"the {name} set's label in row {row} is {labels[row]}, expected 0 to {CLASSES - 1}"
        )
    return Digits(images=images, labels=labels)


def compute_checksum(digits: Digits) -> str:
    """SHA-256 over labels and pixels: names a data set in tags and comparisons."""
    digest = hashlib.sha256(np.ascontiguousarray(digits["labels"]).data)
    digest.update(np.ascontiguousarray(digits["images"]).data)
    return digest.hexdigest()


def count_classes(digits: Digits) -> NDArray[np.int64]:
    """Number of images of each digit, shape (10,)."""
    return np.bincount(digits["labels"], minlength=CLASSES)


def check_trainable(digits: Digits) -> None:
    """Make sure that the set can be split and learned from.

    Raises:
        ValueError: Fewer than two digits occur, or one of them only once.
    """
    counts = count_classes(digits)
    present = np.flatnonzero(counts)
    if len(present) < 2:
        raise ValueError(
            f"the training set holds only the digit {present[0]}; a classifier needs at least two"
        )
    if counts[present].min() < 2:
        rare = present[counts[present] == 1][0]
        raise ValueError(
            f"the training set holds a single image of the digit {rare}; at least two are needed, "
            "one to fit and one to validate"
        )


def stratified_split(
    digits: Digits, fraction: float, generator: np.random.Generator
) -> tuple[Digits, Digits]:
    """Split at random, holding back the same fraction of every digit.

    Args:
        digits: The set to split.
        fraction: Share of each digit to hold back, rounded, at least one image.
        generator: Chooses the images.

    Returns:
        The larger part and the part held back, each in the original order.

    Raises:
        ValueError: See `check_trainable`.
    """
    check_trainable(digits)
    held_back = np.zeros(len(digits["labels"]), dtype=bool)
    for digit in np.unique(digits["labels"]):
        rows = np.flatnonzero(digits["labels"] == digit)
        size = min(max(1, round(fraction * len(rows))), len(rows) - 1)
        held_back[generator.choice(rows, size, replace=False)] = True
    return _select(digits, ~held_back), _select(digits, held_back)


def _select(digits: Digits, mask: NDArray[np.bool_]) -> Digits:
    return Digits(images=digits["images"][mask], labels=digits["labels"][mask])
