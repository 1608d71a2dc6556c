"""Define the nodes of `faq_tuning`."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
from numpy.typing import NDArray

from quartet import __version__, faq
from quartet.datasets.accepted_share import check_accepted_share
from quartet.datasets.checkpoint import fingerprint
from quartet.faq.search_space import SearchSpace
from quartet.faq.settings import (
    Cleaning,
    DuplicateSplit,
    ReferenceRecipe,
    Refit,
    StudySettings,
    TestEvaluation,
    TextFeatures,
)

from . import untuned
from .encoder import embed_texts, log_encoder, make_encoder

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as InteractiveFigure

    from quartet.datasets.encoder_folder import EncoderFolder
    from quartet.datasets.registered_model import Champion, ModelRelease
    from quartet.datasets.study import StudyStore
else:
    # Kedro resolves these annotations in a run; importing them here would slow down the CLI.
    pd = lazy_loader.load("pandas")
    Figure = InteractiveFigure = Champion = EncoderFolder = ModelRelease = StudyStore = Any

Arrays = dict[str, NDArray[Any]]
logger = logging.getLogger(__name__)


def clean_tables(
    faq_originals: pd.DataFrame,
    faq_duplicates: pd.DataFrame,
    faq_answers: pd.DataFrame,
    faq_cleaning: Cleaning,
) -> tuple[
    pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, int], Figure
]:
    """Check, clean and filter the three raw tables.

    Returns:
        Originals, duplicates, answers, quarantined rows, statistics, counts, and a figure.
    """
    check_share = partial(
        check_accepted_share, minimum=faq_cleaning.min_accepted_share, report="faq_quarantine"
    )
    tables = faq.tables.prepare_tables(
        faq_originals, faq_duplicates, faq_answers, faq_cleaning, check_share
    )
    counts = {
        "originals": len(tables.originals),
        "duplicates": len(tables.duplicates),
        "quarantined_rows": len(tables.quarantine),
        "banners": tables.banners,
    }
    used = {name: getattr(tables, name) for name in ("originals", "duplicates", "answers")}
    figure = faq.figures.plot_text_lengths(
        {name: table["text"].str.len().to_numpy() for name, table in used.items()},
        faq.tables.count_duplicates(tables.originals, tables.duplicates).to_numpy(),
    )
    return (*used.values(), tables.quarantine, tables.statistics, counts, figure)


def split_duplicates(clean_duplicates: pd.DataFrame, faq_split: DuplicateSplit) -> pd.DataFrame:
    """Split the duplicates of each original into train, tune and test."""
    return faq.tables.split_duplicates(clean_duplicates, faq_split)


def make_pairs(
    clean_originals: pd.DataFrame,
    divided_duplicates: pd.DataFrame,
    clean_answers: pd.DataFrame,
    faq_features: TextFeatures,
    sentence_encoder: EncoderFolder | None = None,
) -> tuple[Arrays, Arrays, Arrays]:
    """Compute the features of training pairs and tuning questions, once for all trials.

    Returns:
        Both as arrays, none if there are no tuning duplicates; and the sentence vectors of all
        indexed texts, none without a sentence encoder.
    """
    sentences = make_encoder(sentence_encoder, faq_features)
    log_encoder(sentences, sentence_encoder, faq_features)
    known = divided_duplicates[divided_duplicates["part"] != "test"]
    sentences, vectors = embed_texts(
        sentences,
        list(known["text"]),
        list(clean_originals["text"]),
        [faq.cleaning.clean_text(answer) for answer in clean_answers["text"]],
    )
    train = divided_duplicates[divided_duplicates["part"] == "train"]
    tune = divided_duplicates[divided_duplicates["part"] == "tune"]
    if tune.empty:
        logger.warning(faq.tables.describe_untuned(clean_originals, divided_duplicates))
        return {}, {}, vectors
    encoder = faq.text.fit_encoder(
        [*train["text"], *clean_originals["text"]],
        faq_features,
        faq_features.word_ngrams,
        sentences,
    )
    index = faq.corpus_index.index_tables(encoder, clean_originals, train, clean_answers)
    views = [faq.text.word_view(ngrams) for ngrams in sorted(set(faq_features.word_ngrams))]
    comparer = faq.similarity.Comparer.fit(index, views, faq_features)
    pairs = faq.pairs.make_training_pairs(
        comparer, faq_features.random_negatives, np.random.default_rng(faq_features.seed)
    )
    tune_questions = faq.pairs.make_labelled_questions(
        comparer,
        encoder.encode(list(tune["text"])),
        faq.tables.indices_of(clean_originals, tune),
    )
    return pairs.to_arrays(), tune_questions.to_arrays(), vectors


def tune_ranker(
    train_pairs: Arrays,
    tune_questions: Arrays,
    faq_search_space: SearchSpace,
    faq_study_settings: StudySettings,
    faq_study: StudyStore,
) -> tuple[pd.DataFrame, dict[str, Any], pd.DataFrame, Figure, Figure, Figure, InteractiveFigure]:
    """Run or resume the study and choose parameters.

    Returns:
        Trials, chosen parameters, importance of the parameters, and four figures.
    """
    from .search import run_study

    if not train_pairs:
        return untuned.make_study_outputs(faq_study_settings.metric)
    train = faq.pairs.TrainingPairs.from_arrays(train_pairs)
    tune = faq.pairs.LabelledQuestions.from_arrays(tune_questions)
    faq.study.check_views(faq_search_space, train.names)
    objective = faq.study.Objective(train, tune, faq_search_space, faq_study_settings)
    # Settings that may change between runs of one study are not part of its name.
    settings = faq_study_settings.model_dump(exclude={"trials", "workers", "caution"})
    key = fingerprint(__version__, train_pairs, tune_questions, faq_search_space, settings)
    with run_study(faq_study, f"faq-{key[:12]}", objective) as study:
        trials = faq.trials.make_trials_table(study)
        chosen = faq.trials.choose_trial(study, len(tune.original), faq_study_settings.caution)
        choice = faq.trials.describe_choice(study, chosen)
        parameters = faq.trials.make_parameters(chosen, faq_search_space)
        importance = faq.trials.compute_importance(study, faq_study_settings.seed)
    chosen_parameters = {
        **parameters.model_dump(),
        "trial": chosen.number,
        "metric": chosen.value,
        "best_metric": float(trials.loc[trials["state"] == "complete", "metric"].max()),
        "choice": choice,
    }
    metric = faq_study_settings.metric
    searched = [name for name in trials if name in dict(faq_search_space)]
    return (
        trials,
        chosen_parameters,
        importance,
        faq.study_figures.plot_study_history(trials, metric, chosen.number),
        faq.study_figures.plot_parameter_importance(importance),
        faq.study_figures.plot_parallel_coordinates(trials, searched, metric, chosen.number),
        faq.interactive_figures.plot_study_history(trials, searched, metric, chosen.number),
    )


def refit_ranker(
    clean_originals: pd.DataFrame,
    divided_duplicates: pd.DataFrame,
    clean_answers: pd.DataFrame,
    chosen_parameters: dict[str, Any],
    faq_features: TextFeatures,
    faq_refit: Refit,
    faq_cleaning: Cleaning,
    sentence_encoder: EncoderFolder | None = None,
    sentence_vectors: Arrays | None = None,
) -> tuple[Arrays, Figure]:
    """Fit the matcher on the training and tuning duplicates; plot its feature gains."""
    sentences = make_encoder(sentence_encoder, faq_features, sentence_vectors)
    known = divided_duplicates[divided_duplicates["part"] != "test"]
    if not chosen_parameters:
        matcher = faq.matcher.make_untuned_matcher(
            clean_originals, known, clean_answers, faq_features, faq_cleaning, sentences
        )
        return matcher.to_arrays(), untuned.plot_missing("Gains of the features")
    fields = faq.ranker.RankerParameters.model_fields
    parameters = faq.ranker.RankerParameters(
        **{name: value for name, value in chosen_parameters.items() if name in fields}
    )
    matcher = faq.matcher.fit_matcher(
        clean_originals,
        known,
        clean_answers,
        parameters,
        faq_features,
        faq_refit,
        faq_cleaning,
        sentences,
    )
    matcher = faq.holdout.learn_answerability(
        matcher, clean_originals, known, clean_answers, faq_refit
    )
    return matcher.to_arrays(), faq.figures.plot_feature_gains(matcher.feature_gains())


def rank_by_baselines(
    clean_originals: pd.DataFrame,
    divided_duplicates: pd.DataFrame,
    reference_recipe: ReferenceRecipe,
) -> pd.DataFrame:
    """Return the ranks of the test duplicates' right originals by the baselines."""
    known = divided_duplicates[divided_duplicates["part"] != "test"]
    test = divided_duplicates[divided_duplicates["part"] == "test"]
    if test.empty:
        return pd.DataFrame({"Id": [], "cosine": [], "nearest_duplicate": []})
    right_indices = faq.tables.indices_of(clean_originals, test)
    right = right_indices[:, None] == np.arange(len(clean_originals))
    questions, originals, texts = (list(table["text"]) for table in (test, clean_originals, known))
    original_of = faq.tables.indices_of(clean_originals, known)
    complete = faq.tables.add_own_texts(clean_originals, known)
    scores = {
        "cosine": faq.baselines.score_by_cosine(questions, originals, texts),
        "nearest_duplicate": faq.baselines.score_by_nearest_duplicate(
            questions,
            originals,
            list(complete["text"]),
            faq.tables.indices_of(clean_originals, complete),
        ),
    }
    if len(texts) and len(originals) <= reference_recipe.max_originals:
        scores["reference_recipe"] = faq.baselines.score_by_reference_recipe(
            questions, originals, texts, original_of, reference_recipe
        )
    ranks = {
        name: faq.evaluation.ranks_of_right(values, right, len(originals))
        for name, values in scores.items()
    }
    return pd.DataFrame({"Id": test["Id"].to_numpy(), **ranks})


