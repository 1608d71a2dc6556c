"""Parameters of the FAQ scenario, with their ranges and the reason for each default."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seed = Annotated[int, Field(ge=0, lt=2**32, description="Start of every random choice made here.")]
Share = Annotated[float, Field(gt=0, lt=1)]


class Settings(BaseModel):
    """Immutable, and strict about names: a misspelt parameter is an error."""

    # Built on first use: listing the pipelines should not pay for it.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class DumpReading(Settings):
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


class Cleaning(Settings):
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


class DuplicateSplit(Settings):
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


class TextFeatures(Settings):
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


class StudySettings(Settings):
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
        60,
        ge=1,
        description="Trees without a better metric after which a trial stops, counted from the "
        "first mean over `report_every` trees on.",
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


class Refit(Settings):
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


class TestEvaluation(Settings):
    """How the ranker is judged on the test duplicates."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    seed: Seed
    ranks: int = Field(5, ge=3, le=50, description="Highest k for which gain@k is reported.")
    resamples: int = Field(2000, ge=100, description="Bootstrap samples behind each 95 % interval.")
    bins: int = Field(10, ge=2, description="Intervals of probability in the calibration curve.")
    hardest: int = Field(15, ge=1, description="Originals shown in the report of the hardest.")


class ReferenceRecipe(Settings):
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


class Matching(Settings):
    """What is answered to a new question."""

    matches: int = Field(3, ge=1, description="Originals returned for each question.")
    examples: int = Field(20, ge=1, description="Questions shown in the report.")
