"""What the search for the ranker's parameters may try: ranges, choices, and the limits of each."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from quartet.faq.settings import Settings


class _Range(Settings):
    """Numbers to search in, both ends included; `log` searches evenly in their logarithm."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low is {self.low}, above high, {self.high}")
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic range starts above 0")
        return self

    def ends(self) -> tuple[float, float]:
        """Lowest and highest value."""
        return self.low, self.high


class IntRange(_Range):
    """Whole numbers to search in, both ends included."""

    low: int
    high: int
    step: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _stepless(self) -> Self:
        if self.log and self.step != 1:
            raise ValueError("a logarithmic range has no step")
        return self

    def suggest(self, trial: Any, name: str) -> Any:
        """A value of an Optuna trial."""
        return trial.suggest_int(name, self.low, self.high, log=self.log, step=self.step)


class FloatRange(_Range):
    """Numbers to search in, both ends included."""

    def suggest(self, trial: Any, name: str) -> Any:
        """A value of an Optuna trial."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)


class Choices(Settings):
    """Values to choose from, in no order."""

    choices: tuple[bool | int | float | str, ...] = Field(min_length=1)

    def suggest(self, trial: Any, name: str) -> Any:
        """A value of an Optuna trial."""
        return trial.suggest_categorical(name, list(self.choices))

    def ends(self) -> tuple[Any, ...]:
        """All values."""
        return self.choices


Whole = IntRange | Choices | int
Number = FloatRange | Choices | float

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
_NAMES = {"weighting": {"none", "balanced"}, "objective": {"binary", "lambdarank"}}
_WHOLE = {"negatives", "trees", "num_leaves", "min_child_samples"}


def _tunable(name: str, value: Any) -> Any:
    """The range or choices that a mapping describes; other values as they are.

    Choices win over a range: who names them in `conf/local` means these.
    """
    if not isinstance(value, dict):
        return value
    try:
        if "choices" in value:
            return Choices(choices=value["choices"])
        return (IntRange if name in _WHOLE else FloatRange)(**value)
    except ValidationError as error:
        faults = (
            " ".join([*map(str, fault["loc"]), fault["msg"].removeprefix("Value error, ")])
            for fault in error.errors()
        )
        raise ValueError(f"{name}: {'; '.join(faults)}") from error


class SearchSpace(Settings):
    """What a trial chooses: each a range, a list of choices, or one fixed value."""

    word_ngrams: Choices | int = Field(
        Choices(choices=(1, 2)),
        description="Longest run of words among the features, one of those that were made.",
    )
    negatives: Whole = Field(
        IntRange(low=5, high=40, log=True),
        description="Wrong originals that each training question is shown beside the right one.",
    )
    hard_share: Number = Field(
        FloatRange(low=0.5, high=1),
        description="Share of these that are the most similar wrong ones; the others are random.",
    )
    weighting: Choices | str = Field(
        Choices(choices=("none", "balanced")),
        description="`balanced` gives right and wrong pairs the same total weight.",
    )
    objective: Choices | str = Field(
        Choices(choices=("binary", "lambdarank")),
        description="Learn pair by pair, or the order of each question's candidates.",
    )
    trees: Whole = Field(
        400, description="Trees at most; a trial stops earlier when they no longer help."
    )
    num_leaves: Whole = Field(IntRange(low=3, high=31, log=True), description="Leaves of a tree.")
    min_child_samples: Whole = Field(
        IntRange(low=5, high=100, log=True), description="Pairs a leaf needs."
    )
    learning_rate: Number = Field(
        FloatRange(low=0.02, high=0.15, log=True), description="Step from tree to tree."
    )
    feature_fraction: Number = Field(
        FloatRange(low=0.3, high=1), description="Share of the features each tree may look at."
    )
    bagging_fraction: Number = Field(
        FloatRange(low=0.5, high=1), description="Share of the pairs each tree is fitted on."
    )
    l2: Number = Field(
        FloatRange(low=0.1, high=30, log=True), description="Penalty on the leaves' values."
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        """Ranges and choices as what they are, so that a fault is told once and by its name."""
        if not isinstance(given, dict):
            return given
        return {name: _tunable(name, value) for name, value in given.items()}

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        for name, tunable in self:
            values = tunable.ends() if hasattr(tunable, "ends") else (tunable,)
            for value in values:
                if name in _NAMES and value not in _NAMES[name]:
                    known = " or ".join(sorted(_NAMES[name]))
                    raise ValueError(f"{name} can be {known}, not {value!r}")
                if name in _BOUNDS:
                    low, high = _BOUNDS[name]
                    if isinstance(value, str) or not low <= value <= high:
                        raise ValueError(f"{name} must lie within {low:g} and {high:g}: {value!r}")
        return self
