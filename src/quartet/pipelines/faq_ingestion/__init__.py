"""Build originals, duplicates and answers of a FAQ from a public Stack Exchange data dump."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
