"""Environment variables by which a run finds Application Insights."""

VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
"""Whom to tell."""
AUTHENTICATION = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
"""`Authorization=AAD`: whoever tells needs the role Monitoring Metrics Publisher."""