def test_ranker(
    ranker_arrays: Arrays,
    clean_originals: pd.DataFrame,
    divided_duplicates: pd.DataFrame,
    faq_test: TestEvaluation,
) -> tuple[
    pd.DataFrame, pd.DataFrame, Figure, Figure, pd.DataFrame, pd.DataFrame, Figure, dict[str, float]
]:
    """Evaluate the matcher on the test duplicates, and whether it finds questions without answer.

    Returns:
        Results of each duplicate, calibration curve, and two figures. Of the questions whose
        originals were held out: costs of thresholds, reliability curve, figure and metrics.
    """
    matcher = faq.matcher.Matcher.from_arrays(ranker_arrays)
    test = divided_duplicates[divided_duplicates["part"] == "test"]
    results, table = matcher.evaluate(clean_originals, test, faq_test.bins)
    answerable = _evaluate_answerability(matcher, results, faq_test.bins)
    if test.empty:
        missing = (untuned.plot_missing("Calibration"), untuned.plot_missing("Probabilities"))
        return results, table, *missing, *answerable
    return (
        results,
        table,
        faq.figures.plot_calibration(table, "Calibration on all candidates of the test duplicates"),
        faq.figures.plot_score_distributions(
            results["probability"].to_numpy(), results["best_wrong"].to_numpy()
        ),
        *answerable,
    )


