"""Log to MLflow: parameters one by one, tables as series or child runs, data with digests.

`framework.hooks.tracking` calls these functions for the active run; none of them starts a run of
its own, except child runs for trials.
"""
