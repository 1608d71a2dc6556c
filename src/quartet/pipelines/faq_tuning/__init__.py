"""Clean and split a FAQ, tune a ranker, judge it beside baselines, register it if it is better."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
