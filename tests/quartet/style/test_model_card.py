"""Who gets weights must learn from where they are, and what they may be used for."""

import json

import pytest

from painted import small_training, stripes
from quartet.style.model_card import Painting, build_training_metadata, format_model_card
from quartet.style.settings import PaintingDescription

PAINTING = Painting.from_pixels("wave.jpg", stripes(), "ab" * 32)
PUBLIC = PaintingDescription(title="The Great Wave", licence="public domain")
METRICS = {
    "steps": 5000,
    "content_loss": 0.81234,
    "style_loss": 0.0456,
    "roughness_loss": 0.06,
    "width": 16,
    "parameters": 424899,
}


def facts(description=PUBLIC, photographs=("china.jpg",), caffe=True, settings=None):
    settings = settings or small_training()
    pictures = {name: stripes() for name in photographs}
    return build_training_metadata(PAINTING, description, pictures, caffe, settings, "1.2.3")


def test_facts_are_texts_that_a_weights_file_can_hold():
    found = facts()
    assert all(isinstance(value, str) for value in found.values())
    assert json.loads(found["style_training"])["style_weight"] == 50
    assert (found["painting_width"], found["painting_height"]) == ("96", "64")


def test_the_card_tells_painting_training_and_rights():
    card = format_model_card("wave", facts(), METRICS)
    for told in (
        "# The style `wave`",
        "*The Great Wave*",
        "| title | The Great Wave |",
        "| file | `wave.jpg` |",
        "| size | 96 × 64 pixels |",
        f"| SHA-256 | `{'ab' * 32}` |",
        "| licence | public domain |",
        "| style_weight | `50.0` |",
        "| content_weight | `1.0` |",
        "| roughness_weight | `0.02` |",
        "| steps | `4` |",
        "| style_layers | `conv1_2, conv2_2` |",
        "after 5,000 steps",
        "content 0.812, style 0.046, roughness 0.060",
        "16 channels wide, 424,899 parameters",
        "(1: china.jpg)",
        "CC BY 4.0",
        "jcjohnson/pytorch-vgg",
        "quartet 1.2.3",
        "## Intended use",
        "style=wave",
        "## Limitations",
    ):
        assert told in card, told
    assert card.endswith(".\n")


def test_what_was_not_told_is_not_made_up():
    card = format_model_card("mine", facts(PaintingDescription(), caffe=False), METRICS)
    assert "| title | not stated |" in card
    assert "| licence | not stated |" in card
    assert "after `wave.jpg` in one pass" in card
    assert "CC BY" not in card
    assert "weights of the user's own" in card


def test_of_many_photographs_the_number_is_told():
    names = [f"{number}.jpg" for number in range(1234)]
    assert "photographs (1,234)" in format_model_card("wave", facts(photographs=names), METRICS)


def test_a_photograph_that_could_not_be_learned_on_is_not_named():
    class Faulty(dict):
        def __getitem__(self, name):
            raise ValueError(name)

    pictures = Faulty(broken=None)
    found = build_training_metadata(PAINTING, PUBLIC, pictures, True, small_training(), "1.2.3")
    assert found["photographs"] == "0: "


@pytest.mark.parametrize("title", ["Waves | and *stars*", "神奈川沖浪裏"])
def test_titles_of_any_letters_keep_the_table_whole(title):
    card = format_model_card("wave", facts(PaintingDescription(title=title)), METRICS)
    row = next(line for line in card.splitlines() if line.startswith("| title"))
    assert row.replace("\\|", "").count("|") == 3
