"""Serve a model over HTTP: the code of a deployment, which runs without the project.

The input is a folder in MLflow's format, which contains the modules of the project that the model
needs.
"""

PORT = 5001
"""Default port of the server."""
EXAMPLE = "serving_input_example.json"
"""Name of the input example in a model's folder, as MLflow names it."""
