"""Scoring of windows with a model set, many models at a time.

The decision function of a one-class SVM with an RBF kernel is a sum over its support vectors v.
With coefficients a > 0 and the square of the distance written out, each term is

    a exp(-gamma |x - v|²) = exp(2 gamma v·x - gamma |x|² + (ln a - gamma |v|²)),

so the exponents of all windows x of a model are the product of a matrix of the model with rows
(2 gamma v, -gamma, ln a - gamma |v|²), `SensorModels.kernel`, with (x, |x|², 1). Models with
similar numbers of support vectors and windows are stacked: a stack takes one batched product, one
exponential and one sum.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quartet.sensors.model_set import SensorModels

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

TERMS_PER_STACK = 150_000
"""Approximate number of exponentials per stack: amortises the calls, and fits into the cache."""
_ROWS_PER_STACK = 256
"""Maximum number of windows of one model in a stack."""
_SIZE_CLASSES = 3
"""Size classes per doubling. Padding is at most a quarter of a stack, half of that on average."""
_MAX_SCALED = 1e100
"""Scaled features are clipped to this, so that their squares are finite; the kernel is 0 there."""
_MIN_STACKS_PER_THREAD = 4
"""With fewer, starting a thread costs more than it saves."""
_MAX_THREADS = 8
"""With more, memory bandwidth is the limit."""


def score(model_set: SensorModels, model: Indices, features: Array) -> Array:
    """Score windows like scikit-learn's `decision_function`.

    Args:
        model_set: The models.
        model: Shape (w,), int64: index of each window's model in the model set; in any order, but
            fastest if the windows of a model are adjacent.
        features: Shape (w, d), as `window_features` returns them.

    Returns:
        Shape (w,), float64. Equal to scikit-learn's scores within 1e-9.

    Raises:
        ValueError: The shapes do not match, or an index is out of range.
    """
    if features.shape != (len(model), len(model_set.features)):
        raise ValueError(
            f"expected {len(model)} windows of {len(model_set.features)} features "
            f"({', '.join(model_set.features)}), found an array of shape {features.shape}"
        )
    if len(model) and not 0 <= model.min() <= model.max() < len(model_set):
        raise ValueError(
            f"expected model indices from 0 to {len(model_set) - 1}, found {model.min()} to "
            f"{model.max()}"
        )
    order = None
    if (np.diff(model) < 0).any():
        order = np.argsort(model, kind="stable")
        model, features = model[order], features[order]
    columns = np.ascontiguousarray(features.T)
    scores = np.empty(len(model))
    stacks = list(_stack_groups(model_set, model))

    def score_stack(stack: Stack) -> None:
        scores[stack.rows] = _score_stack(model_set, columns, stack)

    threads = min(_MAX_THREADS, os.cpu_count() or 1, len(stacks) // _MIN_STACKS_PER_THREAD)
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(score_stack, stacks))
    else:
        for stack in stacks:
            score_stack(stack)
    if order is None:
        return scores
    unordered = np.empty_like(scores)
    unordered[order] = scores
    return unordered


class Stack(NamedTuple):
    """Windows to score together: m groups of one model each.

    Attributes:
        models: Shape (m,).
        rows: Shape (m, r): windows of each group; shorter groups are padded with their last one.
    """

    models: Indices
    rows: Indices


def _stack_groups(model_set: SensorModels, model: Indices) -> Iterator[Stack]:
    """Divide windows, sorted by model, into stacks of groups of similar size."""
    if not len(model):
        return
    first, length = _group_rows(model)
    models = model[first]
    size = model_set.sizes[models]
    # One number for both classes, as up to two million support vectors have a class below 64.
    size_class = _size_class(length) * 64 + _size_class(size)
    order = np.argsort(size_class, kind="stable")
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(size_class[order])) + 1, [len(order)]])
    for begin, end in pairwise(bounds.tolist()):
        similar = order[begin:end]
        rows, vectors = int(length[similar].max()), int(size[similar].max())
        step = max(1, TERMS_PER_STACK // (rows * vectors))
        for start in range(0, len(similar), step):
            groups = similar[start : start + step]
            offset = np.minimum(np.arange(rows), length[groups, None] - 1)
            yield Stack(models[groups], first[groups, None] + offset)


def _group_rows(model: Indices) -> tuple[Indices, Indices]:
    """Divide windows, sorted by model, into groups of one model and at most `_ROWS_PER_STACK` rows.

    Returns:
        First row and number of rows of each group.
    """
    first = np.concatenate([[0], np.flatnonzero(np.diff(model)) + 1])
    length = np.diff(np.append(first, len(model)))
    parts = -(-length // _ROWS_PER_STACK)
    if (parts > 1).any():  # divide long groups into equal parts
        part = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
        first, length, parts = (np.repeat(each, parts) for each in (first, length, parts))
        begin = part * length // parts
        first, length = first + begin, (part + 1) * length // parts - begin
    return first, length


def _size_class(sizes: Indices) -> Indices:
    """Return the classes of sizes, `_SIZE_CLASSES` per doubling, from 0 for one."""
    return np.round(np.log2(np.maximum(sizes, 1)) * _SIZE_CLASSES).astype(np.int64)


def _score_stack(model_set: SensorModels, columns: Array, stack: Stack) -> Array:
    """Return the scores of a stack's windows, shape (m, r).

    Args:
        model_set: The models.
        columns: Features of all windows, shape (d, w).
        stack: The windows to score.
    """
    models, rows = stack
    inputs = np.empty((len(columns) + 2, *rows.shape))
    scaled = np.take(columns, rows, axis=1, out=inputs[:-2], mode="clip")
    lowest = model_set.lowest[models].T
    for column in np.flatnonzero((lowest > -np.inf).any(axis=1)):
        np.maximum(scaled[column], lowest[column][:, None], out=scaled[column])
    scaled -= model_set.center[models].T[:, :, None]
    with np.errstate(over="ignore"):
        scaled /= model_set.scale[models].T[:, :, None]
        squares = np.einsum("dmr,dmr->mr", scaled, scaled, out=inputs[-2])
    if not squares.max() < _MAX_SCALED**2:
        np.clip(scaled, -_MAX_SCALED, _MAX_SCALED, out=scaled)
        np.einsum("dmr,dmr->mr", scaled, scaled, out=inputs[-2])
    inputs[-1] = 1.0
    size = model_set.sizes[models][:, None]
    offset = np.arange(size.max())
    padding = len(model_set.kernel) - 1  # the row that adds nothing to a score
    vector = np.where(offset < size, model_set.start[models][:, None] + offset, padding)
    terms = np.matmul(np.take(model_set.kernel, vector, axis=0), inputs.transpose(1, 0, 2))
    np.exp(terms, out=terms)
    return terms.sum(axis=1) + model_set.intercept[models][:, None]


def predict(
    model_set: SensorModels, windows: pd.DataFrame, shard: int = 0, shards: int = 1
) -> pd.DataFrame:
    """Score and label the windows of sensors that have a model.

    Args:
        model_set: The models.
        windows: The columns of `quartet.sensors.windows`, in any order.
        shard: Index of the shard, from 0: the models whose index modulo `shards` is equal to it.
        shards: Number of shards.

    Returns:
        One row per window of the shard, in the given order: `device`, `sensor`, `window_end`,
        `score`, `threshold`, `anomaly` (score below threshold), `model_version`.

    Raises:
        ValueError: A column is missing or has NaN.
    """
    model = model_set.locate(windows)
    in_shard = (model >= 0) & (model % shards == shard)
    if not in_shard.all():
        model, windows = model[in_shard], windows[in_shard]
    scores = score(model_set, model, model_set.compute_features(windows, model))
    threshold = model_set.threshold[model]
    return pd.DataFrame(
        {
            **{name: windows[name].to_numpy() for name in ("device", "sensor", "window_end")},
            "score": scores,
            "threshold": threshold,
            "anomaly": scores < threshold,
            "model_version": np.array(model_set.versions, dtype=object)[model],
        },
        copy=False,
    )


def find_unmatched(model_set: SensorModels, windows: pd.DataFrame) -> pd.DataFrame:
    """Find sensors whose windows have no model, and models without windows.

    Returns:
        `device`, `sensor`, `windows` (their number) and `reason`, ascending by device and sensor.
    """
    model = model_set.locate(windows)
    unscored = windows.loc[model < 0, ["device", "sensor"]].astype(str)
    counted = unscored.groupby(["device", "sensor"]).size().reset_index(name="windows")
    unused = np.setdiff1d(np.arange(len(model_set)), model).tolist()
    idle = pd.DataFrame([model_set.pairs[index] for index in unused], columns=["device", "sensor"])
    parts = [counted.assign(reason="no model"), idle.assign(windows=0, reason="no windows")]
    table = pd.concat([part for part in parts if len(part)] or parts[:1])
    return table.sort_values(["device", "sensor"], ignore_index=True)
