"""Classifying handwritten digits: the science of the MNIST scenario.

In: images of shape (n, 28, 28) and labels of shape (n,), both uint8. Out: two
trained classifiers as named arrays (a multinomial logistic regression and a
small convolutional network), class probabilities of shape (n, 10), and the
figures and numbers that judge them. Plain Python over arrays: no Kedro here.
"""

import lazy_loader

# Importing the package is cheap; PyTorch and matplotlib come with the module that needs them.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "augmentation",
        "classifier",
        "convnet",
        "convnet_training",
        "data",
        "evaluation",
        "figures",
        "lbfgs",
        "logistic",
        "precision",
        "sample",
        "serving",
        "settings",
    ],
)
