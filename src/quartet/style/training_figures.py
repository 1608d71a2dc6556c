"""Draw the loss curves of a training and the previews on the way."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from quartet.style.photographs import Photographs, Picture, scale_shorter_side

_INK = "#1f3a5f"
_MARK = "#c8553d"
_PREVIEW_SIDE = 256
"""Shorter side of a preview, pixels."""
_MAX_PHOTOGRAPHS = 4
_MAX_STEPS = 6
"""Rows of the grid, and its columns of stylized pictures."""
_PAINTING, _PHOTOGRAPH, _STEP = "painting", "photograph", "step"


class Previews:
    """Test photographs stylized at selected steps of a training, and at the last.

    Args:
        painting: Shape (h, w, 3), uint8 RGB.
        photographs: Photographs by name; the first four readable ones are used.
        steps: All steps at which pictures are made, ascending.

    Raises:
        ValueError: No photograph can be read.
    """

    def __init__(self, painting: Picture, photographs: Photographs, steps: Sequence[int]) -> None:
        self._kept_steps = _select_steps(steps)
        self._subjects = _load_photographs(photographs)
        self._pictures: dict[int, list[Picture]] = {}
        self._painting = scale_shorter_side(painting, _PREVIEW_SIDE)

    def add(self, step: int, stylize: Callable[[Picture], Picture]) -> None:
        """Stylize all photographs; of earlier steps, keep those that the final grid shows.

        Args:
            step: Step of the training.
            stylize: Maps a picture of shape (h, w, 3), uint8 RGB, to its stylized form.
        """
        self._pictures = {
            at_step: pictures
            for at_step, pictures in self._pictures.items()
            if at_step in self._kept_steps and at_step < step
        }
        self._pictures[step] = [stylize(subject) for subject in self._subjects]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all pictures by name, for `draw_preview_grid` and checkpoints.

        Returns:
            `painting`, `photograph/ROW` and `step/STEP/ROW`, each of shape (h, w, 3), uint8 RGB.
        """
        return {
            _PAINTING: self._painting,
            **{f"{_PHOTOGRAPH}/{row}": subject for row, subject in enumerate(self._subjects)},
            **{
                f"{_STEP}/{at_step}/{row}": picture
                for at_step, pictures in self._pictures.items()
                for row, picture in enumerate(pictures)
            },
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the stylized pictures from `to_arrays`; ignore all other entries."""
        self._pictures = _group_by_step(arrays)


def _select_steps(steps: Sequence[int]) -> set[int]:
    """Select a few steps, denser at the start, when most changes, and the last."""
    positions = np.geomspace(1, len(steps), min(_MAX_STEPS, len(steps))).round().astype(int)
    return {steps[position - 1] for position in positions}


def _load_photographs(photographs: Photographs) -> list[Picture]:
    found: list[Picture] = []
    reason: ValueError | None = None
    for name in photographs:
        if len(found) == _MAX_PHOTOGRAPHS:
            break
        try:
            found.append(scale_shorter_side(photographs[name], _PREVIEW_SIDE))
        except ValueError as error:
            reason = error
    if not found:
        raise ValueError(f"test_photographs: none can be read; last error: {reason}") from reason
    return found


def _group_by_step(arrays: Mapping[str, NDArray[Any]]) -> dict[int, list[Picture]]:
    positions = sorted(
        (int(at_step), int(row))
        for kind, at_step, row in (name.split("/") for name in arrays if name.count("/") == 2)
        if kind == _STEP
    )
    found: dict[int, list[Picture]] = {}
    for at_step, row in positions:
        found.setdefault(at_step, []).append(arrays[f"{_STEP}/{at_step}/{row}"])
    return found


def draw_preview_grid(arrays: Mapping[str, NDArray[Any]]) -> Figure:
    """Draw the painting, and one row per test photograph: original and stylized at each step.

    Args:
        arrays: Pictures as returned by `Previews.to_arrays`.
    """
    steps = _group_by_step(arrays)
    # Access rows by index: files return arrays in any order.
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
    _draw_picture(figure.add_subplot(grid[:, 0]), painting, "painting")
    for column, (title, pictures) in enumerate(columns.items(), start=1):
        for row, picture in enumerate(pictures):
            _draw_picture(figure.add_subplot(grid[row, column]), picture, title if row == 0 else "")
    return figure


def _draw_picture(axis: Any, picture: Picture, title: str) -> None:
    axis.axis("off")
    axis.imshow(picture)
    axis.set_title(title, fontsize=10)


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()


def draw_loss_curves(history: pd.DataFrame) -> Figure:
    """Draw the three unweighted losses against the step, each on its own scale.

    Args:
        history: Columns `step`, `content`, `style` and `roughness`.
    """
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    titles = {
        "content": "content: distance to the photograph",
        "style": "style: distance to the painting",
        "roughness": "roughness: total variation",
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
