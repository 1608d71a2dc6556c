"""A video, or pictures, in the style of a painting; started by the arrival of a video."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
