"""A registered classifier classifies batches and rejects other input."""

import numpy as np
import pytest

from quartet.digits import classifier, logistic, serving
from quartet.digits.sample import load_bundled_digits


@pytest.fixture(scope="module")
def weights():
    (fit,) = logistic.fit(load_bundled_digits(), [10.0], 1e-2, 100)
    return fit.weights


@pytest.fixture
def served(tmp_path, weights):
    (tmp_path / serving.WEIGHTS_FILE).write_bytes(classifier.to_bytes("logistic", weights))
    return serving._load_pyfunc(str(tmp_path))


def test_prediction_has_label_and_probabilities_of_the_weights(served, weights):
    images = load_bundled_digits()["images"][:50]
    table = served.predict(images)
    expected = logistic.predict_proba(weights, images)
    np.testing.assert_array_equal(table["label"], expected.argmax(axis=1))
    np.testing.assert_array_equal(table.drop(columns="label"), expected)
    assert list(table.columns) == ["label", *(f"probability_{digit}" for digit in range(10))]


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((28, 28), dtype=np.uint8),
        np.zeros((2, 784), dtype=np.uint8),
        np.zeros((2, 28, 28), dtype=np.float32),
    ],
)
def test_predict_rejects_other_shapes_and_dtypes(served, batch):
    with pytest.raises(ValueError, match=r"expected uint8 images of shape \(n, 28, 28\), found"):
        served.predict(batch)
