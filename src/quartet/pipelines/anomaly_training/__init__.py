"""Windows of normal times → a registered set of one-class models, one per sensor."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
