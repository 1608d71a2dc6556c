"""Jobs of Azure ML: Kedro pipelines translated into steps, and what a step needs where it runs."""
