"""Explore digits, choose and train two classifiers, judge them, register the better one."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
