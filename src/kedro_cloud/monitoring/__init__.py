"""Watching jobs: `kedro cloud status`, and what runs tell Application Insights of themselves.

For the status come in what the workspace, or the journal of a rehearsal, knows of a job and its
steps; out goes a table or a line for each change. For telemetry come in Kedro's hooks; out go one
span a run and a node, and metrics: names of the program and numbers, never texts.
Telemetry is only imported where APPLICATIONINSIGHTS_CONNECTION_STRING is set.
"""
