"""The optimiser must find minima, also of functions it has never seen."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, rosen, rosen_der

from quartet.digits.lbfgs import LBFGS


def minimised(function, start, tolerance=1e-8, limit=2000):
    optimiser = LBFGS(np.asarray(start, dtype=float), tolerance)
    while not optimiser.finished and optimiser.evaluations < limit:
        optimiser.tell(*function(optimiser.ask()))
    return optimiser


@given(seed=st.integers(0, 10_000), size=st.integers(1, 12))
def test_a_quadratic_is_solved(seed, size):
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(size, size))
    matrix, target = root @ root.T + np.eye(size), generator.normal(size=size)
    found = minimised(
        lambda x: (0.5 * (x - target) @ matrix @ (x - target), matrix @ (x - target)),
        np.zeros(size),
    )
    assert found.finished
    np.testing.assert_allclose(found.point, target, atol=1e-6)


def test_the_rosenbrock_valley_is_followed_as_quickly_as_by_scipy():
    start = np.array([-1.2, 1.0, -1.2, 1.0])
    found = minimised(lambda x: (rosen(x), rosen_der(x)), start, tolerance=1e-6)
    scipy = minimize(rosen, start, jac=rosen_der, method="L-BFGS-B", options={"gtol": 1e-6})
    assert found.finished
    np.testing.assert_allclose(found.point, np.ones(4), atol=1e-5)
    assert found.evaluations <= 2 * scipy.nfev


def test_values_never_rise():
    optimiser = LBFGS(np.array([-1.2, 1.0]), 1e-8)
    values = []
    while not optimiser.finished:
        point = optimiser.ask()
        optimiser.tell(rosen(point), rosen_der(point))
        values.append(optimiser.value)
    assert all(later <= earlier for earlier, later in itertools.pairwise(values))


def test_a_start_at_the_minimum_is_seen_at_once():
    found = minimised(lambda x: (float(x @ x), 2 * x), np.zeros(3))
    assert found.finished
    assert found.evaluations == 1


def test_a_wrong_gradient_ends_the_search_instead_of_running_for_ever():
    found = minimised(lambda x: (float(x @ x), -2 * x), np.ones(2))
    assert found.finished
    assert found.value == pytest.approx(2.0)
