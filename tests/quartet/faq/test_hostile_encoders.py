"""A sentence encoder that cannot be applied is rejected before hours of training, in one line."""

import json

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("onnxruntime", reason="needs the extra semantic")
pytest.importorskip("tokenizers", reason="needs the extra semantic")

from faq import small_encoder
from faq.small_encoder import FLOAT, INT64, describe, make_files, make_tokenizer, message, number
from quartet.faq.explanation import explain_match
from quartet.faq.matcher import make_untuned_matcher
from quartet.faq.sentences import read_encoder
from quartet.faq.settings import Cleaning, TextFeatures

VECTORS = {"car": [1.0, 0, 0], "red": [0, 1.0, 0]}
INT32 = 6


@pytest.fixture
def files():
    return make_files(VECTORS)


def make_network(integers=INT64, pooled=False):
    """Return a network that takes other integers, or whose first output is one vector a text."""
    table = np.array([np.zeros(3), *VECTORS.values()], np.float32)
    sizes = b"".join(number(1, size) for size in table.shape)
    weights = message(5, sizes, number(2, FLOAT), message(8, "table"), message(9, table.tobytes()))
    gather = message(
        1, message(1, "table"), message(1, "input_ids"), message(2, "h"), message(4, "Gather")
    )
    outputs = describe(12, "h", FLOAT, "batch", "tokens", "size")
    if pooled:
        keep = message(5, message(1, "keepdims"), number(3, 0), number(20, 2))
        axes = message(5, message(1, "axes"), number(8, 1), number(20, 7))
        operator = message(4, "ReduceMax")
        gather += message(1, message(1, "h"), message(2, "pooled"), operator, keep, axes)
        outputs = describe(12, "pooled", FLOAT, "batch", "size") + outputs
    inputs = describe(11, "input_ids", integers, "batch", "tokens")
    graph = message(7, gather, message(2, "small"), weights, inputs, outputs)
    return number(1, 8) + graph + message(8, number(2, 13))


@pytest.mark.parametrize("kind", [{"integers": INT32}, {"pooled": True}])
def test_other_exports_of_an_encoder_give_the_same_vectors(files, kind):
    expected = read_encoder(files).encode(["car red", "red"])
    found = read_encoder(files | {"model.onnx": make_network(**kind)}).encode(["car red", "red"])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("modules.json", {"type": "x"}, "contains dict, expected list"),
        ("modules.json", ["x"], "has a module x"),
        ("1_Pooling/config.json", [], "contains list, expected dict"),
        ("sentence_bert_config.json", None, "contains NoneType, expected dict"),
        ("sentence_bert_config.json", {"max_seq_length": "many"}, "maximum length is 'many'"),
        ("sentence_bert_config.json", {"max_seq_length": -1}, "maximum length is -1"),
        ("sentence_bert_config.json", {"max_seq_length": 10**30}, "expected 1 to 1,000,000"),
        ("config_sentence_transformers.json", [], "contains list, expected dict"),
        ("config_sentence_transformers.json", {"prompts": ["a"]}, "the prompt None is None"),
        (
            "config_sentence_transformers.json",
            {"prompts": {"query": 1}, "default_prompt_name": "query"},
            "the prompt query is 1, expected text",
        ),
        ("tokenizer.json", [], "contains list, expected dict"),
    ],
)
def test_a_configuration_of_another_form_is_reported(files, name, config, message):
    with pytest.raises(ValueError, match=f"{name}.*{message}"):
        read_encoder(files | {name: json.dumps(config).encode()})


def test_the_tokenizer_of_another_encoder_is_reported_when_it_is_read(files):
    other = make_tokenizer(["the", "words", "of", "another", "a"])
    with pytest.raises(ValueError, match=r"cannot be applied to a text .* of one encoder"):
        read_encoder(files | {"tokenizer.json": other})


def test_a_network_of_outputs_that_are_not_finite_is_reported():
    damaged = small_encoder.make_files({"a": [np.inf, 0.0]})
    with pytest.raises(ValueError, match="not finite"):
        read_encoder(damaged)


def test_half_a_character_does_not_stop_the_texts_after_it(files):
    found = read_encoder(files).encode(["car \ud83d", "\udc00", "car"])
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, 0, 0], [1, 0, 0]])


def test_a_match_of_the_same_meaning_is_explained_by_it():
    words = {"car": [1.0, 0.0], "automobile": [1.0, 0.01], "tree": [0.0, 1.0], "cargo": [0.0, -1.0]}
    texts = ["cargo", "automobile"]
    originals = pd.DataFrame({"Id": ["1", "2"], "AnswerId": ["a", "b"], "text": texts})
    answers = pd.DataFrame({"Id": ["a", "b"], "text": ["Load.", "Drive."]})
    settings = TextFeatures(seed=1)
    matcher = make_untuned_matcher(
        originals, originals[:0], answers, settings, Cleaning(), read_encoder(make_files(words))
    )
    found = explain_match(matcher, "car", texts)
    assert found.nearest == 1
    assert found.similarity == pytest.approx(settings.sentence_share, abs=0.05)
    assert found.words == []
