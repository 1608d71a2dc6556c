"""Publish pipelines to batch endpoints, and schedule them.

Input: a registered pipeline, its parameters, and the endpoints in cloud.yml. Output: a pipeline
component with typed inputs, a deployment that runs it, and schedules. Resources that are already up
to date are not changed. In a step, `inputs` reads the values that the endpoint was invoked with.
"""
