"""What surrounds every run of the project: hooks, context, the runner of MPI ranks, downloads.

Nothing here knows a scenario; what a cluster needs beyond it is the plugin `kedro_cloud`.
"""
