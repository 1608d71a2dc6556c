"""Pipelines that others start: on a batch endpoint, or by the clock.

In: a registered pipeline, its parameters, and what cloud.yml says of endpoints. Out: a pipeline
component of its compiled steps whose inputs are typed, the deployment that runs it, and schedules.
What is the same as what Azure ML has is left alone. A step that somebody started through an
endpoint finds here what that somebody said.
"""
