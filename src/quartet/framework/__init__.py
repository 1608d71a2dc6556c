"""Integrate the project with Kedro: hooks, context, the runner of MPI ranks, downloads.

This package is independent of the scenarios; the plugin `kedro_cloud` adds what clusters need.
"""
