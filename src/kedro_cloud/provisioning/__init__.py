"""What the workspace needs before the first job: clusters, datastores, data assets, environments.

In: cloud.yml and the workspace as it is. Out: the difference, as a list that can be read, and the
changes that end it, one after the other, each of them done or not: running again does the rest.
"""
