"""The sample of a video."""

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
    """A video of four seconds: a camera over scikit-learn's two photographs, to a melody."""
    # PyAV comes only with the module needing it.
    from quartet.style import sample_clip

    return sample_clip.make_clip()
