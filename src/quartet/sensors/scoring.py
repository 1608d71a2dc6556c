"""Scores of windows by a model set, many models at a time.

The decision function of a one-class machine with a radial kernel is a sum of exponentials. With
coefficients a > 0 and the square of the distance written out, each term is

    a exp(-gamma |x - v|²) = exp(2 gamma v·x - gamma |x|² + (ln a - gamma |v|²)),

so the exponents of all windows and vectors of a model are one product of a matrix of its own,
(2 gamma v, -gamma, ln a - gamma |v|²), with (x, |x|², 1). Models with about as many vectors and
windows are stacked, and a stack costs one batched product, one exponential and one sum.
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

from quartet.sensors.features import window_features
from quartet.sensors.model_set import SensorModels

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

TERMS_AT_ONCE = 150_000
"""Exponentials in one stack, about: enough to outweigh the calls, few enough for the cache."""
_ROWS_AT_ONCE = 256
"""Windows of one model in a stack, at most."""
_CLASSES = 3
"""Classes of size for each doubling: stacks are filled up by a quarter at most, half of that on
average."""
_FAR = 1e100
"""Scaled features are cut off here: their squares stay finite, and the kernel is 0 long before."""
_STACKS_A_THREAD = 4
"""Below, starting a thread costs more than it saves."""
_THREADS = 8
"""At most; the stacks wait for memory then."""


def score(model_set: SensorModels, model: Numbers, features: Array) -> Array:
    """Scores of windows: scikit-learn's `decision_function`, before the threshold is subtracted.

    Args:
        model_set: The models.
        model: Shape (w,), int64: number of each window's model in the model set; in any order, but
            fastest where the windows of a model lie together.
        features: Shape (w, d), as `window_features` makes them.

    Returns:
        Shape (w,), float64. Equal to scikit-learn's scores within 1e-9.

    Raises:
        ValueError: Shapes do not fit, or a number is no model of the model set.
    """
    if features.shape != (len(model), len(model_set.features)):
        raise ValueError(
            f"expected {len(model)} windows of {len(model_set.features)} features "
            f"({', '.join(model_set.features)}), found an array of shape {features.shape}"
        )
    if len(model) and not 0 <= model.min() <= model.max() < len(model_set):
        raise ValueError(f"models are numbered 0 to {len(model_set) - 1}, found others")
    order = None
    if (np.diff(model) < 0).any():
        order = np.argsort(model, kind="stable")
        model, features = model[order], features[order]
    columns = np.ascontiguousarray(features.T)
    scores = np.empty(len(model))
    stacks = list(_stacks(model_set, model))

    def work(stack: Stack) -> None:
        scores[stack.rows] = _score_stack(model_set, columns, stack)

    threads = min(_THREADS, os.cpu_count() or 1, len(stacks) // _STACKS_A_THREAD)
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, stacks))
    else:
        for stack in stacks:
            work(stack)
    if order is None:
        return scores
    unordered = np.empty_like(scores)
    unordered[order] = scores
    return unordered


class Stack(NamedTuple):
    """Windows to be scored together, m groups of one model each.

    Attributes:
        models: Shape (m,).
        rows: Shape (m, r): the group's windows; the last is repeated where there are fewer.
    """

    models: Numbers
    rows: Numbers


def _stacks(model_set: SensorModels, model: Numbers) -> Iterator[Stack]:
    """Divide windows, of which those of one model lie together, into stacks of like groups."""
    if not len(model):
        return
    first = np.concatenate([[0], np.flatnonzero(np.diff(model)) + 1])
    length = np.diff(np.append(first, len(model)))
    parts = -(-length // _ROWS_AT_ONCE)
    if (parts > 1).any():  # long groups in equal parts
        part = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
        first, length, parts = (np.repeat(each, parts) for each in (first, length, parts))
        begin = part * length // parts
        first, length = first + begin, (part + 1) * length // parts - begin
    models = model[first]
    size = model_set.sizes[models]
    kind = _size_class(length) * 64 + _size_class(size)
    order = np.argsort(kind, kind="stable")
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(kind[order])) + 1, [len(order)]])
    for begin, end in pairwise(bounds.tolist()):
        alike = order[begin:end]
        rows, vectors = int(length[alike].max()), int(size[alike].max())
        step = max(1, TERMS_AT_ONCE // (rows * vectors))
        for start in range(0, len(alike), step):
            group = alike[start : start + step]
            place = np.minimum(np.arange(rows), length[group, None] - 1)
            yield Stack(models[group], first[group, None] + place)


def _size_class(sizes: Numbers) -> Numbers:
    return np.round(np.log2(np.maximum(sizes, 1)) * _CLASSES).astype(np.int64)


def _score_stack(model_set: SensorModels, columns: Array, stack: Stack) -> Array:
    """Scores of a stack's windows, shape (m, r).

    Args:
        model_set: The models.
        columns: Features of all windows, shape (d, w).
        stack: Which windows.
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
    if not squares.max() < _FAR**2:
        np.clip(scaled, -_FAR, _FAR, out=scaled)
        np.einsum("dmr,dmr->mr", scaled, scaled, out=inputs[-2])
    inputs[-1] = 1.0
    size = model_set.sizes[models][:, None]
    place = np.arange(size.max())
    nothing = len(model_set.kernel) - 1
    number = np.where(place < size, model_set.start[models][:, None] + place, nothing)
    terms = np.matmul(np.take(model_set.kernel, number, axis=0), inputs.transpose(1, 0, 2))
    np.exp(terms, out=terms)
    return terms.sum(axis=1) + model_set.intercept[models][:, None]


def predict(
    model_set: SensorModels, windows: pd.DataFrame, shard: int = 0, shards: int = 1
) -> pd.DataFrame:
    """Scores and labels of the windows of sensors that have a model.

    Args:
        model_set: The models.
        windows: The columns of `quartet.sensors.windows`, in any order.
        shard: Which share of the fleet, from 0: models whose number leaves this rest when
            divided by `shards`.
        shards: Number of shares.

    Returns:
        One row a window of the share, in the order given: `device`, `sensor`, `window_end`,
        `score`, `threshold`, `anomaly` (score below threshold), `model_version`.

    Raises:
        ValueError: A column is missing, or what is in it is no number.
    """
    model = model_set.locate(windows)
    mine = (model >= 0) & (model % shards == shard)
    if not mine.all():
        model, windows = model[mine], windows[mine]
    scores = score(model_set, model, window_features(windows, model_set.features))
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


def unmatched(model_set: SensorModels, windows: pd.DataFrame) -> pd.DataFrame:
    """Sensors whose windows have no model, and models without windows.

    Returns:
        `device`, `sensor`, `windows` (number of them) and `reason`, ascending by sensor.
    """
    model = model_set.locate(windows)
    strangers = windows.loc[model < 0, ["device", "sensor"]].astype(str)
    counted = strangers.groupby(["device", "sensor"]).size().reset_index(name="windows")
    idle = np.setdiff1d(np.arange(len(model_set)), model).tolist()
    unused = pd.DataFrame(
        [model_set.pairs[number] for number in idle], columns=["device", "sensor"]
    )
    parts = [counted.assign(reason="no model"), unused.assign(windows=0, reason="no windows")]
    whole = pd.concat([part for part in parts if len(part)] or parts[:1])
    return whole.sort_values(["device", "sensor"], ignore_index=True)
