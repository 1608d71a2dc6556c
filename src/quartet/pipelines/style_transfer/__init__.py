"""Stylize a video or pictures in the style of a painting; can be triggered by new videos."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
