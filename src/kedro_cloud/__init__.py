"""A Kedro plugin for Azure ML: `kedro azureml` and `kedro cloud`, for any project.

In: a project's pipelines, and the settings in its `azureml.yml` and `cloud.yml`. Out: jobs, their
rehearsals on this machine, cost estimates, published pipelines, schedules, file triggers and
deployed models. The plugin is independent of a project's pipelines and imports none of its code.
"""
