"""The scheduled job: windows that are new since the last run → predictions and anomalies."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
