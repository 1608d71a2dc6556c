"""A Kedro plugin for Azure ML: `kedro azureml` and `kedro cloud`, for any project.

In come a project's pipelines and the settings in its `azureml.yml` and `cloud.yml`; out come jobs,
rehearsals of them on this machine, estimates of their cost, published pipelines, schedules, file
triggers and served models. It knows no pipeline by name and imports nothing of a project.
"""
