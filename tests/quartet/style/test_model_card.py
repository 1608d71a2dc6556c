"""Users of weights learn where they come from and what they may be used for."""

import json

import pytest

from quartet.style.model_card import build_training_metadata, format_model_card
from quartet.style.settings import PaintingDescription
from style_inputs import small_training, stripes

PAINTING = ("wave.jpg", "ab" * 32, stripes())
PUBLIC = PaintingDescription(title="The Great Wave", licence="public domain")
METRICS = {
    "steps": 5000,
    "content_loss": 0.81234,
    "style_loss": 0.0456,
    "roughness_loss": 0.06,
    "width": 16,
    "parameters": 424899,
}


def metadata(description=PUBLIC, photographs=("china.jpg",), caffe=True, settings=None):
    settings = settings or small_training()
    pictures = {name: stripes() for name in photographs}
    return build_training_metadata(*PAINTING, description, pictures, caffe, settings, "1.2.3")


def test_metadata_values_are_strings():
    found = metadata()
    assert all(isinstance(value, str) for value in found.values())
    assert json.loads(found["style_training"])["style_weight"] == 50
    assert (found["painting_width"], found["painting_height"]) == ("96", "64")


def test_card_describes_painting_training_and_licences():
    card = format_model_card("wave", metadata(), METRICS, "cd" * 32)
    for text in (
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
        f"SHA-256 of the weights: `{'cd' * 32}`",
        "## Intended use",
        "style=wave",
        "## Limitations",
    ):
        assert text in card, text
    assert card.endswith(".\n")


def test_card_states_missing_information():
    card = format_model_card(
        "mine", metadata(PaintingDescription(), caffe=False), METRICS, "cd" * 32
    )
    assert "| title | not stated |" in card
    assert "| licence | not stated |" in card
    assert "after `wave.jpg` in one pass" in card
    assert "CC BY" not in card
    assert "weights of the user's own" in card


def test_card_counts_many_photographs():
    names = [f"{number}.jpg" for number in range(1234)]
    assert "photographs (1,234)" in format_model_card(
        "wave", metadata(photographs=names), METRICS, "cd" * 32
    )


def test_unreadable_photograph_is_not_listed():
    class Faulty(dict):
        def __getitem__(self, name):
            raise ValueError(name)

    pictures = Faulty(broken=None)
    found = build_training_metadata(*PAINTING, PUBLIC, pictures, True, small_training(), "1.2.3")
    assert found["photographs"] == "0: "


@pytest.mark.parametrize("title", ["Waves | and *stars*", "神奈川沖浪裏"])
def test_special_characters_in_titles_keep_the_table_valid(title):
    card = format_model_card("wave", metadata(PaintingDescription(title=title)), METRICS, "cd" * 32)
    row = next(line for line in card.splitlines() if line.startswith("| title"))
    assert row.replace("\\|", "").count("|") == 3
