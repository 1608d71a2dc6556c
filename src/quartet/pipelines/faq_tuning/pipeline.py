"""The pipeline `faq_tuning`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from kedro_cloud.core import ranks

from . import nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """Raw tables → pairs with features → study → refit → test beside baselines → registry."""
    return prepare() + tune() + test() + register()


def prepare() -> Pipeline:
    """Three tables, cleaned and split; pairs of questions and originals with features."""
    return Pipeline(
        [
            Node(
                nodes.clean_tables,
                ["faq_originals", "faq_duplicates", "faq_answers", "params:faq_cleaning"],
                [
                    "clean_originals",
                    "clean_duplicates",
                    "clean_answers",
                    "faq_quarantine",
                    "faq_statistics",
                    "table_counts",
                    "text_lengths_figure",
                ],
                name="clean_tables",
            ),
            Node(
                nodes.split_duplicates,
                ["clean_duplicates", "params:faq_split"],
                "divided_duplicates",
                name="split_duplicates",
            ),
            Node(
                nodes.make_pairs,
                ["clean_originals", "divided_duplicates", "clean_answers", "params:faq_features"],
                ["train_pairs", "tune_questions"],
                name="make_pairs",
                tags="memory",
            ),
        ],
        tags="step.prepare_pairs",
    )


def tune() -> Pipeline:
    """Optuna study on the tuning duplicates → the chosen parameters fitted on all but test."""
    return Pipeline(
        [
            Node(
                nodes.tune_ranker,
                [
                    "train_pairs",
                    "tune_questions",
                    "params:faq_search_space",
                    "params:faq_study_settings",
                    "faq_study",
                ],
                [
                    "faq_trials",
                    "chosen_parameters",
                    "parameter_importance",
                    "study_history_figure",
                    "parameter_importance_figure",
                    "parallel_coordinates_figure",
                ],
                name="tune_ranker",
                tags=[ranks.TAG, "cpu"],
            ),
            Node(
                nodes.refit_ranker,
                [
                    "clean_originals",
                    "divided_duplicates",
                    "clean_answers",
                    "chosen_parameters",
                    "params:faq_features",
                    "params:faq_refit",
                    "params:faq_cleaning",
                ],
                ["ranker_arrays", "feature_gains_figure"],
                name="refit_ranker",
                tags="step.judge_ranker",
            ),
        ]
    )


def test() -> Pipeline:
    """The matcher and three baselines on the untouched test duplicates."""
    return Pipeline(
        [
            Node(
                nodes.rank_by_baselines,
                ["clean_originals", "divided_duplicates", "params:reference_recipe"],
                "baseline_ranks",
                name="rank_by_baselines",
                tags="deterministic",
            ),
            Node(
                nodes.test_ranker,
                ["ranker_arrays", "clean_originals", "divided_duplicates", "params:faq_test"],
                [
                    "test_results",
                    "calibration_table",
                    "calibration_figure",
                    "score_distributions_figure",
                ],
                name="test_ranker",
                tags="step.judge_ranker",
            ),
            Node(
                nodes.compare_with_baselines,
                ["test_results", "baseline_ranks", "clean_originals", "params:faq_test"],
                ["faq_gains", "hardest_originals", "gains_figure", "hardest_figure"],
                name="compare_with_baselines",
                tags="step.judge_ranker",
            ),
            Node(
                nodes.summarise_tuning,
                [
                    "table_counts",
                    "faq_trials",
                    "chosen_parameters",
                    "test_results",
                    "baseline_ranks",
                    "faq_gains",
                    "calibration_table",
                ],
                "faq_tuning_metrics",
                name="summarise_tuning",
                tags="step.judge_ranker",
            ),
        ]
    )


def register() -> Pipeline:
    """The matcher, into the registry if it beats the version there."""
    return Pipeline(
        [
            Node(
                nodes.release_ranker,
                [
                    "ranker_arrays",
                    "clean_originals",
                    "divided_duplicates",
                    "clean_answers",
                    "faq_tuning_metrics",
                    "faq_champion",
                    "params:faq_test",
                ],
                ["faq_ranker", "faq_release"],
                name="release_ranker",
                tags="step.judge_ranker",
            ),
        ]
    )
