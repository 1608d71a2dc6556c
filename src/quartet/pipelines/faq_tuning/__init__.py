"""Clean and split a FAQ, tune a ranker, compare it with baselines, register it if it is better."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
