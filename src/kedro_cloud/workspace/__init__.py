"""The Azure ML workspace of an environment: the connection, its answers, changes to it."""
