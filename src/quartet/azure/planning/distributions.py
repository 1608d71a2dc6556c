"""How long what nobody controls takes: a machine's coming, an image's way, a step's detour."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_BLOCK = 64
"""Values drawn at a time: one by one, NumPy's calls would cost more than the rest of a play."""
_SHAPES: dict[str, tuple[str, ...]] = {
    "fixed": ("value",),
    "uniform": ("low", "high"),
    "triangular": ("low", "most likely", "high"),
    "exponential": ("mean",),
    "lognormal": ("mean", "coefficient of variation"),
}
"""Numbers that each shape takes."""


@dataclass(frozen=True)
class Distribution:
    """Of a positive quantity.

    Attributes:
        shape: `fixed`, `uniform`, `triangular`, `exponential` or `lognormal`.
        numbers: What the shape takes, in this order: a value; low and high; low, most likely and
            high; mean; mean and coefficient of variation.

    Raises:
        ValueError: There is no such shape, or its numbers are too many, too few, negative or in
            the wrong order.
    """

    shape: str
    numbers: tuple[float, ...]

    def __post_init__(self) -> None:
        wanted = _SHAPES.get(self.shape)
        if wanted is None:
            raise ValueError(f"no distribution '{self.shape}'; known: {', '.join(_SHAPES)}")
        said = f"{self.shape} {list(self.numbers)}"
        if len(self.numbers) != len(wanted):
            raise ValueError(f"{said}: takes {len(wanted)} numbers ({', '.join(wanted)})")
        if not all(0 <= number < math.inf for number in self.numbers):
            raise ValueError(f"{said}: numbers are 0 or more")
        ordered = self.shape in ("uniform", "triangular")
        if ordered and list(self.numbers) != sorted(self.numbers):
            raise ValueError(f"{said}: its numbers go from low to high")

    @classmethod
    def of(cls, told: Any) -> Distribution:
        """From `90`, or from `{uniform: [60, 180]}` as files have it.

        Raises:
            ValueError: It is neither.
        """
        if isinstance(told, int | float) and not isinstance(told, bool):
            return cls("fixed", (float(told),))
        if isinstance(told, Mapping) and len(told) == 1:
            (shape, numbers) = next(iter(told.items()))
            listed = numbers if isinstance(numbers, list | tuple) else [numbers]
            if all(isinstance(number, int | float) for number in listed):
                return cls(str(shape), tuple(float(number) for number in listed))
        raise ValueError(f"{told}: say a number, or for example {{uniform: [60, 180]}}")

    @property
    def mean(self) -> float:
        """The expected value."""
        match self.shape:
            case "uniform" | "triangular":
                return sum(self.numbers) / len(self.numbers)
            case _:
                return self.numbers[0]

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        """That many values."""
        numbers = self.numbers
        match self.shape:
            case "uniform":
                return random.uniform(numbers[0], numbers[1], count)
            case "triangular" if numbers[0] < numbers[2]:
                return random.triangular(numbers[0], numbers[1], numbers[2], count)
            case "exponential":
                return random.exponential(numbers[0], count)
            case "lognormal" if numbers[0] and numbers[1]:
                variance = math.log1p(numbers[1] ** 2)
                middle = math.log(numbers[0]) - variance / 2
                return random.lognormal(middle, math.sqrt(variance), count)
            case _:
                return np.full(count, numbers[0])

    def __str__(self) -> str:
        if self.shape == "fixed":
            return f"{self.numbers[0]:g} s"
        return f"{self.shape} {', '.join(f'{number:g}' for number in self.numbers)} s"


def sampler(distribution: Distribution, random: np.random.Generator) -> Callable[[], float]:
    """A function that draws one value after the other, quickly."""
    if distribution.shape == "fixed":
        value = distribution.numbers[0]
        return lambda: value
    values: list[float] = []

    def draw() -> float:
        if not values:
            values.extend(distribution.draw(random, _BLOCK).tolist())
        return values.pop()

    return draw


FIXED_ZERO = Distribution("fixed", (0.0,))
"""What does not happen in the case at hand."""
SURE = Distribution("fixed", (1.0,))
"""A factor that changes nothing."""
