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
                nodes.plan_transfer,
                [
                    "style_source",
                    "style_weights",
                    "params:style_transfer",
                    "params:restyling",
                    "params:video_encoding",
                ],
                "transfer_plan",
                name="plan_transfer",
            ),
            Node(
                nodes.restyle,
                [
                    "style_source",
                    "style_weights",
                    "transfer_plan",
                    "style_pieces",
                    "params:style_transfer",
                    "params:restyling",
                    "params:video_encoding",
                ],
                "restyling_work",
                name="restyle_pieces",
                tags=[ranks.TAG, "gpu"],
            ),
            Node(
                nodes.publish,
                [
                    "style_source",
                    "transfer_plan",
                    "restyling_work",
                    "style_pieces",
                    "restyled_folder",
                    "params:video_encoding",
                ],
                "restyled_output",
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
                report.compare_output,
                [
                    "style_source",
                    "transfer_plan",
                    "restyled_output",
                    "restyled_folder",
                    "params:style_transfer",
                ],
                [
                    "frame_consistency",
                    "style_preview",
                    "contact_sheet_figure",
                    "consistency_figure",
                ],
                name="compare_output",
            ),
            Node(
                report.report_transfer,
                ["transfer_plan", "restyling_work", "restyled_output", "frame_consistency"],
                ["style_transfer_metrics", "stages_figure"],
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
                nodes.forget_pieces,
                ["style_transfer_metrics", "transfer_plan", "style_pieces"],
                None,
                name="forget_pieces",
            ),
        ],
        tags="step.publish_video",
    )
