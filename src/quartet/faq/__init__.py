"""Match new questions with questions that were answered before: the science of the FAQ scenario.

Input: tables of original questions, their known duplicates and answers, or a Stack
Exchange data dump from which these tables are built. Output: a matcher, one artefact
that ranks the originals for a new question and estimates the probability that it is
a duplicate of each, with figures and metrics of its quality. The package is plain
Python over tables and arrays and does not import Kedro.
"""

import lazy_loader

# Submodules load on first use, so that importing the package does not import LightGBM or Optuna.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "answerable",
        "baselines",
        "cleaning",
        "corpus_index",
        "drawing",
        "dump",
        "dump_figures",
        "evaluation",
        "figures",
        "holdout",
        "interactive_figures",
        "matcher",
        "pairs",
        "ranker",
        "sample",
        "search_space",
        "sentences",
        "serving",
        "settings",
        "similarity",
        "study",
        "study_figures",
        "svm",
        "tables",
        "text",
        "trials",
    ],
)
