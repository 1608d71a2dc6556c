"""A drawn digit must look to the classifier like those that it was trained on."""

import numpy as np
import pytest

from quartet.digits.drawing import draw_strokes

SEVEN = [np.array([[40, 30], [160, 30], [90, 200]])]


def test_the_image_does_not_depend_on_where_and_how_large_a_digit_is_drawn():
    image = draw_strokes(SEVEN)
    elsewhere = draw_strokes([stroke * 0.25 + 500 for stroke in SEVEN])
    np.testing.assert_array_equal(image, elsewhere)


def test_a_digit_fills_the_box_of_mnist_around_its_centre_of_mass():
    image = draw_strokes(SEVEN)
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    rows = np.flatnonzero(image.any(axis=1))
    assert rows[-1] - rows[0] + 1 in (20, 21)
    assert image.max() == 255
    ink = image.astype(float)
    positions = np.arange(28)
    for axis in (0, 1):
        assert np.average(positions, weights=ink.sum(axis=axis)) == pytest.approx(13.5, abs=0.1)


def test_strokes_are_drawn_upright_and_apart():
    image = draw_strokes([[[0, 0], [0, 100]], [[60, 50], [60, 100]]])
    upper, lower = image[6, :], image[21, :]
    assert np.count_nonzero(np.diff((upper > 128).astype(int)) == 1) == 1
    assert np.count_nonzero(np.diff((lower > 128).astype(int)) == 1) == 2


def test_a_dot_is_a_dot():
    image = draw_strokes([[[7, 9]]])
    assert 1 <= np.count_nonzero(image > 128) <= 12


@pytest.mark.parametrize("strokes", [[], [[]], [[[np.nan, 1.0]]]])
def test_no_points_are_reported(strokes):
    with pytest.raises(ValueError, match="draw again"):
        draw_strokes(strokes)
