"""Parameters of the FAQ scenario, with their ranges and the reason for each default."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Seed = Annotated[int, Field(ge=0, lt=2**32, description="Start of every random choice made here.")]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Settings(BaseModel):
    """Immutable, and strict about names: a misspelt parameter is an error."""

    # Built on first use: listing the pipelines should not pay for it.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class DumpReading(_Settings):
    """What is taken from a Stack Exchange data dump."""

    tag: str = Field(
        "javascript",
        pattern=r"^\S+$",
        description="Questions with this tag are taken; the reference system took `javascript`.",
    )
    keep_unanswered: bool = Field(
        False,
        description="Whether originals without any answer are kept. They can be matched, but there "
        "is nothing to show to the person who asks.",
    )


class Cleaning(_Settings):
    """Which texts are used, and what of them."""

    min_text: int = Field(
        10,
        ge=1,
        description="Characters a question needs after cleaning, originals and duplicates alike. "
        "Low, so that one-line questions are kept; the reference system asked for 150.",
    )
    min_duplicates: int = Field(
        3,
        ge=3,
        description="Duplicates an original needs, to have one each to learn from, to tune on and "
        "to test on; the reference system asked for 12.",
    )
    require_answer: bool = Field(
        True, description="Whether originals without an answer are set aside."
    )
    remove_banner: bool = Field(
        True,
        description="Whether the banner `Possible Duplicate: …` is removed. It holds the title of "
        "the original, so a model that sees it is judged on a question that was answered for it.",
    )
    keep_code: bool = Field(
        True,
        description="Whether blocks of code count as text, as code inside a sentence always does. "
        "On four splits of the sample it lifts gain@1 from 0.41 to 0.50; the reference drops it.",
    )


class DuplicateSplit(_Settings):
    """How the duplicates of each original are divided."""

    seed: Seed
    tune_share: Share = Field(
        0.2,
        description="Share of what is left after testing that parameters are chosen on, rounded, "
        "at least one of each original. Twice the reference's: one in ten would be too noisy.",
    )
    test_share: Share = Field(
        0.1,
        description="Share that is only tested on, rounded down, at least one of each original.",
    )


class TextFeatures(_Settings):
    """How texts become vectors, and questions are compared."""

    seed: Seed
    word_ngrams: tuple[Annotated[int, Field(ge=1, le=4)], ...] = Field(
        (1, 2),
        min_length=1,
        description="Longest runs of words to make features of, each a view that a trial may "
        "choose: 2 counts single words and pairs.",
    )
    min_characters: int = Field(
        2, ge=1, le=8, description="Shortest run of characters, within words."
    )
    max_characters: int = Field(
        4, ge=1, le=8, description="Longest run of characters; 5 did no better on StackFAQ."
    )
    max_documents: int = Field(
        1000,
        ge=10,
        description="Terms in more known texts than this are left out: comparing takes as long as "
        "the commonest terms have it. Small sets lose nothing.",
    )
    candidates: int = Field(
        50,
        ge=2,
        description="Originals that are compared closely with a question, the most similar by "
        "characters. An original beyond them counts as ranked last.",
    )
    random_negatives: int = Field(
        20, ge=0, description="Originals drawn at random for each training question, at most."
    )
    margin_rivals: int = Field(
        300,
        ge=10,
        description="Texts of other originals that a support vector machine tells its own from. "
        "800 do no better on StackFAQ, 100 worse.",
    )
    margin_ridge: float = Field(
        0.1,
        gt=0,
        description="Penalty on the weights of the machines, scikit-learn's 1/(2C). Leaving each "
        "text of StackFAQ out in turn, 0.05 to 0.2 are equally good.",
    )
    character_share: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Weight of characters against words in the machines' kernel; 0.6 to 0.8 are "
        "equally good on StackFAQ.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_characters > self.max_characters:
            raise ValueError("min_characters must not exceed max_characters")
        return self


class IntRange(_Settings):
    """Whole numbers to search in, both ends included."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high or self.step < 1:
            raise ValueError(f"low {self.low}, high {self.high}, step {self.step} is no range")
        if self.log and (self.low < 1 or self.step != 1):
            raise ValueError("a logarithmic range starts at 1 at least and has no step")
        return self

    def suggest(self, trial: Any, name: str) -> Any:
        """A value of an Optuna trial."""
        return trial.suggest_int(name, self.low, self.high, log=self.log, step=self.step)

    def ends(self) -> tuple[float, float]:
        """Lowest and highest value."""
        return self.low, self.high


