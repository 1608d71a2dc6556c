"""Define the search space of the ranker's parameters: ranges, choices and their limits."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from quartet.faq.settings import Settings


class _Range(Settings):
    """An interval of numbers, both ends included; `log` samples uniformly in the logarithm."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) must not exceed high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"low ({self.low}) must be above 0 in a logarithmic range")
        return self

    def bounds(self) -> tuple[float, float]:
        """Return the lowest and the highest value."""
        return self.low, self.high

    def contains(self, value: Any) -> bool:
        """Return whether a value is in the range."""
        return bool(self.low <= value <= self.high)


class IntRange(_Range):
    """A range of integers, both ends included."""

    low: int
    high: int
    step: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _check_step(self) -> Self:
        if self.log and self.step != 1:
            raise ValueError("step must be 1 in a logarithmic range")
        return self

    def suggest(self, trial: Any, name: str) -> Any:
        """Suggest a value for an Optuna trial."""
        return trial.suggest_int(name, self.low, self.high, log=self.log, step=self.step)


class FloatRange(_Range):
    """A range of real numbers, both ends included."""

    def suggest(self, trial: Any, name: str) -> Any:
        """Suggest a value for an Optuna trial."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)


class Choices(Settings):
    """A set of categorical values."""

    choices: tuple[bool | int | float | str, ...] = Field(min_length=1)

    def suggest(self, trial: Any, name: str) -> Any:
        """Suggest a value for an Optuna trial."""
        return trial.suggest_categorical(name, list(self.choices))

    def bounds(self) -> tuple[Any, ...]:
        """Return all values, in the given order: each has to be within the limits."""
        return self.choices

    def contains(self, value: Any) -> bool:
        """Return whether a value is one of the choices."""
        return value in self.choices


Tunable = IntRange | FloatRange | Choices
"""What a trial chooses a value of; any other value is fixed."""
Integer = IntRange | Choices | int
Real = FloatRange | Choices | float

# Lowest and highest value of each parameter.
_BOUNDS: dict[str, tuple[float, float]] = {
    "word_ngrams": (1, 4),
    "negatives": (1, 1000),
    "hard_share": (0, 1),
    "trees": (1, 100_000),
    "num_leaves": (2, 131_072),
    "min_child_samples": (1, 1_000_000),
    "learning_rate": (1e-6, 1),
    "feature_fraction": (0.01, 1),
    "bagging_fraction": (0.01, 1),
    "l2": (0, 1e6),
}
_CATEGORIES = {"weighting": {"none", "balanced"}, "objective": {"binary", "lambdarank"}}
# Parameters of which a mapping with `low` and `high` is a range of integers.
_INTEGERS = {"negatives", "trees", "num_leaves", "min_child_samples"}


def _parse_value(name: str, value: Any) -> Any:
    """Return the range or choices that a mapping describes; other values unchanged.

    Choices take precedence, so that they can override a range in `conf/local`.
    """
    if not isinstance(value, dict):
        return value
    try:
        if "choices" in value:
            return Choices(choices=value["choices"])
        return (IntRange if name in _INTEGERS else FloatRange)(**value)
    except ValidationError as error:
        messages = (
            " ".join([*map(str, details["loc"]), details["msg"].removeprefix("Value error, ")])
            for details in error.errors()
        )
        raise ValueError(f"{name}: {'; '.join(messages)}") from error


class SearchSpace(Settings):
    """The hyperparameters of a trial, each a range, a list of choices or a fixed value."""

    word_ngrams: Choices | int = Field(
        Choices(choices=(1, 2)),
        description="Maximum length of word n-grams, one of `faq_features.word_ngrams`.",
    )
    negatives: Integer = Field(
        IntRange(low=5, high=40, log=True),
        description="Negatives of each training question.",
    )
    hard_share: Real = Field(
        FloatRange(low=0.5, high=1),
        description="Share of hard negatives, the most similar wrong originals; others are random.",
    )
    weighting: Choices | str = Field(
        Choices(choices=("none", "balanced")),
        description="`balanced` gives right and wrong pairs the same total weight.",
    )
    objective: Choices | str = Field(
        Choices(choices=("binary", "lambdarank")),
        description="Loss: pointwise (`binary`), or on each question's ranking (`lambdarank`).",
    )
    trees: Integer = Field(
        400, description="Maximum trees; a trial stops earlier when they no longer help."
    )
    num_leaves: Integer = Field(
        IntRange(low=3, high=31, log=True), description="Maximum leaves of a tree."
    )
    min_child_samples: Integer = Field(
        IntRange(low=5, high=100, log=True), description="Minimum pairs in a leaf."
    )
    learning_rate: Real = Field(
        FloatRange(low=0.02, high=0.15, log=True), description="Learning rate (shrinkage)."
    )
    feature_fraction: Real = Field(
        FloatRange(low=0.3, high=1), description="Share of features sampled for each tree."
    )
    bagging_fraction: Real = Field(
        FloatRange(low=0.5, high=1), description="Share of pairs sampled for each tree."
    )
    l2: Real = Field(
        FloatRange(low=0.1, high=30, log=True), description="L2 regularisation of the leaf values."
    )

    @property
    def max_trees(self) -> int:
        """The largest number of trees that a trial may have."""
        return self.trees if isinstance(self.trees, int) else int(max(self.trees.bounds()))

    @model_validator(mode="before")
    @classmethod
    def _parse_values(cls, data: Any) -> Any:
        """Parse each value by its form; trying all types would report several errors for one."""
        if not isinstance(data, dict):
            return data
        return {name: _parse_value(name, value) for name, value in data.items()}

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        for name, tunable in self:
            values = tunable.bounds() if isinstance(tunable, Tunable) else (tunable,)
            for value in values:
                if name in _CATEGORIES and value not in _CATEGORIES[name]:
                    known = " or ".join(sorted(_CATEGORIES[name]))
                    raise ValueError(f"{name} must be {known}, not {value!r}")
                if name in _BOUNDS:
                    low, high = _BOUNDS[name]
                    if isinstance(value, str) or not low <= value <= high:
                        raise ValueError(
                            f"{name} must be between {low:g} and {high:g}, not {value!r}"
                        )
        return self
