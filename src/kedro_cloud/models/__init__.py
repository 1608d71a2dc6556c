"""List, compare, promote and deploy registered models.

The registry is MLflow's database on this machine, or the workspace. A deployed model is a server
on this machine, or a managed online endpoint of Azure ML.
"""
