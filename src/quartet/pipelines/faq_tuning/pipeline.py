"""Define the pipeline `faq_tuning`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from kedro_cloud.core import ranks

from . import nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """Create the pipeline: raw tables → pairs → study → refit → test → registry."""
    return create_preparation() + create_tuning() + create_evaluation() + create_registration()


def create_preparation() -> Pipeline:
    """Clean and split the tables; pair questions with originals and compute features."""
    return Pipeline(
        [
            Node(
                func=nodes.clean_tables,
                inputs=["faq_originals", "faq_duplicates", "faq_answers", "params:faq_cleaning"],
                outputs=[
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
                func=nodes.split_duplicates,
                inputs=["clean_duplicates", "params:faq_split"],
                outputs="divided_duplicates",
                name="split_duplicates",
            ),
            Node(
                func=nodes.make_pairs,
                inputs=[
                    "clean_originals",
                    "divided_duplicates",
                    "clean_answers",
                    "params:faq_features",
                    "sentence_encoder",
                ],
                outputs=["train_pairs", "tune_questions", "sentence_vectors"],
                name="make_pairs",
                tags="memory",
            ),
        ],
        tags="step.prepare_pairs",
        namespace="prepare",
        prefix_datasets_with_namespace=False,
    )


def create_tuning() -> Pipeline:
    """Choose parameters on the tuning duplicates; refit on training and tuning duplicates."""
    return Pipeline(
        [
            Node(
                func=nodes.tune_ranker,
                inputs={
                    "train_pairs": "train_pairs",
                    "tune_questions": "tune_questions",
                    "faq_search_space": "params:faq_search_space",
                    "faq_study_settings": "params:faq_study_settings",
                    "faq_study": "faq_study",
                },
                outputs=[
                    "faq_trials",
                    "chosen_parameters",
                    "parameter_importance",
                    "study_history_figure",
                    "parameter_importance_figure",
                    "parallel_coordinates_figure",
                    "study_history_interactive_figure",
                ],
                name="tune_ranker",
                tags=[ranks.TAG, "cpu"],
            ),
            Node(
                func=nodes.refit_ranker,
                inputs={
                    "clean_originals": "clean_originals",
                    "divided_duplicates": "divided_duplicates",
                    "clean_answers": "clean_answers",
                    "chosen_parameters": "chosen_parameters",
                    "faq_features": "params:faq_features",
                    "faq_refit": "params:faq_refit",
                    "faq_cleaning": "params:faq_cleaning",
                    "sentence_encoder": "sentence_encoder",
                    "sentence_vectors": "sentence_vectors",
                },
                outputs=["ranker_arrays", "feature_gains_figure"],
                name="refit_ranker",
                tags="step.evaluate_ranker",
            ),
        ],
        namespace="tune",
        prefix_datasets_with_namespace=False,
    )


def create_evaluation() -> Pipeline:
    """Evaluate the matcher and three baselines on the test duplicates."""
    return Pipeline(
        [
            Node(
                func=nodes.rank_by_baselines,
                inputs=["clean_originals", "divided_duplicates", "params:reference_recipe"],
                outputs="baseline_ranks",
                name="rank_by_baselines",
                tags="deterministic",
            ),
            Node(
                func=nodes.test_ranker,
                inputs=[
                    "ranker_arrays",
                    "clean_originals",
                    "divided_duplicates",
                    "params:faq_test",
                ],
                outputs=[
                    "test_results",
                    "calibration_table",
                    "calibration_figure",
                    "score_distributions_figure",
                    "answerable_thresholds",
                    "answerable_reliability",
                    "answerable_figure",
                    "answerable_summary",
                ],
                name="test_ranker",
                tags="step.evaluate_ranker",
            ),
            Node(
                func=nodes.compare_with_baselines,
                inputs=["test_results", "baseline_ranks", "clean_originals", "params:faq_test"],
                outputs=[
                    "faq_gains",
                    "hardest_originals",
                    "gains_figure",
                    "hardest_figure",
                    "gains_interactive_figure",
                ],
                name="compare_with_baselines",
                tags="step.evaluate_ranker",
            ),
            Node(
                func=nodes.summarise_tuning,
                inputs={
                    "table_counts": "table_counts",
                    "faq_trials": "faq_trials",
                    "chosen_parameters": "chosen_parameters",
                    "test_results": "test_results",
                    "baseline_ranks": "baseline_ranks",
                    "faq_gains": "faq_gains",
                    "calibration_table": "calibration_table",
                    "answerable_summary": "answerable_summary",
                },
                outputs="faq_tuning_metrics",
                name="summarise_tuning",
                tags="step.evaluate_ranker",
            ),
        ],
        namespace="evaluate",
        prefix_datasets_with_namespace=False,
    )


def create_registration() -> Pipeline:
    """Register the matcher if it beats the registered version."""
    return Pipeline(
        [
            Node(
                func=nodes.release_ranker,
                inputs={
                    "ranker_arrays": "ranker_arrays",
                    "clean_originals": "clean_originals",
                    "divided_duplicates": "divided_duplicates",
                    "clean_answers": "clean_answers",
                    "faq_tuning_metrics": "faq_tuning_metrics",
                    "faq_champion": "faq_champion",
                    "faq_test": "params:faq_test",
                },
                outputs=["faq_ranker", "faq_release"],
                name="release_ranker",
                tags="step.evaluate_ranker",
            ),
        ],
        namespace="register",
        prefix_datasets_with_namespace=False,
    )
