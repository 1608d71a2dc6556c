"""The Azure ML workspace of an environment: connection, error messages, changes."""
