"""All the code that a deployment sends along: `serve.py`, which runs by itself.

In comes a folder in MLflow's format, out go answers to HTTP requests. What the model needs of the
project lies in that folder.
"""

PORT = 5001
"""That the server listens at, unless it is told another."""