class FloatRange(_Settings):
    """Numbers to search in, both ends included."""

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

    def suggest(self, trial: Any, name: str) -> Any:
        """A value of an Optuna trial."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def ends(self) -> tuple[float, float]:
        """Lowest and highest value."""
        return self.low, self.high


class Choices(_Settings):
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
Category = Choices | str | int

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


class SearchSpace(_Settings):
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


class StudySettings(_Settings):
    """How the search goes on."""

    seed: Seed
    trials: int = Field(
        30,
        ge=1,
        description="Finished trials, pruned ones included; further ones go on from there.",
    )
    sampler: Literal["tpe", "random"] = Field(
        "tpe",
        description="`tpe` learns from earlier trials where to look (Bergstra et al. 2011).",
    )
    pruner: Literal["median", "hyperband", "none"] = Field(
        "median",
        description="Which trials are given up early: `median` those below the median of earlier "
        "ones at the same number of trees, `hyperband` after Li et al. 2018.",
    )
    metric: Literal["mean_reciprocal_rank", "gain_at_1", "gain_at_3"] = Field(
        "mean_reciprocal_rank",
        description="What is maximised on the tuning duplicates. The gains take few values, so "
        "that many trials tie; the reference's was gain at 3.",
    )
    caution: float = Field(
        1.0,
        ge=0,
        description="Standard errors by which a trial must lead the parameters to start from to be "
        "preferred. On ten splits of StackFAQ the very best trials ranked new questions worse.",
    )
    patience: int = Field(
        60, ge=1, description="Trees without a better metric after which a trial stops."
    )
    report_every: int = Field(
        20,
        ge=1,
        description="Trees between two reports to the pruner, each a write to the database.",
    )
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="Processes that try side by side, one core each. With one, the same seed gives "
        "the same study; with more, what a trial learns from depends on which finish first.",
    )


class Refit(_Settings):
    """How the best trial is fitted on training and tuning duplicates together."""

    seed: Seed
    more_trees: float = Field(
        1.2,
        ge=1,
        le=20,
        description="Trees, as a multiple of what was best in the search: there is more to learn "
        "from now.",
    )
    folds: int = Field(
        5,
        ge=2,
        description="Parts in which questions are left out in turn, to calibrate on scores of "
        "questions that were not learned from.",
    )


class TestEvaluation(_Settings):
    """How the ranker is judged on the test duplicates."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    seed: Seed
    ranks: int = Field(5, ge=3, le=50, description="Highest k for which gain@k is reported.")
    resamples: int = Field(2000, ge=100, description="Bootstrap samples behind each 95 % interval.")
    bins: int = Field(10, ge=2, description="Intervals of probability in the calibration curve.")
    hardest: int = Field(15, ge=1, description="Originals shown in the report of the hardest.")


class ReferenceRecipe(_Settings):
    """The reference system's own recipe, fitted beside ours for comparison."""

    seed: Seed
    trees: int = Field(1000, ge=1, description="As in the reference's search.")
    match: int = Field(
        20, ge=2, description="Pairs a duplicate, one of them right; the reference's default."
    )
    min_child_samples: int = Field(20, ge=1, description="The reference's default.")
    ngrams: int = Field(1, ge=1, le=4, description="The reference's default.")
    most_originals: int = Field(
        500,
        ge=0,
        description="Originals above which the recipe is left out: it scores every test question "
        "with every original, which at 2,000 takes longer than all the rest together.",
    )


class Matching(_Settings):
    """What is answered to a new question."""

    matches: int = Field(3, ge=1, description="Originals returned for each question.")
    examples: int = Field(20, ge=1, description="Questions shown in the report.")
