"""Readings of sensors → windows of statistics in SQL."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
