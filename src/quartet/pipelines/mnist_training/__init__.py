"""Explore digits, tune, train and evaluate two classifiers, and register the better one."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
