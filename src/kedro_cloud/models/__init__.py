"""Registered models: which there are, which one counts, and how it answers requests.

In come the versions that pipelines have registered, on this machine (MLflow's database) or in the
workspace. Out go lists, comparisons, marks of stages, and servers: on this machine, or as managed
online endpoints of Azure ML.
"""
