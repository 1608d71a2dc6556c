"""Readings of sensors, as they arrive, into windows of statistics in SQL."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
