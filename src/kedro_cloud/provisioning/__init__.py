"""Create what jobs need in the workspace: clusters, datastores, data assets and environments.

Input: cloud.yml and the present state of the workspace. Output: a list of changes, which are then
applied one by one. If one fails, a rerun skips those that were applied.
"""
