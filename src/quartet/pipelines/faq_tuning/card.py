"""Model card of the ranker of questions."""

from __future__ import annotations

from collections.abc import Mapping

from quartet.datasets.model_card import ModelCard, Result

_GAINS = {
    "test_gain_at_1": "gain@1",
    "test_gain_at_3": "gain@3",
    "test_mean_reciprocal_rank": "mean reciprocal rank",
    "test_calibration_error": "calibration error",
    "baseline_cosine_gain_at_1": "baseline, cosine similarity: gain@1",
    "baseline_nearest_duplicate_gain_at_1": "baseline, nearest duplicate: gain@1",
    "baseline_reference_gain_at_1": "baseline, reference recipe: gain@1",
}


def make_card(
    metrics: Mapping[str, float], counts: Mapping[str, int], hashes: Mapping[str, str]
) -> ModelCard:
    """Return the model card of a matcher.

    Args:
        metrics: Metrics of the matcher on the test duplicates; empty if there are none.
        counts: Originals, duplicates and test duplicates, by name.
        hashes: SHA-256 of the data, by name.
    """
    results = {
        label: Result.from_metrics(metrics, name)
        for name, label in _GAINS.items()
        if name in metrics
    }
    return ModelCard(
        summary=(
            "Finds the answered question, the original, that a new question duplicates. It "
            "compares texts by TF-IDF similarities, ranks the originals by gradient-boosted trees, "
            "and returns three of them, each with a probability. Without enough known duplicates "
            "it ranks by similarity alone."
        ),
        data={name: f"{count:,}" for name, count in counts.items()}
        | {f"SHA-256 of the {name}": f"`{value}`" for name, value in hashes.items()},
        results=results,
        evaluation=(
            "On duplicates that were used neither for training nor for tuning. gain@k is recall@k: "
            "the share of questions whose original is among the first k. Bootstrap intervals over "
            "these questions."
            if results
            else "Not tested: there are too few duplicates."
        ),
        intended_use=(
            "Proposing answers to new questions about the same subject and in the same language "
            "as the known ones, for people who read the proposals."
        ),
        limitations=[
            "A question without an answer gets proposals, too: see `answerable`.",
            "Paraphrases that share no word with the known texts are not found.",
            "New originals are matched only after the next training.",
            "Test duplicates come from the same source as the training ones; other sources were "
            "not tested.",
        ],
        licences=[
            "Code: Apache License 2.0, as the project.",
            "The model contains the known questions, duplicates and answers: their terms apply to "
            "it. The committed sample was written for the project and has its licence. Texts "
            "of Stack Exchange are under [CC BY-SA](https://creativecommons.org/licenses/by-sa/4.0/).",
        ],
    )
