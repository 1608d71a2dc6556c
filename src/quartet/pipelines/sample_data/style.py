"""The sample video."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline


def make_style() -> Pipeline:
    """scikit-learn's photographs → a video with sound."""
    return Pipeline(
        [
            Node(
                func=make_style_sample,
                inputs=None,
                outputs="style_sample_video",
                name="make_style_sample",
            ),
        ]
    )


def make_style_sample() -> bytes:
    """Return a video of four seconds: a camera pans over scikit-learn's photographs."""
    # Imported here because it imports PyAV.
    from quartet.style import sample_clip

    return sample_clip.make_clip()
