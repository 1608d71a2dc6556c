"""The pipeline `style_transfer`."""

from __future__ import annotations

from typing import Any

from kedro.pipeline import Node, Pipeline

from kedro_cloud.core import ranks

from . import nodes, report


def create_pipeline(**kwargs: Any) -> Pipeline:
    """Source → plan → segments, stylized by all ranks → published output → report."""
    return create_output_pipeline() + create_report_pipeline() + create_clean_up_pipeline()


def create_output_pipeline() -> Pipeline:
    """Source and weights → stylized video or pictures."""
    return Pipeline(
        [
            Node(
                func=nodes.plan_transfer,
                inputs={
                    "style_source": "style_source",
                    "style_weights": "style_weights",
                    "style_transfer": "params:style_transfer",
                    "stylizing": "params:stylizing",
                    "video_encoding": "params:video_encoding",
                    "stylized_folder": "stylized_folder",
                },
                outputs="transfer_plan",
                name="plan_transfer",
            ),
            Node(
                func=nodes.stylize,
                inputs={
                    "style_source": "style_source",
                    "style_weights": "style_weights",
                    "transfer_plan": "transfer_plan",
                    "style_segments": "style_segments",
                    "style_transfer": "params:style_transfer",
                    "stylizing": "params:stylizing",
                    "video_encoding": "params:video_encoding",
                },
                outputs="stylizing_work",
                name="stylize_segments",
                tags=[ranks.TAG, "gpu"],
                namespace="stylize",
            ),
            Node(
                func=nodes.publish,
                inputs={
                    "style_source": "style_source",
                    "transfer_plan": "transfer_plan",
                    "stylizing_work": "stylizing_work",
                    "style_segments": "style_segments",
                    "stylized_folder": "stylized_folder",
                    "video_encoding": "params:video_encoding",
                },
                outputs="stylized_output",
                name="publish_output",
                tags="step.publish_video",
                namespace="stylize",
            ),
        ]
    )


def create_report_pipeline() -> Pipeline:
    """Source and output → figures, preview and metrics."""
    return Pipeline(
        [
            Node(
                func=report.compare_output,
                inputs={
                    "style_source": "style_source",
                    "transfer_plan": "transfer_plan",
                    "stylized_output": "stylized_output",
                    "stylized_folder": "stylized_folder",
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
                inputs=["transfer_plan", "stylizing_work", "stylized_output", "frame_consistency"],
                outputs=["style_transfer_metrics", "stages_figure"],
                name="report_transfer",
            ),
        ],
        tags="step.publish_video",
        namespace="report",
        prefix_datasets_with_namespace=False,
    )


def create_clean_up_pipeline() -> Pipeline:
    """Saved metrics → cleared segments."""
    return Pipeline(
        [
            Node(
                func=nodes.clear_segments,
                inputs=["style_transfer_metrics", "transfer_plan", "style_segments"],
                outputs=None,
                name="clear_segments",
            ),
        ],
        tags="step.publish_video",
    )
