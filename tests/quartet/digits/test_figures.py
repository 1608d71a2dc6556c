"""Every figure renders, also for small sets, perfect results and missing digits."""

import io

import numpy as np
import pandas as pd
import pytest

from quartet.digits import figures

IMAGES = np.zeros((13, 28, 28), dtype=np.uint8)
LABELS = np.arange(13, dtype=np.uint8) % 10


def render(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def texts(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def titles(figure):
    return [axis.get_title() for axis in figure.axes]


def test_digit_grid_shows_each_image_under_its_caption():
    figure = figures.plot_digit_grid(IMAGES, [str(label) for label in LABELS], "digits")
    assert render(figure)
    captions = [axis.get_title() for axis in figure.axes if axis.images]
    assert captions == [str(label) for label in LABELS]


def test_bars_show_the_counts():
    train, test = np.arange(10) * 7, np.arange(10)
    figure = figures.plot_class_counts(train, test)
    assert render(figure)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == [*train, *test]


def test_sweep_marks_the_chosen_strength():
    results = pd.DataFrame(
        {"regularisation_strength": [10.0, 1.0, 100.0], "validation_accuracy": [0.92, 0.91, 0.9]}
    )
    figure = figures.plot_sweep(results, 10.0)
    assert render(figure)
    curve, mark = figure.axes[0].lines
    assert list(curve.get_xdata()) == [1.0, 10.0, 100.0]
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([10.0], [0.92])


def test_confusion_matrix_shows_all_counts_except_zeros():
    confusion = np.diag(np.arange(10)) + 0
    confusion[3, 5] = 41
    figure = figures.plot_confusion_matrix(confusion, "model")
    assert render(figure)
    assert sorted(texts(figure), key=int) == [*"123456789", "41"]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("predicted", "actual")


def test_confusion_matrix_without_errors_is_white_and_counts_the_images():
    figure = figures.plot_confusion_matrix(np.diag([3, 4]), "network")
    assert render(figure)
    (image,) = figure.axes[0].images
    assert image.get_array().mask.all()
    assert titles(figure) == ["network: 0 errors in 7 test images"]


def test_error_rates_show_actual_digits_as_rows_with_numbers():
    rates = np.zeros((10, 10))
    rates[3, 5] = 0.25
    figure = figures.plot_error_rates(rates, "model")
    assert render(figure)
    shown = figure.axes[0].images[0].get_array()
    assert shown[3, 5] == 0.25
    assert shown.mask.sum() == 99  # cells without errors are white
    (text,) = figure.axes[0].texts
    assert (text.get_position(), text.get_text()) == ((5, 3), "25")


def test_error_rates_without_errors_say_so():
    figure = figures.plot_error_rates(np.zeros((10, 10)), "model")
    assert render(figure)
    assert [text.get_text() for text in figure.texts if text.get_text() == "no errors"]
    assert not figure.axes


@pytest.mark.parametrize("count", [0, 1, 13])
def test_worst_mistakes_show_label_prediction_and_confidence(count):
    confidence = np.full(count, 0.87, dtype=np.float32)
    figure = figures.plot_worst_mistakes(
        IMAGES[:count], LABELS[:count], LABELS[:count], confidence, "model"
    )
    assert render(figure)
    captions = [f"{label} read as {label}\nconfidence 87%" for label in LABELS[:count]]
    assert titles(figure)[:count] == captions
    assert ("no mistakes" in [text.get_text() for text in figure.texts]) == (count == 0)


@pytest.mark.parametrize(("rates", "epochs"), [([0.15, 0.08], 1), ([0.1], 3)])
def test_training_history_shows_loss_learning_rate_and_search(rates, epochs):
    history = pd.DataFrame(
        {"epoch": [1, 2], "training_loss": [1.0, 0.1], "learning_rate": [0.1, 0.0]}
    )
    accuracies = [0.97, 0.96][: len(rates)]
    trials = pd.DataFrame(
        {"learning_rate": rates, "validation_accuracy": accuracies, "epochs": epochs}
    )
    figure = figures.plot_training_history(history, trials, rates[0])
    assert render(figure)
    loss, rate, search = figure.axes
    assert list(loss.lines[0].get_ydata()) == [1.0, 0.1]
    assert "no validation curve" in loss.get_title()
    assert list(rate.lines[0].get_ydata()) == [0.1, 0.0]
    assert list(search.lines[0].get_xdata()) == sorted(rates)
    assert list(search.lines[1].get_ydata()) == [0.97]
    assert f"trainings of {epochs} epoch" in search.get_title()
    assert "without the validation images" in search.get_title()


def test_accuracy_axes_have_no_ticks_above_100_percent():
    trials = pd.DataFrame(
        {"learning_rate": [0.1, 0.2], "validation_accuracy": [1.0, 1.0], "epochs": [3, 3]}
    )
    history = pd.DataFrame({"epoch": [1], "training_loss": [1.0], "learning_rate": [0.1]})
    sweep = pd.DataFrame({"regularisation_strength": [1, 10], "validation_accuracy": [1.0, 1.0]})
    figure = figures.plot_training_history(history, trials, 0.1)
    for axis in (figure.axes[-1], figures.plot_sweep(sweep, 10).axes[0]):
        ticks = axis.get_yticks()
        assert ticks.max() == pytest.approx(1)
        assert len(ticks) >= 2
