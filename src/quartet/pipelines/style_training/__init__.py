"""Train a network for the style of a painting: weights, model card and figures."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
