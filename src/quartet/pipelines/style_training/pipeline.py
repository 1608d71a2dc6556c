"""The pipeline `style_training`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from . import nodes


def create_pipeline(**kwargs: Any) -> Pipeline:
    """Painting and photographs → trained network → figures, metrics and model card."""
    return Pipeline(
        [
            Node(
                func=nodes.train_style,
                inputs={
                    "painting": "painting",
                    "photographs": "photographs",
                    "test_photographs": "test_photographs",
                    "vgg_weights": "vgg_weights",
                    "style_training": "params:style_training",
                    "painting_description": "params:painting_description",
                    "style_checkpoint": "style_checkpoint",
                    "style_progress": "style_progress",
                },
                outputs=["style_weights_trained", "style_history", "style_previews"],
                name="train_style",
            ),
            Node(
                func=nodes.draw_training,
                inputs=["style_history", "style_previews"],
                outputs=["style_losses_figure", "style_previews_figure"],
                name="draw_training",
            ),
            Node(
                func=nodes.report_training,
                inputs=["style_weights_trained", "style_history"],
                outputs=["style_training_metrics", "style_card"],
                name="report_training",
            ),
            Node(
                func=nodes.clear_style_checkpoint,
                inputs=["style_training_metrics", "style_checkpoint"],
                outputs=None,
                name="clear_style_checkpoint",
            ),
        ],
        tags=["step.learn_style", "gpu"],
    )
