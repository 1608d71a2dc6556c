"""Finding anomalies in the readings of many sensors: the science of the sensors scenario.

In: what Azure Event Hubs Capture writes, or a table of readings. Out: windows of
statistics, a model set of one-class support vector machines, one a sensor, and the
scores that it gives new windows, with the figures and numbers that judge them.
Plain Python over tables and arrays: no Kedro and no database here.
"""

import lazy_loader

# Importing the package is cheap; scikit-learn and the rest come with the module needing them.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "model_set",
        "baselines",
        "capture",
        "drift",
        "evaluation",
        "features",
        "figures",
        "ingestion",
        "labels",
        "readings",
        "scoring",
        "selection",
        "serving",
        "settings",
        "simulator",
        "training",
        "windows",
    ],
)
