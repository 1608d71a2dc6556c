"""Stylizing pictures and videos after a painting: the science of the style scenario.

In: a painting and photographs to learn from, or a video or pictures to stylize.
Out: a small network that knows one style, and the video frame for frame in that
style, its sound and timing kept, with the figures and numbers that judge both.
Plain Python over arrays and files: no Kedro here.
"""

import lazy_loader

# Importing the package is cheap; PyTorch and PyAV come with the module needing them.
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["network", "perception"])
