"""The optimiser finds minima of any smooth function."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, rosen, rosen_der

from quartet.digits.lbfgs import LBFGS


def minimise_function(function, start, tolerance=1e-8, limit=2000):
    optimiser = LBFGS(np.asarray(start, dtype=float), tolerance)
    while not optimiser.finished and optimiser.evaluations < limit:
        optimiser.tell(*function(optimiser.ask()))
    return optimiser


@given(seed=st.integers(0, 10_000), size=st.integers(1, 12))
def test_quadratic_is_minimised(seed, size):
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(size, size))
    matrix, target = root @ root.T + np.eye(size), generator.normal(size=size)
    result = minimise_function(
        lambda x: (0.5 * (x - target) @ matrix @ (x - target), matrix @ (x - target)),
        np.zeros(size),
    )
    assert result.finished
    np.testing.assert_allclose(result.point, target, atol=1e-6)


def test_rosenbrock_needs_no_more_evaluations_than_twice_those_of_scipy():
    start = np.array([-1.2, 1.0, -1.2, 1.0])
    result = minimise_function(lambda x: (rosen(x), rosen_der(x)), start, tolerance=1e-6)
    scipy = minimize(rosen, start, jac=rosen_der, method="L-BFGS-B", options={"gtol": 1e-6})
    assert result.finished
    np.testing.assert_allclose(result.point, np.ones(4), atol=1e-5)
    assert result.evaluations <= 2 * scipy.nfev


def test_value_never_increases():
    optimiser = LBFGS(np.array([-1.2, 1.0]), 1e-8)
    values = []
    while not optimiser.finished:
        point = optimiser.ask()
        optimiser.tell(rosen(point), rosen_der(point))
        values.append(optimiser.value)
    assert all(later <= earlier for earlier, later in itertools.pairwise(values))


def test_start_at_the_minimum_finishes_after_one_evaluation():
    result = minimise_function(lambda x: (float(x @ x), 2 * x), np.zeros(3))
    assert result.finished
    assert result.evaluations == 1


def test_wrong_gradient_finishes():
    result = minimise_function(lambda x: (float(x @ x), -2 * x), np.ones(2))
    assert result.finished
    assert result.value == pytest.approx(2.0)
