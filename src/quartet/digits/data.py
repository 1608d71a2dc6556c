"""Labelled digits: pairing, validation, counting and splitting."""

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
"""Grey levels from 0 (background) to 255 (ink), shape (n, 28, 28)."""
Labels = NDArray[np.uint8]
"""Digits 0 to 9, shape (n,)."""


class Digits(TypedDict):
    """Images and their labels, in the same order."""

    images: Images
    labels: Labels


def pair_digits(images: Images, labels: Labels, name: str) -> Digits:
    """Pair images with their labels and validate them.

    Args:
        images: Shape (n, 28, 28).
        labels: Shape (n,).
        name: Name of the set in error messages, such as "training".

    Raises:
        ValueError: The lengths differ, a label is not a digit, or the set is empty.
    """
    if len(images) != len(labels):
        raise ValueError(
            f"{name} set: found {len(images)} images but {len(labels)} labels; "
            "take both files from the same source"
        )
    if len(labels) == 0:
        raise ValueError(f"{name} set: found no images; at least one is required")
    if labels.max() >= CLASSES:
        row = int(np.argmax(labels >= CLASSES))
        raise ValueError(
            f"{name} set: label in row {row} is {labels[row]}, expected 0 to {CLASSES - 1}; "
            "correct the labels file"
        )
    return Digits(images=images, labels=labels)


def compute_checksum(digits: Digits) -> str:
    """Return the SHA-256 of labels and pixels, which identifies a data set."""
    digest = hashlib.sha256(np.ascontiguousarray(digits["labels"]).data)
    digest.update(np.ascontiguousarray(digits["images"]).data)
    return digest.hexdigest()


def count_classes(digits: Digits) -> NDArray[np.int64]:
    """Count the images of each digit, shape (10,)."""
    return np.bincount(digits["labels"], minlength=CLASSES)


def check_trainable(digits: Digits) -> None:
    """Check that a classifier can be trained and validated on the set.

    Raises:
        ValueError: Fewer than two digits occur, or one of them only once.
    """
    counts = count_classes(digits)
    present = np.flatnonzero(counts)
    if len(present) < 2:
        raise ValueError(
            f"training set: contains only the digit {present[0]}, expected at least two digits; "
            "add images of others"
        )
    if counts[present].min() < 2:
        rare = present[counts[present] == 1][0]
        raise ValueError(
            f"training set: contains a single image of the digit {rare}, expected at least two "
            "(one to fit, one to validate); add images or remove this one"
        )


def stratified_split(
    digits: Digits, fraction: float, generator: np.random.Generator
) -> tuple[Digits, Digits]:
    """Split at random, with the same fraction of every digit held out.

    Args:
        digits: The set to split.
        fraction: Fraction of each digit to hold out, rounded; at least one image.
        generator: Draws the held-out images.

    Returns:
        The remaining and the held-out digits, each in the original order.

    Raises:
        ValueError: See `check_trainable`.
    """
    check_trainable(digits)
    held_out = np.zeros(len(digits["labels"]), dtype=bool)
    for digit in np.unique(digits["labels"]):
        rows = np.flatnonzero(digits["labels"] == digit)
        size = min(max(1, round(fraction * len(rows))), len(rows) - 1)
        held_out[generator.choice(rows, size, replace=False)] = True
    return _select(digits, ~held_out), _select(digits, held_out)


def _select(digits: Digits, mask: NDArray[np.bool_]) -> Digits:
    return Digits(images=digits["images"][mask], labels=digits["labels"][mask])
