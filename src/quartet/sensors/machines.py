"""A one-class support vector machine with a threshold that keeps false alarms near nu.

The machine is scikit-learn's OneClassSVM (Schölkopf et al., "Estimating the support of a
high-dimensional distribution", Neural Computation 13, 2001). Its own threshold, 0, puts a share
of about nu of the *training* windows outside. Of new ones it is more, on short series many times
more: all that lie beyond the outermost support vectors count. So the threshold is set by windows
that the machine has not seen: the series is cut into blocks of time, a machine fitted without a
block tells how near its windows are to the others, and the threshold is the quantile at nu of
all these (Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial Intelligence
74, 2015). Blocks rather than single windows, since neighbours in time resemble each other. With
fewer than 1/nu windows the quantile lies beyond all of them, and is a guess that may be too
near by a factor of two or three.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import OneClassSVM

from quartet.sensors.settings import SensorSvm

Array = NDArray[np.float64]

BLOCKS = 5
"""Into which the training time is cut; with ten, false alarms come no nearer to nu."""
WIDTHS = (0.05, 0.15, 0.5, 1.5)
"""Gammas that are tried, times 1/d; scikit-learn's `scale` is 1/d."""
_DISPLACEMENTS = (2.0, 6.0)
"""Least and largest, in deviations of the training windows along their own directions."""
_TAIL = 10
"""Least values that tell how the tail below them goes on."""
_LEAST_TOLERANCE = 1e-12
"""The least that the solver works with."""
_FARTHEST = 1e-3
"""Share of the lowest possible score by which the threshold stays above it."""


class Machine(NamedTuple):
    """A fitted machine; its score of x is intercept + sum of coefficient exp(-gamma |x - v|²).

    Attributes:
        vectors: Shape (s, d).
        coefficients: Shape (s,).
        intercept: Also the lowest possible score, that of windows far from all.
        gamma: Width of the kernel.
    """

    vectors: Array
    coefficients: Array
    intercept: float
    gamma: float

    def score(self, inputs: Array) -> Array:
        """Scores of scaled features of shape (w, d); shape (w,)."""
        return self.nearness(inputs) + self.intercept

    def nearness(self, inputs: Array) -> Array:
        """Scores without the intercept, between 0 and the sum of the coefficients."""
        squares = (self.vectors**2).sum(axis=1)
        distance = (inputs**2).sum(axis=1)[:, None] + squares - 2 * inputs @ self.vectors.T
        return np.exp(-self.gamma * distance) @ self.coefficients


class Calibrated(NamedTuple):
    """A machine with its threshold."""

    machine: Machine
    threshold: float


def tune(inputs: Array, settings: SensorSvm, generator: np.random.Generator) -> Calibrated:
    """The machine whose width of the kernel finds most of what it should find.

    That are copies of the training windows, displaced by several deviations. Each width has its
    own threshold, so that all have the same share of false alarms. Of widths that find as much
    as the best but for one standard error, the least gamma is taken: it has the fewest support
    vectors. After Breiman et al., "Classification and regression trees" (1984).

    Args:
        inputs: Scaled features in the order of time, shape (w, d).
        settings: nu, tolerance, gamma and threshold, or that they are tuned.
        generator: Where displacements come from.
    """
    if settings.gamma != "tuned":
        return calibrate(inputs, settings.gamma, settings)
    candidates = [calibrate(inputs, width / inputs.shape[1], settings) for width in WIDTHS]
    strange = displaced(inputs, generator)
    found = [(each.machine.score(strange) < each.threshold).mean() for each in candidates]
    best = max(found)
    enough = best - np.sqrt(best * (1 - best) / len(inputs))
    return next(each for each, share in zip(candidates, found, strict=True) if share >= enough)


def displaced(inputs: Array, generator: np.random.Generator) -> Array:
    """A copy of each window, moved by 2 to 6 deviations in a direction drawn at random.

    Deviations are those of all the windows in that direction (Mahalanobis's), so that what
    moves together in normal times also moves together here.

    Args:
        inputs: Scaled features, shape (w, d).
        generator: Where directions and lengths come from.

    Returns:
        Shape (w, d).
    """
    variances, axes = np.linalg.eigh(np.cov(inputs, rowvar=False).reshape(2 * inputs.shape[1:]))
    root = axes * np.sqrt(np.maximum(variances, 0))
    directions = generator.normal(size=inputs.shape)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = generator.uniform(*_DISPLACEMENTS, (len(inputs), 1))
    return inputs + (lengths * directions) @ root.T


def calibrate(inputs: Array, gamma: float, settings: SensorSvm) -> Calibrated:
    """Fit a machine, and set its threshold by windows that it has not seen.

    What is compared between the machines is the nearness by a window of training, without the
    intercept: where all support vectors lie outside, as they may on short series, the solver
    is free to choose that within a range.

    Args:
        inputs: Scaled features in the order of time, shape (w, d).
        gamma: Width of the kernel.
        settings: nu, tolerance, and whether the threshold is tuned.
    """
    machine = fit_machine(inputs, gamma, settings)
    if settings.threshold == "machine":
        return Calibrated(machine, 0.0)
    nearness = np.empty(len(inputs))
    bounds = np.linspace(0, len(inputs), BLOCKS + 1).round().astype(int)
    for first, last in pairwise(bounds):
        others = np.concatenate([inputs[:first], inputs[last:]])
        other = fit_machine(others, gamma, settings)
        nearness[first:last] = other.nearness(inputs[first:last]) * (len(inputs) / len(others))
    # Windows on the threshold must not fall below it by what the solver leaves open.
    slack = 2 * settings.tolerance * settings.nu * len(inputs)
    least = lower_quantile(nearness, settings.nu) - slack
    # What is far from all that was seen is an anomaly, whatever outliers were in training.
    return Calibrated(machine, max(least, -_FARTHEST * machine.intercept) + machine.intercept)


def fit_machine(inputs: Array, gamma: float, settings: SensorSvm) -> Machine:
    """scikit-learn's machine.

    Args:
        inputs: Scaled features, shape (w, d).
        gamma: Width of the kernel.
        settings: nu, and the tolerance as a share of nu times the windows. That is the sum of
            the coefficients, and the most that scores can differ by.
    """
    tolerance = settings.tolerance * settings.nu * len(inputs)
    solver = OneClassSVM(nu=settings.nu, gamma=gamma, tol=max(tolerance, _LEAST_TOLERANCE))
    solver.fit(inputs)
    support = inputs[solver.support_]
    return Machine(support, solver.dual_coef_[0], float(solver.intercept_[0]), gamma)


def lower_quantile(values: Array, share: float) -> float:
    """What a new value falls below with a probability of about `share`.

    A new one is equally likely to fall into each of the gaps between n values and the two ends,
    n + 1 in all. So the k-th least is the quantile at k / (n + 1), and between them it is
    interpolated. Below the least, the ten least are continued as an exponential tail: of m
    values that lie deeper than some other, by b in the mean, a new one lies deeper by more than
    y with a probability of (1 + y / (m b))^-m.

    Args:
        values: Shape (n,), n at least 11.
        share: Above 0, at most 0.5.
    """
    least = np.sort(values)
    place = share * (len(values) + 1)
    if place < 1:
        first, tail = least[_TAIL], least[:_TAIL]
        depth = (((_TAIL + 1) / place) ** (1 / _TAIL) - 1) * (first - tail).sum()
        return float(first - depth)
    lower = int(place) - 1
    return float(least[lower] + (place - lower - 1) * (least[lower + 1] - least[lower]))
