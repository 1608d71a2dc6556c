"""Azure ML jobs: translate Kedro pipelines into steps, and support steps at run time."""
