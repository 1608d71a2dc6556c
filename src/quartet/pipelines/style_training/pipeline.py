"""The pipeline `style_training`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from . import nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """One painting and photographs → a trained network → its figures, numbers and card."""
    return Pipeline(
        [
            Node(
                nodes.train_style,
                [
                    "painting",
                    "photographs",
                    "test_photographs",
                    "vgg_weights",
                    "params:style_training",
                    "params:painting_description",
                    "style_checkpoint",
                    "style_progress",
                ],
                ["style_weights_trained", "style_history", "style_previews"],
                name="train_style",
            ),
            Node(
                nodes.draw_training,
                ["style_history", "style_previews"],
                ["style_losses_figure", "style_previews_figure"],
                name="draw_training",
            ),
            Node(
                nodes.report_training,
                ["style_weights_trained", "style_history"],
                ["style_training_metrics", "style_card"],
                name="report_training",
            ),
            Node(
                nodes.forget_style_checkpoint,
                ["style_training_metrics", "style_checkpoint"],
                None,
                name="forget_style_checkpoint",
            ),
        ],
        tags=["step.learn_style", "gpu"],
    )
