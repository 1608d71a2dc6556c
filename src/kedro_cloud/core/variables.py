"""Name the environment variables that Azure ML sets, or that a run reads."""

JOB = "AZUREML_ROOT_RUN_ID"
"""ID of the step's job; Azure ML sets it in every step."""

CONNECTION_STRING = "APPLICATIONINSIGHTS_CONNECTION_STRING"
"""Connection string of the Application Insights resource that receives telemetry."""
AUTHENTICATION_STRING = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
"""`Authorization=AAD`: the sender needs the role Monitoring Metrics Publisher."""
