"""Monitor jobs: show their status, and send telemetry of runs to Application Insights.

The status is read from the workspace or from the journal of a rehearsal, and shown as a table or as
a line per change. Telemetry is one span per run and per node, and metrics: only numbers and names
in the code, never data or messages. It is imported only where
APPLICATIONINSIGHTS_CONNECTION_STRING is set.
"""
