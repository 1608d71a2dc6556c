"""Classification of handwritten digits: the algorithms of the MNIST scenario.

In: images of shape (n, 28, 28) and labels of shape (n,), both uint8, or others that
are brought into this form. Out: two trained classifiers as named arrays (a
multinomial logistic regression and a small convolutional network), class
probabilities of shape (n, 10), and the figures and metrics that evaluate them.
Plain Python over arrays, without Kedro.
"""

import lazy_loader

# Lazy: PyTorch and matplotlib are imported only with the modules that need them.
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
        "interactive_figures",
        "lbfgs",
        "logistic",
        "precision",
        "preparation",
        "sample",
        "serving",
        "settings",
    ],
)
