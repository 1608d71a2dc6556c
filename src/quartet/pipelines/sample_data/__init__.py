"""Reproduce the samples committed under `data/01_raw`, byte for byte."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
