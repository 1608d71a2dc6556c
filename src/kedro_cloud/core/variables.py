"""Environment variables that Azure sets, or that a run takes from whoever starts it."""

JOB = "AZUREML_ROOT_RUN_ID"
"""Set by Azure ML in every step: the job that the step is part of."""

VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
"""The resource that receives telemetry."""
AUTHENTICATION = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
"""`Authorization=AAD`: the sender needs the role Monitoring Metrics Publisher."""
