"""Learn the style of a painting: weights of a network, their card, figures of the training."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
