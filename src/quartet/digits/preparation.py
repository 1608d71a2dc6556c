"""Bring images and labels as people have them into the form that the classifiers need.

In: arrays or pictures of any size, grey or in colour, with labels as numbers or text. Out:
28 x 28 grey levels with ink 255 on paper 0, and indices of classes. Both sets are changed in
the same way, which the training set decides.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quartet.digits.data import (
    CLASSES,
    MAX_CLASSES,
    SIDE,
    Classes,
    Digits,
    Images,
    check_lengths,
    check_testable,
    check_trainable,
    encode_classes,
    pair_digits,
    stratified_split,
)
from quartet.digits.settings import ImagePreparation

logger = logging.getLogger(__name__)

RawImages = NDArray[Any] | Sequence[NDArray[np.uint8] | None]
"""Shape (n, h, w), with a colour axis or without, or (n, h · w); or pictures of any sizes, grey,
None where a file could not be read."""
RawLabels = NDArray[Any]
"""Shape (n,), or one-hot (n, classes); numbers or text."""

_FAINT = 128
"""If no training level reaches this, all are scaled: from 0 to 1, or scikit-learn's 0 to 16."""
_LIGHT = 128
"""Median level of the border from which on the paper is light."""
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue (ITU-R BT.601)."""


class RawSet(NamedTuple):
    """Images with their labels, and the name of the set in messages, such as "training"."""

    images: RawImages
    labels: RawLabels
    name: str


def prepare_sets(
    train: RawSet, test: RawSet | None, settings: ImagePreparation
) -> tuple[Digits, Digits]:
    """Return training and test digits.

    Args:
        train: The training set.
        test: The test set; None to hold out a share of the training set.
        settings: Size, polarity and classes.

    Raises:
        ValueError: The sets cannot be used; the message says why.
    """
    sets = [each for each in (train, test) if each is not None]
    for each in sets:
        check_lengths(each.images, each.labels, each.name)
    sets = [_drop_unreadable(each) for each in sets]
    levels = _scale_levels([_to_grey(each) for each in sets])
    fitted = [
        _fit_size(part, each.name, settings.resize) for part, each in zip(levels, sets, strict=True)
    ]
    images = _invert_paper(fitted, settings.invert)
    labels, classes = encode_labels(sets, names=settings.labels == "names")
    prepared = [
        pair_digits(part, codes, each.name, classes)
        for part, codes, each in zip(images, labels, sets, strict=True)
    ]
    if test is None:
        prepared = list(_hold_out_test(prepared[0], settings))
    train_digits, test_digits = prepared
    check_trainable(train_digits)
    check_testable(train_digits, test_digits)
    return train_digits, test_digits


def encode_labels(
    sets: Sequence[RawSet], *, names: bool = False
) -> tuple[list[NDArray[np.uint8]], Classes | None]:
    """Return the labels of each set as indices of classes, and the names of the classes.

    Whole numbers are digits, and texts names of classes.

    Args:
        sets: The sets, the training set first.
        names: Treat whole numbers as names of classes, too.

    Returns:
        The indices, and the names in the order of the indices; None if they are the digits.

    Raises:
        ValueError: A label is missing or not a digit, or there are too many classes.
    """
    texts = [_to_text(each.labels, each.name) for each in sets]
    found = sorted({text for part in texts for text in set(part.tolist())}, key=_order_naturally)
    if not names and all(text.isdecimal() and text.isascii() for text in found):
        return [
            _parse_digits(part, each.name) for part, each in zip(texts, sets, strict=True)
        ], None
    if len(found) > MAX_CLASSES:
        raise ValueError(
            f"training set: has {len(found):,} classes, such as {found[0]} and {found[-1]}, "
            f"expected at most {MAX_CLASSES}; check which column or folder contains the labels"
        )
    index = {text: code for code, text in enumerate(found)}
    codes = [np.array([index[text] for text in part.tolist()], np.uint8) for part in texts]
    return codes, encode_classes(found)


def _drop_unreadable(part: RawSet) -> RawSet:
    """Leave out pictures that could not be read; their files were named when they were loaded."""
    if isinstance(part.images, np.ndarray):
        return part
    rows = [row for row, picture in enumerate(part.images) if picture is not None]
    if not rows:
        raise ValueError(f"{part.name} set: none of the {len(part.images)} pictures can be read")
    return part._replace(images=[part.images[row] for row in rows], labels=part.labels[rows])


def _to_grey(part: RawSet) -> list[NDArray[Any]] | NDArray[Any]:
    """Return grey images: an array of shape (n, h, w), or a list of arrays of shape (h, w)."""
    images = part.images
    if not isinstance(images, np.ndarray):
        return [picture for picture in images if picture is not None]
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        images = np.moveaxis(images, 1, 3)  # colours first, as in PyTorch
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.ndim == 4 and images.shape[3] == 3:
        images = np.rint(images @ _LUMINANCE) if images.dtype.kind in "iu" else images @ _LUMINANCE
    side = math.isqrt(images.shape[1]) if images.ndim == 2 else 0
    if images.ndim == 2 and side**2 == images.shape[1]:
        images = images.reshape(-1, side, side)
    if images.ndim != 3 or images.dtype.kind not in "biuf":
        shape = " x ".join(map(str, images.shape))
        raise ValueError(
            f"{part.name} set: images are an array of {shape} {images.dtype}, expected numbers of "
            f"shape n x {SIDE} x {SIDE}; have the images and labels been swapped?"
        )
    return images


def _scale_levels(
    sets: list[list[NDArray[Any]] | NDArray[Any]],
) -> list[list[NDArray[np.uint8]] | NDArray[np.uint8]]:
    """Return grey levels from 0 to 255, of which the largest training levels decide the scale."""
    train = sets[0] if isinstance(sets[0], np.ndarray) else np.array([p.max() for p in sets[0]])
    largest = float(train.max())
    if not np.isfinite(largest) or largest <= 0:
        raise ValueError(
            f"training set: the largest grey level is {largest:g}, expected 1 or 255; check that "
            "the file contains images"
        )
    factor = 255 / largest if largest < _FAINT else 1.0
    if factor != 1:
        logger.info("Scaled grey levels from 0 to %g to 0 to 255", largest)
    return [
        _to_uint8(part, factor)
        if isinstance(part, np.ndarray)
        else [_to_uint8(picture, factor) for picture in part]
        for part in sets
    ]


def _to_uint8(levels: NDArray[Any], factor: float) -> NDArray[np.uint8]:
    if levels.dtype == np.uint8 and factor == 1:
        return levels
    low, high = float(levels.min()) * factor, float(levels.max()) * factor
    if not (low >= -0.5 and high <= 2 * 255):
        raise ValueError(
            f"images: grey levels are {levels.min():g} to {levels.max():g}, expected 0 to 1 or 0 "
            "to 255; convert the images"
        )
    return np.clip(np.rint(levels * factor), 0, 255).astype(np.uint8)


def _fit_size(
    images: list[NDArray[np.uint8]] | NDArray[np.uint8], name: str, resize: bool
) -> Images:
    """Return images of shape (n, 28, 28); raise if others are not to be resized."""
    if isinstance(images, np.ndarray) and images.shape[1:] == (SIDE, SIDE):
        return images
    other = next((each.shape for each in images if each.shape != (SIDE, SIDE)), None)
    if other is not None and not resize:
        raise ValueError(
            f"{name} set: an image has {other[0]} x {other[1]} pixels, expected {SIDE} x {SIDE}; "
            "to resize, add --params digit_images.resize=true"
        )
    return np.stack([_resize(image) for image in images])


def _resize(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale the longer side to 28 pixels; fill the other with the mean level of the border."""
    height, width = image.shape
    if (height, width) == (SIDE, SIDE):
        return image
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Pillow's filter covers all pixels that become one, so that thin lines stay.
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    square = np.full((SIDE, SIDE), np.median(_list_border(image)), np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return square


def _list_border(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the pixels at the border of one image or several."""
    edges = [images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]]
    return np.concatenate([edge.ravel() for edge in edges])


def _invert_paper(sets: list[Images], invert: bool | None) -> list[Images]:
    """Invert both sets if the paper is light; a null `invert` decides by the training border."""
    if invert is None:
        invert = bool(np.median(_list_border(sets[0])) >= _LIGHT)
        if invert:
            logger.info("Inverted the images, whose border is light: ink is 255, paper 0")
    return [255 - part for part in sets] if invert else sets


def _hold_out_test(digits: Digits, settings: ImagePreparation) -> tuple[Digits, Digits]:
    train, test = stratified_split(
        digits, settings.test_fraction, np.random.default_rng(settings.seed)
    )
    logger.info(
        "No test set: held out %s of %s images (digit_images.test_fraction=%g)",
        f"{len(test['labels']):,}",
        f"{len(digits['labels']):,}",
        settings.test_fraction,
    )
    return train, test


def _to_text(labels: RawLabels, name: str) -> NDArray[np.str_]:
    """Return labels as text: whole numbers without `.0`, names without spaces around them."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "biuf" and (labels.sum(axis=1) == 1).all():
        labels = labels.argmax(axis=1)
    if labels.ndim != 1:
        shape = " x ".join(map(str, labels.shape))
        raise ValueError(
            f"{name} set: labels are an array of {shape}, expected one label per image; have the "
            "images and labels been swapped?"
        )
    if labels.dtype.kind == "f" and (labels == np.floor(labels)).all():
        labels = labels.astype(np.int64)
    texts = np.char.strip(
        np.char.decode(labels) if labels.dtype.kind == "S" else labels.astype(str)
    )
    texts = np.char.replace(texts, "\n", " ")
    if (texts == "").any():
        row = int((texts == "").argmax())
        raise ValueError(f"{name} set: label in row {row} is empty; correct the labels")
    return texts


def _parse_digits(texts: NDArray[np.str_], name: str) -> NDArray[np.uint8]:
    wrong = np.array([len(text) > 1 and int(text) >= CLASSES for text in texts.tolist()])
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{name} set: label in row {row} is {texts[row]}, expected 0 to {CLASSES - 1}; "
            "correct the labels file, or set digit_images.labels=names if these are other classes"
        )
    return texts.astype(np.uint8)


def _order_naturally(text: str) -> tuple[bool, int, str]:
    """Order numbers by their value, before other names by alphabet."""
    is_number = text.isdecimal() and text.isascii()
    return (not is_number, int(text) if is_number else 0, text)
