"""Labelled digits: pairing, validation, counting and splitting."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Sized
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

SIDE = 28
"""Height and width of an image in pixels."""
CLASSES = 10
"""Number of digits."""
MAX_CLASSES = 256
"""Classes that a label of one byte distinguishes."""

Images = NDArray[np.uint8]
"""Grey levels from 0 (background) to 255 (ink), shape (n, 28, 28)."""
Labels = NDArray[np.uint8]
"""Digits 0 to 9, or indices of other classes, shape (n,)."""
Classes = NDArray[np.uint8]
"""Names of the classes in the order of their indices: lines of UTF-8."""


class Digits(TypedDict):
    """Images and their labels, in the same order; `classes` if these are not the digits."""

    images: Images
    labels: Labels
    classes: NotRequired[Classes]


def encode_classes(names: Sequence[str]) -> Classes:
    """Return names of classes, without line breaks, as an array."""
    return np.frombuffer("\n".join(names).encode(), dtype=np.uint8)


def list_classes(digits: Digits) -> list[str]:
    """Return the names of the classes in the order of their indices; `0` to `9` by default."""
    return decode_classes(digits.get("classes"))


def decode_classes(classes: Classes | None) -> list[str]:
    """Return the names of `encode_classes`; those of the digits for None."""
    if classes is None:
        return [str(digit) for digit in range(CLASSES)]
    return classes.tobytes().decode().split("\n")


def pair_digits(
    images: Images, labels: Labels, name: str, classes: Classes | None = None
) -> Digits:
    """Pair images with their labels and validate them.

    Args:
        images: Shape (n, 28, 28).
        labels: Shape (n,).
        name: Name of the set in error messages, such as "training".
        classes: Names of the classes, if these are not the digits.

    Raises:
        ValueError: The lengths differ, a label is not a digit, or the set is empty.
    """
    check_lengths(images, labels, name)
    if classes is not None:
        return Digits(images=images, labels=labels, classes=classes)
    if labels.max() >= CLASSES:
        row = int(np.argmax(labels >= CLASSES))
        raise ValueError(
            f"{name} set: label in row {row} is {labels[row]}, expected 0 to {CLASSES - 1}; "
            "correct the labels file"
        )
    return Digits(images=images, labels=labels)


def check_lengths(images: Sized, labels: Sized, name: str) -> None:
    """Check that there are images, and as many labels; `name` is that of the set in messages.

    Raises:
        ValueError: The lengths differ, or the set is empty.
    """
    if len(images) != len(labels):
        raise ValueError(
            f"{name} set: found {len(images)} images but {len(labels)} labels; "
            "take both files from the same source"
        )
    if len(labels) == 0:
        raise ValueError(f"{name} set: found no images; at least one is required")


def compute_checksum(digits: Digits) -> str:
    """Return the SHA-256 of labels, pixels and names, which identifies a data set."""
    digest = hashlib.sha256(np.ascontiguousarray(digits["labels"]).data)
    digest.update(np.ascontiguousarray(digits["images"]).data)
    if "classes" in digits:
        digest.update(digits["classes"].data)
    return digest.hexdigest()


def count_classes(digits: Digits) -> NDArray[np.int64]:
    """Count the images of each class, shape (classes,)."""
    return np.bincount(digits["labels"], minlength=len(list_classes(digits)))


def check_trainable(digits: Digits) -> None:
    """Check that a classifier can be trained and validated on the set.

    Raises:
        ValueError: Fewer than two digits occur, or one of them only once.
    """
    counts, names = count_classes(digits), list_classes(digits)
    kind = "class" if "classes" in digits else "digit"
    present = np.flatnonzero(counts)
    if len(present) < 2:
        several = "classes" if "classes" in digits else "digits"
        raise ValueError(
            f"training set: contains only the {kind} {names[present[0]]}, expected at least two "
            f"{several}; add images of others"
        )
    if counts[present].min() < 2:
        rare = names[present[counts[present] == 1][0]]
        raise ValueError(
            f"training set: contains a single image of the {kind} {rare}, expected at least two "
            "(one to fit, one to validate); add images or remove this one"
        )


def check_testable(train: Digits, test: Digits) -> None:
    """Check that a classifier of the training set can be evaluated on the test set.

    Raises:
        ValueError: A class of the test set does not occur in training, so that all its images
            would be mistakes.
    """
    counts = count_classes(test)
    unseen = np.flatnonzero((counts > 0) & (count_classes(train) == 0))
    if len(unseen):
        names = list_classes(test)
        kind = "class" if "classes" in test else "digit"
        listed = ", ".join(f"{names[index]} ({counts[index]:,} images)" for index in unseen)
        raise ValueError(
            f"test set: contains the {kind} {listed}, which does not occur in the training set; "
            "add training images of it, or remove it from the test set"
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
    selected = digits.copy()
    selected["images"], selected["labels"] = digits["images"][mask], digits["labels"][mask]
    return selected
