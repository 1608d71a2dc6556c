"""Classes by name are shown by name, and the log says which classifier was chosen."""

import logging

import numpy as np
import pytest

from quartet.digits import classifier
from quartet.digits.data import encode_classes
from quartet.digits.serving import DigitClassifier
from quartet.pipelines.mnist_training import nodes
from quartet.pipelines.mnist_training.release import choose_release

NAMES = ["cat", "$x_1$", "a name that is longer than twenty"]
LABELS = np.array([0, 1, 2, 2], np.uint8)
TEST = {
    "images": np.zeros((4, 28, 28), np.uint8),
    "labels": LABELS,
    "classes": encode_classes(NAMES),
}
PROBABILITIES = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]


def test_reports_name_the_classes():
    table, confusion, errors, mistakes, _ = nodes.report_on_convnet(
        TEST, {"probabilities": PROBABILITIES}
    )
    assert table["digit"].tolist() == NAMES
    for figure in (confusion, errors):
        figure.draw_without_rendering()
        shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert shown == ["cat", "$x_1$", "a name that is longe…"]
    assert "longer than twenty read as cat" in mistakes.axes[0].get_title()
    counts, _ = nodes.count_classes(TEST, TEST)
    assert counts["digit"].tolist() == NAMES
    assert counts["test"].tolist() == [1, 1, 2]


def test_predictions_name_the_classes():
    weights = {
        "coefficients": np.zeros((784, 3), np.float32),
        "intercepts": np.array([0, 1, 0], np.float32),
    }
    content = classifier.to_bytes("logistic", weights, TEST["classes"])
    predicted = DigitClassifier(*classifier.from_bytes(content)).predict(TEST["images"])
    assert predicted["label"].tolist() == ["$x_1$"] * 4
    assert list(predicted)[1:] == [f"probability_{name}" for name in NAMES]


@pytest.mark.parametrize(
    ("convnet", "level", "text"),
    [
        (0.77, logging.WARNING, "Chose the logistic regression: test accuracy 0.9180 against 0.77"),
        (
            0.95,
            logging.INFO,
            "Chose the convolutional network: test accuracy 0.9500 against 0.9180",
        ),
    ],
)
def test_the_choice_is_explained(caplog, convnet, level, text):
    weights = {name: {"w": np.zeros(1, np.float32)} for name in ("logistic", "convnet")}
    metrics = {"logistic_test_accuracy": 0.918, "convnet_test_accuracy": convnet}
    with caplog.at_level(logging.INFO):
        choose_release(weights, TEST, TEST, metrics, None, {"minimum_steps": 600})
    (record,) = [record for record in caplog.records if "Chose" in record.message]
    assert record.levelno == level
    assert text in record.message
    if level == logging.WARNING:
        assert "convnet_training.minimum_steps=1200" in record.message
