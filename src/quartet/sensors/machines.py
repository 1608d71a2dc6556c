"""A one-class support vector machine whose threshold keeps the false-alarm rate near nu.

The machine is scikit-learn's OneClassSVM (Schölkopf et al., "Estimating the support of a
high-dimensional distribution", Neural Computation 13, 2001). Its own threshold, 0, rejects a
share of about nu of the *training* windows. Of new windows it rejects more, on short series many
times more: all those beyond the outermost support vectors. So the threshold is calibrated by
cross-validation: the series is divided into blocks of time, each block is scored by a machine
fitted to the other blocks, and the threshold is the quantile at nu of all these scores (Vovk,
"Cross-conformal predictors", Annals of Mathematics and Artificial Intelligence 74, 2015). Blocks
rather than single windows are held out because adjacent windows resemble each other. With fewer
than 1/nu windows the quantile is an extrapolation, and the false-alarm rate may be two or three
times nu.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import OneClassSVM

from quartet.sensors.models import P_VALUES
from quartet.sensors.settings import SensorSvm

Array = NDArray[np.float64]

BLOCKS = 5
"""Blocks of the cross-validation; with ten, the false-alarm rate is no nearer to nu."""
WIDTHS = (0.05, 0.15, 0.5, 1.5)
"""Candidates for gamma, times 1/d; scikit-learn's `scale` is 1/d."""
_DISPLACEMENTS = (2.0, 6.0)
"""Minimum and maximum displacement, in Mahalanobis distances."""
_TAIL = 10
"""Number of smallest values to which the tail is fitted."""
MIN_QUANTILE_VALUES = _TAIL + 1
"""Minimum number of values from which `lower_quantile` estimates a quantile."""
_MIN_TOLERANCE = 1e-12
"""Smallest tolerance that the solver accepts."""
_MIN_MARGIN = 1e-3
"""Minimum margin of the threshold above the lowest possible score, as a share of that score."""


class Machine(NamedTuple):
    """A fitted machine; the score of x is intercept + sum of coefficient exp(-gamma |x - v|²).

    Attributes:
        vectors: Shape (s, d).
        coefficients: Shape (s,).
        intercept: Also the lowest possible score, that of windows far from all support vectors.
        gamma: Kernel coefficient.
    """

    vectors: Array
    coefficients: Array
    intercept: float
    gamma: float

    def score(self, inputs: Array) -> Array:
        """Return the scores of scaled features of shape (w, d); shape (w,)."""
        return self.kernel_sum(inputs) + self.intercept

    def kernel_sum(self, inputs: Array) -> Array:
        """Return the scores without the intercept: from 0 to the sum of the coefficients."""
        squares = (self.vectors**2).sum(axis=1)
        distance = (inputs**2).sum(axis=1)[:, None] + squares - 2 * inputs @ self.vectors.T
        return np.exp(-self.gamma * distance) @ self.coefficients


class CalibratedMachine(NamedTuple):
    """A machine with its threshold.

    Attributes:
        machine: Fitted to all windows.
        threshold: Score below which a window is anomalous.
        held_out: Score of each window by a machine that was not fitted to it; shape (w,).
        calibration: Scores at the p-values `P_VALUES`; shape (p,).
    """

    machine: Machine
    threshold: float
    held_out: Array
    calibration: Array


def tune(inputs: Array, settings: SensorSvm, generator: np.random.Generator) -> CalibratedMachine:
    """Fit and calibrate a machine with the gamma that detects the most synthetic anomalies.

    The synthetic anomalies are displaced copies of the training windows. Each gamma has its own
    threshold, so that all have the same false-alarm rate. Of those whose detection rate is within
    one standard error of the best, the smallest gamma is chosen, which has the fewest support
    vectors (the one-standard-error rule of Breiman et al., "Classification and regression
    trees", 1984).

    Args:
        inputs: Scaled features in the order of time, shape (w, d).
        settings: nu, tolerance, gamma and threshold.
        generator: Source of the displacements.
    """
    if settings.gamma != "tuned":
        return calibrate(inputs, settings.gamma, settings)
    candidates = [calibrate(inputs, width / inputs.shape[1], settings) for width in WIDTHS]
    synthetic = displace(inputs, generator)
    rates = [(each.machine.score(synthetic) < each.threshold).mean() for each in candidates]
    best = max(rates)
    sufficient = best - np.sqrt(best * (1 - best) / len(inputs))
    return next(each for each, rate in zip(candidates, rates, strict=True) if rate >= sufficient)


