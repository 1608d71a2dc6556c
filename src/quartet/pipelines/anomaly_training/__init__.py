"""Windows of normal times into a registered bank of one-class models, one a sensor."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
