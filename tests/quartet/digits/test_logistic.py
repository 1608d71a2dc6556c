"""The sweep agrees with scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from quartet.digits import logistic
from quartet.digits.data import Digits, pair_digits, stratified_split
from quartet.digits.sample import load_bundled_digits


@pytest.fixture(scope="module")
def split():
    return stratified_split(load_bundled_digits(), 0.3, np.random.default_rng(0))


def test_every_strength_agrees_with_scikit_learn(split):
    train, test = split
    train = Digits(images=train["images"][:500], labels=train["labels"][:500])
    strengths = [1.0, 30.0, 1000.0]
    fits = logistic.fit(train, strengths, tolerance=1e-6, max_passes=2000)
    pixels = {
        name: part["images"].reshape(-1, 784) / 255
        for name, part in (("fit", train), ("test", test))
    }
    for strength, fit in zip(strengths, fits, strict=True):
        reference = LogisticRegression(C=1 / strength, tol=1e-8, max_iter=5000)
        reference.fit(pixels["fit"], train["labels"])
        np.testing.assert_allclose(
            logistic.predict_proba(fit.weights, test["images"]),
            reference.predict_proba(pixels["test"]),
            atol=2e-3,
        )
        np.testing.assert_allclose(fit.weights["coefficients"], reference.coef_.T, atol=5e-3)


def test_fit_does_not_depend_on_the_other_strengths(split):
    train, test = split
    (alone,) = logistic.fit(train, [10.0], 1e-5, 500)
    _, together, _ = logistic.fit(train, [300.0, 10.0, 1.0], 1e-5, 500)
    np.testing.assert_allclose(
        logistic.predict_proba(alone.weights, test["images"]),
        logistic.predict_proba(together.weights, test["images"]),
        atol=1e-3,
    )


def test_on_fit_receives_each_fit_in_order_of_completion(split):
    reported = []
    fits = logistic.fit(split[0], [1.0, 1000.0], 1e-3, 500, reported.append)
    assert sorted(fit.strength for fit in reported) == [1.0, 1000.0]
    assert [fit.passes for fit in reported] == sorted(fit.passes for fit in fits)
    assert [fit.strength for fit in fits] == [1.0, 1000.0]


def test_warm_start_reaches_the_same_minimum_in_fewer_passes(split):
    train, test = split
    (cold,) = logistic.fit(train, [10.0], 1e-5, 500)
    (warm,) = logistic.fit(train, [10.0], 1e-5, 500, start_from=cold.weights)
    assert warm.passes < cold.passes / 2
    np.testing.assert_allclose(
        logistic.predict_proba(warm.weights, test["images"]),
        logistic.predict_proba(cold.weights, test["images"]),
        atol=1e-3,
    )


def test_too_few_passes_warn(split):
    with pytest.warns(UserWarning, match="strength 1: not converged after 3 passes"):
        (fit,) = logistic.fit(split[0], [1.0], 1e-9, 3)
    assert fit.passes == 3


def test_fit_without_strengths_returns_an_empty_list(split):
    assert logistic.fit(split[0], [], 1e-3, 10) == []


def test_digit_missing_from_training_is_improbable():
    labels = np.array([0, 1] * 20, dtype=np.uint8)
    images = np.zeros((40, 28, 28), dtype=np.uint8)
    images[labels == 1, 10:20, 10:20] = 255
    digits: Digits = pair_digits(images, labels, "training")
    (fit,) = logistic.fit(digits, [1.0], 1e-5, 500)
    probabilities = logistic.predict_proba(fit.weights, images)
    assert (probabilities.argmax(axis=1) == labels).all()
    assert probabilities[:, 2:].max() < 0.05
