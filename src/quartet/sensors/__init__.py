"""Anomaly detection in the readings of many sensors: the science of the sensors scenario.

Inputs are files of Azure Event Hubs Capture, or a table of readings. Outputs are windows of
statistics, a model set with one one-class support vector machine per sensor, the scores of new
windows, and figures and metrics that evaluate them. Plain Python over tables and arrays: no Kedro
and no database.
"""

import lazy_loader

# Importing the package is cheap; scikit-learn and the rest come with the module needing them.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "baselines",
        "batch",
        "capture",
        "devices",
        "drift",
        "evaluation",
        "features",
        "figures",
        "ingestion",
        "interactive_figures",
        "labels",
        "model_set",
        "readings",
        "robust",
        "scoring",
        "selection",
        "serving",
        "settings",
        "simulator",
        "training",
        "windows",
    ],
)