def _evaluate_answerability(
    matcher: faq.matcher.Matcher, results: pd.DataFrame, bins: int
) -> tuple[pd.DataFrame, pd.DataFrame, Figure, dict[str, float]]:
    """Return costs of thresholds, reliability curve, figure and metrics of held-out questions."""
    model = matcher.answerability
    if model is None:
        return untuned.make_answerable_outputs()
    thresholds = faq.answerable.make_threshold_table(model)
    reliability = faq.evaluation.calibration_table(model.held_out, model.has_original, bins)
    metrics = faq.answerable.summarise_answerability(model)
    if len(results):
        metrics["test_answered_share"] = float((results["answerable"] >= model.threshold).mean())
    figure = faq.figures.plot_answerable(thresholds, reliability, metrics["answerable_auroc"])
    return thresholds, reliability, figure, metrics


def compare_with_baselines(
    test_results: pd.DataFrame,
    baseline_ranks: pd.DataFrame,
    clean_originals: pd.DataFrame,
    faq_test: TestEvaluation,
) -> tuple[pd.DataFrame, pd.DataFrame, Figure, Figure, InteractiveFigure]:
    """Compare the gains of all methods, and find the hardest originals.

    Returns:
        Gains with intervals, hardest originals, and three figures.
    """
    if test_results.empty:
        return untuned.make_comparison_outputs(test_results, faq_test.hardest)
    ranks = {
        "ranker": test_results["rank"].to_numpy(),
        **{str(name): ranks.to_numpy() for name, ranks in baseline_ranks.set_index("Id").items()},
    }
    generator = np.random.default_rng(faq_test.seed)
    gains = faq.evaluation.gains_table(ranks, faq_test.ranks, faq_test.resamples, generator)
    hardest = faq.evaluation.hardest_originals(test_results, faq_test.hardest)
    titles = clean_originals.set_index("Id")["text"]
    hardest["question"] = hardest["original"].map(titles)
    return (
        gains,
        hardest,
        faq.figures.plot_gains(gains),
        faq.figures.plot_hardest_originals(hardest, titles),
        faq.interactive_figures.plot_gains(gains, len(test_results)),
    )


