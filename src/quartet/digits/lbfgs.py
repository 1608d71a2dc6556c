"""Limited-memory BFGS that asks for one evaluation at a time.

Turned inside out, the optimiser leaves it to its caller when a point is
evaluated, so that many problems can share one pass over the same data.
Nocedal and Wright, Numerical Optimization (2006), algorithms 7.4 and 3.1.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_SUFFICIENT_DECREASE = 1e-4  # Armijo's constant, the book's choice
_SMALLEST_STEP = 1e-8  # below it rounding, not the direction, decides


class LBFGS:
    """Minimises a smooth function of a vector, told its values and gradients.

    ```python
    while not optimiser.finished:
        optimiser.tell(*value_and_gradient(optimiser.ask()))
    ```

    Attributes:
        point: The best point so far, shape (d,).
        value: The function's value there; infinite before the first `tell`.
        finished: Whether the gradient's largest component is within the
            tolerance, or no further descent is possible in this arithmetic.
        evaluations: How often `tell` was called.
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
        """The point whose value and gradient are wanted next."""
        return self.point + self._step * self._direction

    def tell(self, value: float, gradient: Vector) -> None:
        """Take the value and the gradient at the point asked for, and move on."""
        self.evaluations += 1
        if self.evaluations == 1:
            self._accept(self.point, value, gradient)
            return
        slope = float(self._gradient @ self._direction)
        if value > self.value + _SUFFICIENT_DECREASE * self._step * slope:
            self._shorten(value, slope)
            return
        moved, bent = self._step * self._direction, gradient - self._gradient
        if moved @ bent > 1e-10 * (bent @ bent):  # keep the model of the curvature positive
            self._pairs.append((moved, bent))
        self._accept(self.point + moved, value, gradient)

    def _accept(self, point: Vector, value: float, gradient: Vector) -> None:
        self.point, self.value, self._gradient = point, value, gradient
        if np.abs(gradient).max() <= self._tolerance:
            self.finished = True
            return
        self._direction = -self._times_inverse_hessian(gradient)
        self._step = 1.0 if self._pairs else min(1.0, 1.0 / float(np.abs(gradient).sum()))

    def _shorten(self, value: float, slope: float) -> None:
        """Step to the minimum of the parabola through what is known, within a tenth and a half."""
        parabola = -slope * self._step / (2 * (value - self.value - slope * self._step))
        self._step *= float(np.clip(parabola, 0.1, 0.5))
        if self._step < _SMALLEST_STEP:
            self.finished = True

    def _times_inverse_hessian(self, gradient: Vector) -> Vector:
        """The two-loop recursion over the remembered moves."""
        product = gradient.copy()
        shares = []
        for moved, bent in reversed(self._pairs):
            share = (moved @ product) / (moved @ bent)
            product -= share * bent
            shares.append(share)
        if self._pairs:
            moved, bent = self._pairs[-1]
            product *= (moved @ bent) / (bent @ bent)
        for (moved, bent), share in zip(self._pairs, reversed(shares), strict=True):
            product += (share - (bent @ product) / (moved @ bent)) * moved
        return product
