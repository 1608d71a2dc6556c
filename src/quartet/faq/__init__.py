"""Matching questions with those answered before: the science of the FAQ scenario.

In: tables of original questions, their known duplicates and answers, or a Stack
Exchange data dump to make these from. Out: a matcher, one artefact that ranks
the originals for a new question and says how probable it is a duplicate of each,
with the figures and numbers that judge it. Plain Python over tables and arrays:
no Kedro here.
"""

import lazy_loader

# Importing the package is cheap; LightGBM, Optuna and the rest come with the module needing them.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "baselines",
        "cleaning",
        "dump",
        "dump_figures",
        "evaluation",
        "figures",
        "corpus_index",
        "margins",
        "matcher",
        "pairs",
        "ranker",
        "sample",
        "search_space",
        "serving",
        "settings",
        "similarity",
        "study",
        "study_figures",
        "tables",
        "text",
        "trials",
    ],
)
