"""Environment variables by which a run finds Application Insights."""

VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
"""The resource that receives telemetry."""
AUTHENTICATION = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
"""`Authorization=AAD`: the sender needs the role Monitoring Metrics Publisher."""
