"""The pipeline `style_transfer`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from kedro_cloud.core import ranks

from . import nodes, report


def create_pipeline(**kwargs: Any) -> Pipeline:
    """Source → plan → pieces, restyled by all ranks → published output → report."""
    return make_output() + make_report() + make_end()


def make_output() -> Pipeline:
    """Source and style → the restyled video or pictures."""
    return Pipeline(
        [
            Node(
                func=nodes.plan_transfer,
                inputs={
                    "style_source": "style_source",
                    "style_weights": "style_weights",
                    "style_transfer": "params:style_transfer",
                    "restyling": "params:restyling",
                    "video_encoding": "params:video_encoding",
                },
                outputs="transfer_plan",
                name="plan_transfer",
            ),
            Node(
                func=nodes.restyle,
                inputs={
                    "style_source": "style_source",
                    "style_weights": "style_weights",
                    "transfer_plan": "transfer_plan",
                    "style_pieces": "style_pieces",
                    "style_transfer": "params:style_transfer",
                    "restyling": "params:restyling",
                    "video_encoding": "params:video_encoding",
                },
                outputs="restyling_work",
                name="restyle_pieces",
                tags=[ranks.TAG, "gpu"],
            ),
            Node(
                func=nodes.publish,
                inputs={
                    "style_source": "style_source",
                    "transfer_plan": "transfer_plan",
                    "restyling_work": "restyling_work",
                    "style_pieces": "style_pieces",
                    "restyled_folder": "restyled_folder",
                    "video_encoding": "params:video_encoding",
                },
                outputs="restyled_output",
                name="publish_output",
                tags="step.publish_video",
            ),
        ]
    )


def make_report() -> Pipeline:
    """Source and output → figures, a preview, and numbers."""
    return Pipeline(
        [
            Node(
                func=report.compare_output,
                inputs={
                    "style_source": "style_source",
                    "transfer_plan": "transfer_plan",
                    "restyled_output": "restyled_output",
                    "restyled_folder": "restyled_folder",
                    "style_transfer": "params:style_transfer",
                },
                outputs=[
                    "frame_consistency",
                    "style_preview",
                    "contact_sheet_figure",
                    "consistency_figure",
                ],
                name="compare_output",
            ),
            Node(
                func=report.report_transfer,
                inputs=["transfer_plan", "restyling_work", "restyled_output", "frame_consistency"],
                outputs=["style_transfer_metrics", "stages_figure"],
                name="report_transfer",
            ),
        ],
        tags="step.publish_video",
    )


def make_end() -> Pipeline:
    """When all is saved: the pieces go."""
    return Pipeline(
        [
            Node(
                func=nodes.forget_pieces,
                inputs=["style_transfer_metrics", "transfer_plan", "style_pieces"],
                outputs=None,
                name="forget_pieces",
            ),
        ],
        tags="step.publish_video",
    )
