"""The pipeline `mnist_training`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from . import convnet, logistic, nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """Raw files → exploration, two searches on a validation set → test → registered model."""
    return explore() + train_logistic() + train_convnet() + evaluate() + register() + make_end()


def explore() -> Pipeline:
    """The four raw files, paired, checked and looked at."""
    return Pipeline(
        [
            Node(
                nodes.pair_images_with_labels,
                [
                    "mnist_train_images",
                    "mnist_train_labels",
                    "mnist_test_images",
                    "mnist_test_labels",
                ],
                ["train_digits", "test_digits"],
                name="pair_images_with_labels",
            ),
            Node(
                nodes.count_classes,
                ["train_digits", "test_digits"],
                ["class_counts", "class_counts_figure"],
                name="count_classes",
            ),
            Node(
                nodes.draw_random_digits,
                ["train_digits", "params:exploration"],
                "random_digits_figure",
                name="draw_random_digits",
            ),
            Node(
                nodes.split_validation,
                ["train_digits", "params:validation_split"],
                ["fit_digits", "validation_digits"],
                name="split_validation",
            ),
        ],
        tags="step.explore_digits",
    )


def train_logistic() -> Pipeline:
    """Regularisation sweep → refit of the best strength on all training digits."""
    return Pipeline(
        [
            Node(
                logistic.sweep_regularisation,
                [
                    "fit_digits",
                    "validation_digits",
                    "params:regularisation_sweep",
                    "sweep_checkpoint",
                ],
                ["sweep_results", "sweep_figure", "sweep_weights"],
                name="sweep_regularisation",
            ),
            Node(
                logistic.fit_best_logistic,
                ["train_digits", "sweep_results", "sweep_weights", "params:regularisation_sweep"],
                ["logistic_weights", "logistic_fit"],
                name="fit_best_logistic",
            ),
        ],
        tags="step.train_logistic",
    )


def train_convnet() -> Pipeline:
    """Search for the learning rate → training on all training digits."""
    return Pipeline(
        [
            Node(
                convnet.search_learning_rate,
                [
                    "fit_digits",
                    "validation_digits",
                    "params:convnet_training",
                    "params:learning_rate_search",
                    "search_checkpoint",
                ],
                "convnet_trials",
                name="search_learning_rate",
            ),
            Node(
                convnet.train_best_convnet,
                [
                    "train_digits",
                    "convnet_trials",
                    "params:convnet_training",
                    "convnet_checkpoint",
                ],
                ["convnet_weights", "convnet_history", "convnet_history_figure"],
                name="train_best_convnet",
            ),
        ],
        tags=["step.train_convnet", "gpu"],
    )


def evaluate() -> Pipeline:
    """Both classifiers on the untouched test digits."""
    families = [
        Node(
            function,
            [f"{family}_weights", "test_digits"],
            f"{family}_probabilities",
            name=f"predict_with_{family}",
        )
        for family, function in (
            ("logistic", nodes.predict_with_logistic),
            ("convnet", nodes.predict_with_convnet),
        )
    ]
    reports = [
        Node(
            function,
            ["test_digits", f"{family}_probabilities"],
            [
                f"{family}_per_digit",
                f"{family}_confusion_figure",
                f"{family}_errors_figure",
                f"{family}_mistakes_figure",
            ],
            name=f"report_on_{family}",
        )
        for family, function in (
            ("logistic", nodes.report_on_logistic),
            ("convnet", nodes.report_on_convnet),
        )
    ]
    summary = Node(
        nodes.summarise_training,
        [
            "test_digits",
            "logistic_probabilities",
            "convnet_probabilities",
            "sweep_results",
            "logistic_fit",
            "convnet_trials",
            "convnet_history",
        ],
        "mnist_training_metrics",
        name="summarise_training",
    )
    return Pipeline([*families, *reports, summary], tags="step.judge_classifiers")


def register() -> Pipeline:
    """The better classifier, into the registry if it beats the version there."""
    return Pipeline(
        [
            Node(
                nodes.release_better_classifier,
                [
                    "train_digits",
                    "test_digits",
                    "logistic_weights",
                    "convnet_weights",
                    "mnist_training_metrics",
                    "mnist_champion",
                    "params:regularisation_sweep",
                    "params:convnet_training",
                ],
                ["mnist_classifier", "mnist_release"],
                name="release_better_classifier",
            ),
        ],
        tags="step.judge_classifiers",
    )


def make_end() -> Pipeline:
    """When all is saved: what the trainings kept goes."""
    return Pipeline(
        [
            Node(
                nodes.forget_checkpoints,
                ["mnist_release", "sweep_checkpoint", "search_checkpoint", "convnet_checkpoint"],
                None,
                name="forget_checkpoints",
            ),
        ],
        tags="step.judge_classifiers",
    )
