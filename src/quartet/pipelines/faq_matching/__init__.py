"""Match new questions with the registered ranker."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
