"""The figures show the progress of a training."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from quartet.style.training_figures import Previews, draw_loss_curves, draw_preview_grid, to_png
from style_inputs import photographs, stripes

SUBJECTS = photographs(2)


def previews(steps, subjects=SUBJECTS):
    return Previews(stripes(), subjects, steps)


def negative(picture):
    return 255 - picture


def shown_steps(arrays):
    return sorted({int(name.split("/")[1]) for name in arrays if name.startswith("step/")})


def titles(figure):
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


def test_grid_shows_first_last_and_few_steps_between():
    steps = list(range(250, 5001, 250))
    grid = previews(steps)
    for step in steps:
        grid.add(step, negative)
        found = shown_steps(grid.to_arrays())
        assert found[0] == 250
        assert found[-1] == step
        assert len(found) <= 7
    assert shown_steps(grid.to_arrays()) == [250, 500, 750, 1500, 2750, 5000]


@pytest.mark.parametrize(
    ("steps", "shown"), [([1], [1]), ([10, 20], [10, 20]), (list(range(1, 8)), [1, 2, 3, 5, 7])]
)
def test_short_training_shows_all_steps(steps, shown):
    grid = previews(steps)
    for step in steps:
        grid.add(step, negative)
    assert shown_steps(grid.to_arrays()) == shown


def test_previews_show_the_test_photographs():
    grid = previews([1])
    grid.add(1, negative)
    arrays = grid.to_arrays()
    assert arrays["painting"].shape == (256, 384, 3)
    for row in range(2):
        assert min(arrays[f"photograph/{row}"].shape[:2]) == 256
        np.testing.assert_array_equal(arrays[f"step/1/{row}"], 255 - arrays[f"photograph/{row}"])


def test_resumed_training_keeps_its_previews():
    complete, stopped, resumed = (previews([1, 2, 3]) for _ in range(3))
    for step in (1, 2, 3):
        complete.add(step, negative)
    stopped.add(1, negative)
    resumed.restore(stopped.to_arrays())
    for step in (2, 3):
        resumed.add(step, negative)
    assert resumed.to_arrays().keys() == complete.to_arrays().keys()
    for name, array in complete.to_arrays().items():
        np.testing.assert_array_equal(resumed.to_arrays()[name], array)


class Faulty(dict):
    def __getitem__(self, name):
        if name == "0.png":
            raise ValueError("cut short")
        return super().__getitem__(name)


def test_broken_test_photographs_are_skipped():
    grid = previews([1], Faulty(photographs(9)))
    assert sum(name.startswith("photograph/") for name in grid.to_arrays()) == 4
    with pytest.raises(
        ValueError, match=r"test_photographs: none can be read; last error: cut short"
    ):
        previews([1], Faulty(photographs(1)))


def test_grid_labels_painting_photographs_and_steps():
    grid = previews([250, 5000])
    for step in (250, 5000):
        grid.add(step, negative)
    figure = draw_preview_grid(dict(reversed(grid.to_arrays().items())))
    assert titles(figure) == ["painting", "photograph", "step 250", "step 5,000"]
    pictures = [axis.get_images()[0].get_array() for axis in figure.axes]
    assert len(pictures) == 1 + 2 * 3
    np.testing.assert_array_equal(pictures[-1], grid.to_arrays()["step/5000/1"])
    for photograph, stylized in zip(pictures[1:3], pictures[3:5], strict=True):
        np.testing.assert_array_equal(stylized, negative(photograph))
    with Image.open(io.BytesIO(to_png(figure))) as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height > 300


@pytest.mark.parametrize("rows", [1, 20])
def test_each_loss_has_a_curve_with_its_last_value(rows):
    history = pd.DataFrame(
        {
            "step": 250 * np.arange(1, rows + 1),
            "content": np.linspace(1, 0.5, rows),
            "style": np.geomspace(1, 0.1234, rows),
            "roughness": np.full(rows, 0.05),
        }
    )
    figure = draw_loss_curves(history)
    for axis, name in zip(figure.axes, ("content", "style", "roughness"), strict=True):
        assert axis.get_title().startswith(name)
        np.testing.assert_array_equal(axis.lines[0].get_ydata(), history[name])
        assert [text.get_text() for text in axis.texts] == [f"{history[name].iloc[-1]:.3f}"]
        assert axis.get_ylim()[0] == 0
    to_png(figure)
