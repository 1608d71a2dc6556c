"""Define the parameters of the FAQ scenario, with ranges and the reason for each default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seed = Annotated[int, Field(ge=0, lt=2**32, description="Seed of the random generator.")]
Share = Annotated[float, Field(gt=0, lt=1)]
AUTO, LEXICAL = "auto", "lexical"
"""Values of `TextFeatures.encoder` other than a folder."""
ShareCheck = Callable[[str, int, Mapping[str, int], str], None]
"""Compares a share with `min_accepted_share`; may raise. Arguments: name of the file or dataset,
number of valid rows, numbers of invalid rows by reason, and an invalid row as an example."""

MinAcceptedShare = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="Least share of rows that the checks must accept, of each file or table. Below "
        "it the run fails with the reasons; a half is too little for any result to be trusted.",
    ),
]


class Settings(BaseModel):
    """Base of all parameter models: immutable, and unknown names are errors."""

    # Validators are built on first use, so that listing the pipelines stays fast.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class DumpSelection(Settings):
    """Which questions to extract from a Stack Exchange data dump."""

    tag: str = Field(
        "javascript",
        pattern=r"^\S+$",
        description="Tag of the originals to extract; `javascript` in the reference system.",
    )
    keep_unanswered: bool = Field(
        False,
        description="Whether to keep originals without an answer. They can be matched, but there "
        "is no answer to show.",
    )
    min_accepted_share: MinAcceptedShare = 0.5


class Cleaning(Settings):
    """How to filter and clean texts."""

    min_text: int = Field(
        10,
        ge=1,
        description="Minimum characters of an original or duplicate after cleaning. Low, so that "
        "one-line questions are kept; 150 in the reference system.",
    )
    min_duplicates: int = Field(
        0,
        ge=0,
        description="Minimum duplicates of an original; others are left out and cannot be matched. "
        "12 in the reference system.",
    )
    require_answer: bool = Field(
        True, description="Whether to quarantine originals without an answer."
    )
    remove_banner: bool = Field(
        True,
        description="Whether to remove the banner `Possible Duplicate: …`. It contains the title "
        "of the original, so keeping it leaks the label into the texts.",
    )
    keep_code: bool = Field(
        True,
        description="Whether to keep blocks of code; inline code is always kept. On four splits of "
        "the sample this raises gain@1 from 0.67 to 0.71; the reference system drops them.",
    )
    min_accepted_share: MinAcceptedShare = 0.5


class DuplicateSplit(Settings):
    """How to split the duplicates of each original into training, tuning and test sets."""

    seed: Seed
    tune_share: Share = Field(
        0.2,
        description="Share of the duplicates outside the test set that parameters are chosen on, "
        "rounded, at least one of each original. Twice the reference's, whose 0.1 is too noisy.",
    )
    test_share: Share = Field(
        0.1,
        description="Share of the test set, rounded down, at least one duplicate of each original.",
    )
    min_training: int = Field(
        30,
        ge=3,
        description="Training duplicates below which the ranker is not tuned: questions are "
        "matched by a similarity without parameters. On StackFAQ, trees fitted on 20 duplicates "
        "are worse than it, on 40 equal, and on 160 better.",
    )


class TextFeatures(Settings):
    """How to vectorise texts and compare questions."""

    seed: Seed
    word_ngrams: tuple[Annotated[int, Field(ge=1, le=4)], ...] = Field(
        (1, 2),
        min_length=1,
        description="Maximum lengths of word n-grams, each a view that a trial may choose. 2 means "
        "single words and pairs.",
    )
    min_characters: int = Field(
        2, ge=1, le=8, description="Minimum length of character n-grams, within words."
    )
    max_characters: int = Field(
        4,
        ge=1,
        le=8,
        description="Maximum length of character n-grams; 5 is no better on StackFAQ.",
    )
    max_documents: int = Field(
        1000,
        ge=10,
        description="Terms in more texts than this are ignored (`max_df`), because the most common "
        "terms dominate the time of comparisons. Small data sets are not affected.",
    )
    candidates: int = Field(
        50,
        ge=2,
        description="Originals that are retrieved for a question by character similarity and then "
        "ranked. An original outside them counts as ranked last.",
    )
    random_negatives: int = Field(
        20, ge=0, description="Random negatives drawn for each training question, at most."
    )
    margin_rivals: int = Field(
        300,
        ge=10,
        description="Texts of other originals in the training set of each support vector machine. "
        "800 are no better on StackFAQ, 100 are worse.",
    )
    margin_ridge: float = Field(
        0.1,
        gt=0,
        description="Regularisation of the support vector machines, 1/(2C) in scikit-learn's "
        "terms. In leave-one-out validation on StackFAQ, 0.05 to 0.2 are equally good.",
    )
    character_share: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Weight of the character view in the kernel, relative to the word view; "
        "0.6 to 0.8 are equally good on StackFAQ.",
    )
    encoder: str = Field(
        AUTO,
        min_length=1,
        description="Sentence encoder: the folder of one, `lexical` for none, or `auto` for that "
        "of `kedro fetch encoder` if it has been fetched. Without one, only texts that share words "
        "are similar.",
    )
    sentence_share: float = Field(
        0.4,
        ge=0,
        le=1,
        description="Weight of the sentence view, if there is one, relative to words and "
        "characters, in retrieval and in the kernel.",
    )

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.min_characters > self.max_characters:
            raise ValueError("min_characters must not exceed max_characters")
        return self


class StudySettings(Settings):
    """How to run the hyperparameter search."""

    seed: Seed
    trials: int = Field(
        30,
        ge=1,
        description="Finished trials, including pruned ones. A larger number continues the study.",
    )
    sampler: Literal["tpe", "random"] = Field(
        "tpe",
        description="`tpe` samples near the best earlier trials (Bergstra et al. 2011).",
    )
    pruner: Literal["median", "hyperband", "none"] = Field(
        "median",
        description="Which trials to stop early: `median` stops those below the median of earlier "
        "trials at the same number of trees, `hyperband` follows Li et al. 2018.",
    )
    metric: Literal["mean_reciprocal_rank", "gain_at_1", "gain_at_3"] = Field(
        "mean_reciprocal_rank",
        description="Metric to maximise on the tuning duplicates. Gains take few values, so many "
        "trials tie; the reference system uses gain@3.",
    )
    caution: float = Field(
        1.0,
        ge=0,
        description="Standard errors by which the best trial must beat the default parameters to "
        "be chosen. On ten splits of StackFAQ the best trials ranked new questions worse.",
    )
    patience: int = Field(
        60,
        ge=1,
        description="Trees without improvement after which a trial stops, counted from the first "
        "mean over `report_every` trees.",
    )
    report_every: int = Field(
        20,
        ge=1,
        description="Trees between reports to the pruner; each is written to the database.",
    )
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="Parallel worker processes, one core each. Only with one worker does the same "
        "seed give the same study; with more, it depends on which trials finish first.",
    )


class Refit(Settings):
    """How to refit the best trial on the training and tuning duplicates."""

    seed: Seed
    more_trees: float = Field(
        1.2,
        ge=1,
        le=20,
        description="Factor for the best number of trees of the search, as there is more training "
        "data.",
    )
    folds: int = Field(
        5,
        ge=2,
        description="Cross-validation folds of the calibration, which is fitted on out-of-fold "
        "scores; and parts of the originals that are held out in turn to learn which questions "
        "have no answer.",
    )
    answerable_recall: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="Share of the questions with an original that the threshold of `answerable` "
        "accepts; a lower one accepts fewer without an original. The report "
        "`answerable_thresholds` has the cost of each threshold.",
    )


class TestEvaluation(Settings):
    """How to evaluate the ranker on the test duplicates."""

    __test__ = False  # keeps pytest from collecting the class as a test

    seed: Seed
    ranks: int = Field(5, ge=3, le=50, description="Highest k of gain@k.")
    resamples: int = Field(2000, ge=100, description="Bootstrap samples of each 95 % interval.")
    bins: int = Field(10, ge=2, description="Bins of the calibration curve.")
    hardest: int = Field(15, ge=1, description="Originals in the report of the hardest ones.")


class ReferenceRecipe(Settings):
    """The recipe of the reference system, fitted as a baseline."""

    seed: Seed
    trees: int = Field(1000, ge=1, description="Boosted trees; the reference's value.")
    match: int = Field(
        20,
        ge=2,
        description="Pairs for each duplicate, one of them right; the reference's default.",
    )
    min_child_samples: int = Field(
        20, ge=1, description="Minimum pairs in a leaf; the reference's default."
    )
    ngrams: int = Field(
        1, ge=1, le=4, description="Maximum length of word n-grams; the reference's default."
    )
    max_originals: int = Field(
        500,
        ge=0,
        description="Originals above which the recipe is skipped. It scores every test question "
        "against every original, which for 2,000 takes longer than the rest of the pipeline.",
    )


class Matching(Settings):
    """What to return for a new question."""

    matches: int = Field(3, ge=1, description="Originals to return for each question.")
    examples: int = Field(20, ge=1, description="Questions in the report.")
    min_answerable: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Probability `answerable` below which a question counts as unanswered; null "
        "for the ranker's threshold, see `faq_refit.answerable_recall`.",
    )
    min_accepted_share: MinAcceptedShare = 0.5
