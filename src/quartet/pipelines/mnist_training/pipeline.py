"""The pipeline `mnist_training`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from . import convnet, logistic, nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """Raw files → exploration → tuning on a validation set → evaluation → registered model."""
    return explore() + train_logistic() + train_convnet() + evaluate() + register() + clean_up()


def explore() -> Pipeline:
    """Four raw files → validated training and test digits, and their figures."""
    return Pipeline(
        [
            Node(
                func=nodes.pair_images_with_labels,
                inputs=[
                    "mnist_train_images",
                    "mnist_train_labels",
                    "mnist_test_images",
                    "mnist_test_labels",
                    "params:digit_images",
                ],
                outputs=["train_digits", "test_digits"],
                name="pair_images_with_labels",
            ),
            Node(
                func=nodes.count_classes,
                inputs=["train_digits", "test_digits"],
                outputs=["class_counts", "class_counts_figure"],
                name="count_classes",
            ),
            Node(
                func=nodes.draw_random_digits,
                inputs=["train_digits", "params:exploration"],
                outputs="random_digits_figure",
                name="draw_random_digits",
            ),
            Node(
                func=nodes.split_validation,
                inputs=["train_digits", "params:validation_split"],
                outputs=["fit_digits", "validation_digits"],
                name="split_validation",
            ),
        ],
        tags="step.explore_digits",
        namespace="explore",
        prefix_datasets_with_namespace=False,
    )


def train_logistic() -> Pipeline:
    """Regularisation sweep → refit of the best strength on all training digits."""
    return Pipeline(
        [
            Node(
                func=logistic.sweep_regularisation,
                inputs=[
                    "fit_digits",
                    "validation_digits",
                    "params:regularisation_sweep",
                    "sweep_checkpoint",
                ],
                outputs=["sweep_results", "sweep_figure", "sweep_weights"],
                name="sweep_regularisation",
            ),
            Node(
                func=logistic.fit_best_logistic,
                inputs=[
                    "train_digits",
                    "sweep_results",
                    "sweep_weights",
                    "params:regularisation_sweep",
                ],
                outputs=["logistic_weights", "logistic_fit"],
                name="fit_best_logistic",
            ),
        ],
        tags="step.train_logistic",
        namespace="logistic",
        prefix_datasets_with_namespace=False,
    )


def train_convnet() -> Pipeline:
    """Learning rate search → training on all training digits."""
    return Pipeline(
        [
            Node(
                func=convnet.search_learning_rate,
                inputs={
                    "fit_digits": "fit_digits",
                    "validation_digits": "validation_digits",
                    "convnet_training": "params:convnet_training",
                    "learning_rate_search": "params:learning_rate_search",
                    "search_checkpoint": "search_checkpoint",
                },
                outputs="convnet_trials",
                name="search_learning_rate",
            ),
            Node(
                func=convnet.train_best_convnet,
                inputs=[
                    "train_digits",
                    "convnet_trials",
                    "params:convnet_training",
                    "convnet_checkpoint",
                ],
                outputs=["convnet_weights", "convnet_history", "convnet_history_figure"],
                name="train_best_convnet",
            ),
        ],
        tags=["step.train_convnet", "gpu"],
        namespace="convnet",
        prefix_datasets_with_namespace=False,
    )


def evaluate() -> Pipeline:
    """Both classifiers → predictions, reports and metrics on the test digits."""
    families = [
        Node(
            func=function,
            inputs=[f"{family}_weights", "test_digits"],
            outputs=f"{family}_probabilities",
            name=f"predict_with_{family}",
        )
        for family, function in (
            ("logistic", nodes.predict_with_logistic),
            ("convnet", nodes.predict_with_convnet),
        )
    ]
    reports = [
        Node(
            func=function,
            inputs=["test_digits", f"{family}_probabilities"],
            outputs=[
                f"{family}_per_digit",
                f"{family}_confusion_figure",
                f"{family}_errors_figure",
                f"{family}_mistakes_figure",
                f"{family}_confusion_interactive_figure",
            ],
            name=f"report_on_{family}",
        )
        for family, function in (
            ("logistic", nodes.report_on_logistic),
            ("convnet", nodes.report_on_convnet),
        )
    ]
    summary = Node(
        func=nodes.summarise_training,
        inputs={
            "test_digits": "test_digits",
            "logistic_probabilities": "logistic_probabilities",
            "convnet_probabilities": "convnet_probabilities",
            "sweep_results": "sweep_results",
            "logistic_fit": "logistic_fit",
            "convnet_trials": "convnet_trials",
            "convnet_history": "convnet_history",
        },
        outputs="mnist_training_metrics",
        name="summarise_training",
    )
    return Pipeline(
        [*families, *reports, summary],
        tags="step.evaluate_classifiers",
        namespace="evaluate",
        prefix_datasets_with_namespace=False,
    )


def register() -> Pipeline:
    """Better classifier → registry, if it beats the registered version."""
    return Pipeline(
        [
            Node(
                func=nodes.release_better_classifier,
                inputs={
                    "train_digits": "train_digits",
                    "test_digits": "test_digits",
                    "logistic_weights": "logistic_weights",
                    "convnet_weights": "convnet_weights",
                    "mnist_training_metrics": "mnist_training_metrics",
                    "mnist_champion": "mnist_champion",
                    "regularisation_sweep": "params:regularisation_sweep",
                    "convnet_training": "params:convnet_training",
                },
                outputs=["mnist_classifier", "mnist_release"],
                name="release_better_classifier",
            ),
        ],
        tags="step.evaluate_classifiers",
        namespace="register",
        prefix_datasets_with_namespace=False,
    )


def clean_up() -> Pipeline:
    """Saved results → deleted checkpoints."""
    return Pipeline(
        [
            Node(
                func=nodes.clear_checkpoints,
                inputs=[
                    "mnist_release",
                    "sweep_checkpoint",
                    "search_checkpoint",
                    "convnet_checkpoint",
                ],
                outputs=None,
                name="clear_checkpoints",
            ),
        ],
        tags="step.evaluate_classifiers",
    )
