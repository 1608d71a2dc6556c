"""Users of a model find its data, results, limitations and licences."""

import os
import re
from pathlib import Path

import mlflow
import pytest

from support import make_workspace, run_kedro

PAGE = os.environ.get("QUARTET_MODEL_CARDS")
"""Path of the page whose cards to write again."""


def read_models(project):
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    return {model.name: model for model in client.search_registered_models()}


@pytest.fixture(scope="module")
def models(trained_workspace):
    return read_models(trained_workspace)


def test_every_registered_model_has_a_card_and_a_champion(models):
    assert models
    for name, model in models.items():
        headings = re.findall("^## (.+)$", model.description, flags=re.MULTILINE)
        assert model.description.startswith(f"# {name}, version 1\n")
        assert headings == ["Data", "Results", "Intended use", "Limitations", "Licences", "Origin"]
        assert {alias: int(number) for alias, number in model.aliases.items()} == {"champion": 1}
        assert re.search(r"\| [\d.]+ \([\d.]+ to [\d.]+\) \|", model.description)


@pytest.mark.integration
@pytest.mark.skipif(PAGE is None, reason="QUARTET_MODEL_CARDS is not set")
def test_the_page_shows_the_cards_of_a_run_at_the_defaults(tmp_path):
    project = make_workspace(tmp_path / "project")
    result = run_kedro(project, "run", fresh=True)
    assert result.returncode == 0, result.stderr
    page = Path(PAGE)
    text = page.read_text(encoding="utf-8")
    for name, model in read_models(project).items():
        text = insert_card(text, name, model.description)
    page.write_text(text, encoding="utf-8")


def insert_card(text, name, card):
    """Replace the card of a model, one level of headings below; its origin is of one run only."""
    body = card.partition("\n")[2].partition("\n## Origin\n")[0].strip()
    body = re.sub("^## ", "### ", body, flags=re.MULTILINE)
    pattern = rf"(?<=\n## {name}\n\n).*?(?=\n\n## )"
    return re.sub(pattern, lambda _: body, text, count=1, flags=re.DOTALL)
