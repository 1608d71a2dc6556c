"""Users of a model find its data, results, limitations and licences."""

import os
import re
from pathlib import Path

import mlflow
import pytest

PAGE = os.environ.get("QUARTET_MODEL_CARDS")
"""Path of the page whose cards to write again."""


@pytest.fixture(scope="module")
def models(trained_workspace):
    client = mlflow.MlflowClient(f"sqlite:///{trained_workspace}/mlflow.db")
    return {model.name: model for model in client.search_registered_models()}


def test_every_registered_model_has_a_card_and_a_champion(models):
    assert models
    for name, model in models.items():
        headings = re.findall("^## (.+)$", model.description, flags=re.MULTILINE)
        assert model.description.startswith(f"# {name}, version 1\n")
        assert headings == ["Data", "Results", "Intended use", "Limitations", "Licences", "Origin"]
        assert {alias: int(number) for alias, number in model.aliases.items()} == {"champion": 1}
        assert re.search(r"\| [\d.]+ \([\d.]+ to [\d.]+\) \|", model.description)


@pytest.mark.skipif(PAGE is None, reason="QUARTET_MODEL_CARDS is not set")
def test_the_page_shows_the_cards(models):
    page = Path(PAGE)
    text = page.read_text(encoding="utf-8")
    for name, model in models.items():
        text = insert_card(text, name, model.description)
    page.write_text(text, encoding="utf-8")


def insert_card(text, name, card):
    """Replace the card of a model, one level of headings below; its origin is of one run only."""
    body = card.partition("\n")[2].partition("\n## Origin\n")[0].strip()
    body = re.sub("^## ", "### ", body, flags=re.MULTILINE)
    pattern = rf"(?<=\n## {name}\n\n).*?(?=\n\n## )"
    return re.sub(pattern, lambda _: body, text, count=1, flags=re.DOTALL)
