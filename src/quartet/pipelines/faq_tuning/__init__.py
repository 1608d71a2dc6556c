"""Clean and split a FAQ, tune a ranker, evaluate it, register it if it beats the champion."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
