"""Limited-memory BFGS with an ask-and-tell interface.

The caller evaluates the function, so that many problems can share one pass over
the same data.
Nocedal and Wright, Numerical Optimization (2006), algorithms 7.4 and 3.1.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_SUFFICIENT_DECREASE = 1e-4  # c1 of the Armijo condition, as in the book
_SMALLEST_STEP = 1e-8  # below it rounding errors dominate


class LBFGS:
    """Minimise a smooth function of a vector from its values and gradients.

    ```python
    while not optimiser.finished:
        optimiser.tell(*value_and_gradient(optimiser.ask()))
    ```

    Attributes:
        point: The best point so far, shape (d,).
        value: The function's value at `point`; infinite before the first `tell`.
        finished: Whether the gradient's largest component is within the
            tolerance, or rounding errors prevent further descent.
        evaluations: Number of calls of `tell`.
    """

    def __init__(self, start: NDArray[np.floating], tolerance: float, memory: int = 20) -> None:
        self.point = np.asarray(start, dtype=np.float64)
        self.value = np.inf
        self.finished = False
        self.evaluations = 0
        self._tolerance = tolerance
        self._pairs: deque[tuple[Vector, Vector]] = deque(maxlen=memory)
        self._gradient = np.zeros_like(start)
        self._direction = np.zeros_like(start)
        self._step = 0.0

    def ask(self) -> Vector:
        """Return the point to evaluate next, shape (d,)."""
        return self.point + self._step * self._direction

    def tell(self, value: float, gradient: Vector) -> None:
        """Record value and gradient at the point that `ask` returned."""
        self.evaluations += 1
        if self.evaluations == 1:
            self._accept(self.point, value, gradient)
            return
        slope = float(self._gradient @ self._direction)
        if value > self.value + _SUFFICIENT_DECREASE * self._step * slope:
            self._backtrack(value, slope)
            return
        s, y = self._step * self._direction, gradient - self._gradient
        if s @ y > 1e-10 * (y @ y):  # keeps the Hessian approximation positive definite
            self._pairs.append((s, y))
        self._accept(self.point + s, value, gradient)

    def _accept(self, point: Vector, value: float, gradient: Vector) -> None:
        self.point, self.value, self._gradient = point, value, gradient
        if np.abs(gradient).max() <= self._tolerance:
            self.finished = True
            return
        self._direction = -self._times_inverse_hessian(gradient)
        self._step = 1.0 if self._pairs else min(1.0, 1.0 / float(np.abs(gradient).sum()))

    def _backtrack(self, value: float, slope: float) -> None:
        """Shorten the step by quadratic interpolation, to between 0.1 and 0.5 of its length."""
        factor = -slope * self._step / (2 * (value - self.value - slope * self._step))
        self._step *= float(np.clip(factor, 0.1, 0.5))
        if self._step < _SMALLEST_STEP:
            self.finished = True

    def _times_inverse_hessian(self, gradient: Vector) -> Vector:
        """Multiply by the approximate inverse Hessian: the two-loop recursion, algorithm 7.4."""
        r = gradient.copy()
        alphas = []
        for s, y in reversed(self._pairs):
            alpha = (s @ r) / (s @ y)
            r -= alpha * y
            alphas.append(alpha)
        if self._pairs:
            s, y = self._pairs[-1]
            r *= (s @ y) / (y @ y)
        for (s, y), alpha in zip(self._pairs, reversed(alphas), strict=True):
            r += (alpha - (y @ r) / (s @ y)) * s
        return r
