"""What a training of a style looks like: curves of its losses, a grid of pictures on the way."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from quartet.style.photographs import Photographs, Picture, scaled_to

_INK = "#1f3a5f"
_MARK = "#c8553d"
_PREVIEW_SIDE = 256
_MOST_PHOTOGRAPHS = 4
_MOST_STEPS = 6
_PAINTING, _PHOTOGRAPH, _STEP = "painting", "photograph", "step"


class Previews:
    """Test photographs as they are stylized at a few steps of a training, and the last.

    Args:
        painting: Shape (h, w, 3), uint8 RGB.
        photographs: By name; the first four that can be read are shown.
        steps: Numbers of all steps at which pictures are made, the last at the end.

    Raises:
        ValueError: No photograph can be read.
    """

    def __init__(self, painting: Picture, photographs: Photographs, steps: Sequence[int]) -> None:
        self._lasting = _spread(steps)
        self._subjects = _readable(photographs)
        self._pictures: dict[int, list[Picture]] = {}
        self._painting = scaled_to(painting, _PREVIEW_SIDE)

    def add(self, step: int, stylize: Callable[[Picture], Picture]) -> None:
        """Stylize all; of earlier steps only those stay that the finished grid will show."""
        self._pictures = {
            number: pictures
            for number, pictures in self._pictures.items()
            if number in self._lasting and number < step
        }
        self._pictures[step] = [stylize(subject) for subject in self._subjects]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that is shown, for a file of arrays; `preview_grid` draws it.

        `painting`, `photograph/ROW` and `step/NUMBER/ROW`, each of shape (h, w, 3), uint8 RGB.
        """
        return {
            _PAINTING: self._painting,
            **{f"{_PHOTOGRAPH}/{row}": subject for row, subject in enumerate(self._subjects)},
            **{
                f"{_STEP}/{number}/{row}": picture
                for number, pictures in self._pictures.items()
                for row, picture in enumerate(pictures)
            },
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go back to the pictures that `arrays` told; others are ignored."""
        self._pictures = _by_step(arrays)


def _spread(steps: Sequence[int]) -> set[int]:
    """A few of the steps, close at first, when most changes, and the last."""
    places = np.geomspace(1, len(steps), min(_MOST_STEPS, len(steps))).round().astype(int)
    return {steps[place - 1] for place in places}


def _readable(photographs: Photographs) -> list[Picture]:
    found: list[Picture] = []
    reason: ValueError | None = None
    for name in photographs:
        if len(found) == _MOST_PHOTOGRAPHS:
            break
        try:
            found.append(scaled_to(photographs[name], _PREVIEW_SIDE))
        except ValueError as error:
            reason = error
    if not found:
        raise ValueError(f"there is no test photograph that can be read ({reason})") from reason
    return found


def _by_step(arrays: Mapping[str, NDArray[Any]]) -> dict[int, list[Picture]]:
    places = sorted(
        (int(number), int(row))
        for kind, number, row in (name.split("/") for name in arrays if name.count("/") == 2)
        if kind == _STEP
    )
    found: dict[int, list[Picture]] = {}
    for number, row in places:
        found.setdefault(number, []).append(arrays[f"{_STEP}/{number}/{row}"])
    return found


def preview_grid(arrays: Mapping[str, NDArray[Any]]) -> Figure:
    """The painting, and a row for each test photograph: itself, and stylized at the steps.

    Args:
        arrays: As `Previews.arrays` tells them.
    """
    steps = _by_step(arrays)
    # By number: arrays that have been in a file come back in any order.
    rows = sum(name.startswith(f"{_PHOTOGRAPH}/") for name in arrays)
    subjects = [arrays[f"{_PHOTOGRAPH}/{row}"] for row in range(rows)]
    columns = {"photograph": subjects} | {f"step {n:,}": made for n, made in steps.items()}
    widths = [max(part.shape[1] / part.shape[0] for part in column) for column in columns.values()]
    painting = arrays[_PAINTING]
    first = painting.shape[1] / painting.shape[0]
    height = 2.1
    figure = Figure(
        figsize=(height * (first + sum(widths)) + 0.6, height * rows + 0.5), layout="constrained"
    )
    grid = figure.add_gridspec(rows, len(widths) + 1, width_ratios=[first, *widths])
    _show(figure.add_subplot(grid[:, 0]), painting, "painting")
    for column, (title, pictures) in enumerate(columns.items(), start=1):
        for row, picture in enumerate(pictures):
            _show(figure.add_subplot(grid[row, column]), picture, title if row == 0 else "")
    return figure


def _show(axis: Any, picture: Picture, title: str) -> None:
    axis.axis("off")
    axis.imshow(picture)
    axis.set_title(title, fontsize=10)


def png(figure: Figure) -> bytes:
    """The content of a PNG file of the figure."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()


def loss_curves(history: pd.DataFrame) -> Figure:
    """The three losses by step, each with a scale of its own, before their weights.

    Args:
        history: Columns `step`, `content`, `style` and `roughness`.
    """
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    titles = {
        "content": "content: distance to the photograph",
        "style": "style: distance to the painting",
        "roughness": "roughness: difference of neighbouring pixels",
    }
    for axis, (name, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        axis.plot(history["step"], history[name], "o-", ms=3, color=_INK)
        axis.margins(x=0.04, y=0.1)
        left, right = axis.get_xlim()
        axis.set(xlim=(left, right + 0.12 * (right - left)), ylim=(0, None))
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step")
        axis.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        last = history.iloc[-1]
        axis.annotate(
            f"{last[name]:.3f}",
            (last["step"], last[name]),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=_MARK,
        )
    return figure