def summarise_tuning(
    table_counts: dict[str, int],
    faq_trials: pd.DataFrame,
    chosen_parameters: dict[str, Any],
    test_results: pd.DataFrame,
    baseline_ranks: pd.DataFrame,
    faq_gains: pd.DataFrame,
    calibration_table: pd.DataFrame,
    answerable_summary: dict[str, float] | None = None,
) -> dict[str, float]:
    """Collect the metrics of the pipeline; without test duplicates, only counts."""
    if test_results.empty:
        return {**table_counts, "test_questions": 0, "trials": 0}
    ranks = test_results["rank"].to_numpy()
    ranker_gains = faq_gains[faq_gains["method"] == "ranker"]
    metrics: dict[str, float] = {
        **table_counts,
        **faq.evaluation.summarise(ranks, ranker_gains, calibration_table),
    }
    baselines = baseline_ranks.set_index("Id").rename(columns={"reference_recipe": "reference"})
    for name, baseline in baselines.items():
        for k in (1, 3):
            gain = faq.evaluation.gain_at(baseline.to_numpy(), k)
            metrics[f"baseline_{name}_gain_at_{k}"] = gain
    if not chosen_parameters:
        return metrics | {"trials": 0}
    metrics |= answerable_summary or {}
    finished = faq_trials[faq_trials["state"].isin(["complete", "pruned"])]
    return metrics | {
        "trials": len(finished),
        "pruned_trials": int((finished["state"] == "pruned").sum()),
        "seconds_per_trial": float(finished["seconds"].mean()),
        "chosen_trial": chosen_parameters["trial"],
        "tune_metric": chosen_parameters["metric"],
        "best_tune_metric": chosen_parameters["best_metric"],
    }


def release_ranker(
    ranker_arrays: Arrays,
    clean_originals: pd.DataFrame,
    divided_duplicates: pd.DataFrame,
    clean_answers: pd.DataFrame,
    faq_tuning_metrics: dict[str, float],
    faq_champion: Champion | None,
    faq_test: TestEvaluation,
) -> tuple[ModelRelease, dict[str, Any]]:
    """Compare the matcher with the registered version; return the release and its facts."""
    from .release import make_release

    release = make_release(
        faq.matcher.Matcher.from_arrays(ranker_arrays),
        clean_originals,
        divided_duplicates,
        clean_answers,
        faq_tuning_metrics,
        faq_champion,
        faq_test,
    )
    return release, {"approved": release.approved, "reason": release.reason, **release.tags}