def displace(inputs: Array, generator: np.random.Generator) -> Array:
    """Displace each window in a random direction by a Mahalanobis distance of 2 to 6.

    The distance takes the covariance of the windows into account: correlated features are
    displaced together.

    Args:
        inputs: Scaled features, shape (w, d).
        generator: Source of directions and distances.

    Returns:
        Shape (w, d).
    """
    variances, axes = np.linalg.eigh(np.cov(inputs, rowvar=False).reshape(2 * inputs.shape[1:]))
    root = axes * np.sqrt(np.maximum(variances, 0))
    directions = generator.normal(size=inputs.shape)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = generator.uniform(*_DISPLACEMENTS, (len(inputs), 1))
    return inputs + (lengths * directions) @ root.T


def calibrate(inputs: Array, gamma: float, settings: SensorSvm) -> CalibratedMachine:
    """Fit a machine, and calibrate its threshold by cross-validation.

    Kernel sums are compared between the machines, without the intercept: if all support vectors
    are outliers, as may happen on short series, the intercept is not unique.

    Args:
        inputs: Scaled features in the order of time, shape (w, d).
        gamma: Kernel coefficient.
        settings: nu, tolerance, and whether the threshold is tuned.
    """
    machine = fit_machine(inputs, gamma, settings)
    sums = np.empty(len(inputs))
    bounds = np.linspace(0, len(inputs), BLOCKS + 1).round().astype(int)
    for first, last in pairwise(bounds):
        others = np.concatenate([inputs[:first], inputs[last:]])
        other = fit_machine(others, gamma, settings)
        sums[first:last] = other.kernel_sum(inputs[first:last]) * (len(inputs) / len(others))
    # The solver's tolerance must not push windows on the threshold below it.
    slack = 2 * settings.tolerance * settings.nu * len(inputs)
    # A window far from all support vectors is an anomaly, even if there were outliers in training.
    floor = -_MIN_MARGIN * machine.intercept
    quantiles = np.array([lower_quantile(sums, share) for share in P_VALUES])
    calibration = np.maximum(quantiles - slack, floor) + machine.intercept
    tuned = max(lower_quantile(sums, settings.nu) - slack, floor) + machine.intercept
    threshold = 0.0 if settings.threshold == "machine" else tuned
    return CalibratedMachine(machine, threshold, sums + machine.intercept, calibration)


def fit_machine(inputs: Array, gamma: float, settings: SensorSvm) -> Machine:
    """Fit scikit-learn's OneClassSVM.

    Args:
        inputs: Scaled features, shape (w, d).
        gamma: Kernel coefficient.
        settings: nu, and the tolerance relative to nu times the number of windows, which is the
            sum of the coefficients and the range of the scores.
    """
    tolerance = settings.tolerance * settings.nu * len(inputs)
    solver = OneClassSVM(nu=settings.nu, gamma=gamma, tol=max(tolerance, _MIN_TOLERANCE))
    solver.fit(inputs)
    support = inputs[solver.support_]
    return Machine(support, solver.dual_coef_[0], float(solver.intercept_[0]), gamma)


def lower_quantile(values: Array, share: float) -> float:
    """Estimate the value below which a new value falls with a probability of about `share`.

    A new value is equally likely to fall into each of the n + 1 intervals between and beyond n
    values. So the k-th smallest is the quantile at k / (n + 1), with linear interpolation in
    between. Below the smallest value, an exponential tail is fitted to the ten smallest: if m
    values exceed a depth, by b on average, a new one exceeds it by more than y with a probability
    of (1 + y / (m b))^-m.

    Args:
        values: Shape (n,), n at least `MIN_QUANTILE_VALUES`.
        share: Above 0, at most 0.5.
    """
    ordered = np.sort(values)
    rank = share * (len(values) + 1)
    if rank < 1:
        first, tail = ordered[_TAIL], ordered[:_TAIL]
        depth = (((_TAIL + 1) / rank) ** (1 / _TAIL) - 1) * (first - tail).sum()
        return float(first - depth)
    lower = int(rank) - 1
    return float(ordered[lower] + (rank - lower - 1) * (ordered[lower + 1] - ordered[lower]))
