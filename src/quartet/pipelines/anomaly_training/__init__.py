"""Windows of normal times into a registered model set of one-class models, one a sensor."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
