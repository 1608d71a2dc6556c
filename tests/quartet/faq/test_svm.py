"""Machines must equal scikit-learn's; leave-one-out values must equal those of refitting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import LinearSVC

from faq.conftest import FEATURES
from quartet.faq.svm import fit_binary_svm, fit_one_vs_rest
from quartet.faq.text import CHARACTERS


def make_points(seed, count=30, width=8):
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(count, width))
    signs = np.where(np.arange(count) < count // 4, 1.0, -1.0)
    rows[signs > 0, 0] += 1.5
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), signs


@given(st.integers(0, 1000), st.sampled_from([0.05, 0.1, 0.5, 2.0]))
@settings(max_examples=30)
def test_decision_values_equal_those_of_scikit_learn(seed, ridge):
    rows, signs = make_points(seed)
    machine = fit_binary_svm(rows @ rows.T + 1, signs, ridge)
    reference = LinearSVC(C=1 / (2 * ridge), loss="squared_hinge", tol=1e-10, max_iter=100_000)
    values = (rows @ rows.T + 1) @ machine.weights
    np.testing.assert_allclose(
        values, reference.fit(rows, signs).decision_function(rows), atol=1e-3
    )


@pytest.mark.parametrize("seed", range(5))
def test_leave_one_out_values_equal_those_of_refitting(seed):
    """Exact if the support vectors stay the same, which is usual; otherwise close."""
    rows, signs = make_points(seed)
    kernel = rows @ rows.T + 1
    machine = fit_binary_svm(kernel, signs, 0.1)
    refitted_values = np.empty(len(signs))
    for out in range(len(signs)):
        rest = np.delete(np.arange(len(signs)), out)
        refitted = fit_binary_svm(kernel[np.ix_(rest, rest)], signs[rest], 0.1)
        refitted_values[out] = kernel[out, rest] @ refitted.weights
    distance = np.abs(machine.leave_one_out - refitted_values)
    assert np.median(distance) < 1e-9
    assert np.corrcoef(machine.leave_one_out, refitted_values)[0, 1] > 0.97


def test_leave_one_out_values_are_exact_if_the_support_vectors_stay():
    rows, signs = make_points(0)
    kernel = rows @ rows.T + 1
    machine = fit_binary_svm(kernel, signs, 50.0)  # strong penalty: all texts are support vectors
    for out in (0, 10, 29):
        rest = np.delete(np.arange(len(signs)), out)
        refitted = fit_binary_svm(kernel[np.ix_(rest, rest)], signs[rest], 50.0)
        assert machine.leave_one_out[out] == pytest.approx(kernel[out, rest] @ refitted.weights)


def test_vectorised_decision_values_equal_those_of_each_machine(index):
    svm = fit_one_vs_rest(index, "word1", FEATURES)
    texts = {view: matrix[:10] for view, matrix in index.texts.items()}
    share = FEATURES.character_share
    kernel = (1 - share) * (texts["word1"] @ index.texts["word1"].T).toarray()
    kernel += share * (texts[CHARACTERS] @ index.texts[CHARACTERS].T).toarray()
    candidates = np.tile(np.arange(index.originals), (10, 1))
    together = svm.decision_function(kernel.astype(np.float32), candidates)
    for row, column in ((0, 0), (3, 7), (9, 11)):
        own_kernel = kernel[row, svm.texts[column]] + 1
        assert together[row, column] == pytest.approx(own_kernel @ svm.weights[column], abs=1e-5)


def test_texts_have_leave_one_out_values_of_their_machines_only(index):
    svm = fit_one_vs_rest(index, "word1", FEATURES)
    rows = np.array([0, 5, 40])
    values = svm.leave_one_out_values(rows, index)
    for place, text in enumerate(rows):
        for original in range(index.originals):
            part = np.flatnonzero(
                (svm.texts[original] == text) & ~np.isnan(svm.leave_one_out[original])
            )
            if len(part):
                assert values[place, original] == svm.leave_one_out[original, part[0]]
            else:
                assert np.isnan(values[place, original])
        assert not np.isnan(values[place, index.original_of[text]])
