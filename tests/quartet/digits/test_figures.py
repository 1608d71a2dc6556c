"""Every figure must be drawn, also of sets that are small, perfect or lack a digit."""

import io

import numpy as np
import pandas as pd
import pytest

from quartet.digits import figures

IMAGES = np.zeros((13, 28, 28), dtype=np.uint8)
LABELS = np.arange(13, dtype=np.uint8) % 10


def drawn(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def texts(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def titles(figure):
    return [axis.get_title() for axis in figure.axes]


def test_each_image_of_a_grid_stands_under_its_caption():
    figure = figures.plot_digit_grid(IMAGES, [str(label) for label in LABELS], "digits")
    assert drawn(figure)
    shown = [axis.get_title() for axis in figure.axes if axis.images]
    assert shown == [str(label) for label in LABELS]


def test_the_bars_are_the_counts():
    train, test = np.arange(10) * 7, np.arange(10)
    figure = figures.plot_class_counts(train, test)
    assert drawn(figure)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == [*train, *test]


def test_the_chosen_strength_is_the_one_marked():
    results = pd.DataFrame(
        {"regularisation_strength": [10.0, 1.0, 100.0], "validation_accuracy": [0.92, 0.91, 0.9]}
    )
    figure = figures.plot_sweep(results, 10.0)
    assert drawn(figure)
    curve, mark = figure.axes[0].lines
    assert list(curve.get_xdata()) == [1.0, 10.0, 100.0]
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([10.0], [0.92])


def test_the_confusion_matrix_shows_every_count_and_no_zero():
    confusion = np.diag(np.arange(10)) + 0
    confusion[3, 5] = 41
    figure = figures.plot_confusion_matrix(confusion, "model")
    assert drawn(figure)
    assert sorted(texts(figure), key=int) == [*"123456789", "41"]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("predicted", "actual")


@pytest.mark.parametrize("draw", [figures.plot_confusion_matrix, figures.plot_error_rates])
def test_without_a_mistake_the_colours_still_begin_at_none(draw):
    values = np.zeros((10, 10), dtype=int)
    (image,) = draw(values, "network").axes[0].images
    assert image.get_clim() == (0, 1)


def test_error_rates_have_actual_digits_down():
    rates = np.zeros((10, 10))
    rates[3, 5] = 0.25
    figure = figures.plot_error_rates(rates, "model")
    assert drawn(figure)
    assert figure.axes[0].images[0].get_array()[3, 5] == 0.25


@pytest.mark.parametrize("count", [0, 1, 13])
def test_mistakes_say_what_was_read_as_what(count):
    confidence = np.full(count, 0.87, dtype=np.float32)
    figure = figures.plot_worst_mistakes(
        IMAGES[:count], LABELS[:count], LABELS[:count], confidence, "model"
    )
    assert drawn(figure)
    captions = [f"{label} read as {label}\n87% sure" for label in LABELS[:count]]
    assert titles(figure)[:count] == captions
    assert ("no mistakes" in figure.get_suptitle()) == (count == 0)


def test_the_history_shows_loss_and_learning_rate():
    history = pd.DataFrame(
        {"epoch": [1, 2], "training_loss": [1.0, 0.1], "learning_rate": [0.1, 0.0]}
    )
    figure = figures.plot_training_history(history)
    assert drawn(figure)
    loss, rate = figure.axes
    assert list(loss.lines[0].get_ydata()) == [1.0, 0.1]
    assert list(rate.lines[0].get_ydata()) == [0.1, 0.0]
