"""Texts of the same meaning must be similar without a common word; encoders must be usable."""

import json

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("onnxruntime", reason="needs the extra semantic")
pytest.importorskip("tokenizers", reason="needs the extra semantic")

from faq.conftest import FEATURES, make_tables
from faq.small_encoder import INT32, make_files, make_network, make_tokenizer
from quartet.faq import serving
from quartet.faq.explanation import explain_match
from quartet.faq.matcher import Matcher, fit_matcher, make_untuned_matcher
from quartet.faq.ranker import RankerParameters
from quartet.faq.sentences import SentenceEncoder, read_encoder
from quartet.faq.settings import Cleaning, Refit, TextFeatures
from support import real_data

OTHER_TOKENIZER = make_tokenizer(["the", "words", "of", "another", "a"])
VECTORS = {"car": [1.0, 0, 0], "automobile": [0.9, 0.1, 0], "red": [0, 3.0, 0], "tree": [0, 0, 2.0]}


@pytest.fixture
def files():
    return make_files(VECTORS)


def test_a_text_is_the_mean_of_its_tokens_scaled_to_length_one(files):
    found = read_encoder(files).encode(["car red", "tree", "car red"])
    expected = np.array([[1, 3, 0], [0, 0, 1], [1, 3, 0]])
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32


def test_a_text_without_known_words_has_a_vector_of_zeros_not_of_nan(files):
    assert (read_encoder(files).encode(["zzz", ""]) == 0).all()


def test_known_vectors_are_not_computed_again(files):
    known = {"car": np.array([0, 0, 1], np.float32)}
    found = read_encoder(files).with_known(known).encode(["car", "tree"])
    np.testing.assert_allclose(found, [[0, 0, 1], [0, 0, 1]])


def test_the_configuration_of_the_encoder_is_followed(files):
    configs = {
        "1_Pooling/config.json": {"pooling_mode_cls_token": True, "word_embedding_dimension": 3},
        "sentence_bert_config.json": {"max_seq_length": 2},
        "config_sentence_transformers.json": {
            "prompts": {"query": "tree "},
            "default_prompt_name": "query",
        },
        "modules.json": [{"type": "sentence_transformers.models.Transformer"}],
    }
    contents = {name: json.dumps(config).encode() for name, config in configs.items()}
    encoder = read_encoder(files | contents)
    np.testing.assert_allclose(encoder.encode(["car"]), [[0, 0, 1]])  # the first token's
    assert (encoder.settings.max_tokens, encoder.settings.prompt) == (2, "tree ")
    assert encoder.sha256 != read_encoder(files).sha256


@pytest.mark.parametrize("kind", [{"integers": INT32}, {"pooled": True}])
def test_other_exports_of_an_encoder_give_the_same_vectors(files, kind):
    expected = read_encoder(files).encode(["car red", "red"])
    network = make_network([[0, 0, 0], *VECTORS.values()], **kind)
    found = read_encoder(files | {"model.onnx": network}).encode(["car red", "red"])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("modules.json", [{"type": "x.models.Dense"}], "has a module Dense"),
        ("modules.json", {"type": "x"}, "should be a valid array; correct it, or fetch"),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "has the pooling max_tokens"),
        ("sentence_bert_config.json", {"max_seq_length": "many"}, "max_seq_length: .*integer"),
        ("sentence_bert_config.json", {"max_seq_length": -1}, "greater than 0"),
        ("sentence_bert_config.json", {"max_seq_length": 10**30}, "equal to 1000000"),
        (
            "config_sentence_transformers.json",
            {"prompts": ["a"]},
            "prompts: .*an object",
        ),
        ("tokenizer.json", [], ": Input should be an object"),
    ],
)
def test_a_configuration_of_another_form_is_rejected_with_its_name(files, name, config, message):
    with pytest.raises(ValueError, match=f"{name}.*{message}"):
        read_encoder(files | {name: json.dumps(config).encode()})


def test_a_configuration_may_begin_with_a_byte_order_mark(files):
    config = b'\xef\xbb\xbf{"max_seq_length": 7}'
    encoder = read_encoder(files | {"sentence_bert_config.json": config})
    assert encoder.settings.max_tokens == 7


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model.onnx": b"\x08\x08:"}, r"cannot be loaded .*fetch the encoder again"),
        ({"modules.json": b"{"}, "modules.json: Invalid JSON"),
        (
            {"tokenizer.json": make_tokenizer(["words", "of", "another", "one", "a"])},
            "of one encoder",
        ),
        (make_files({"a": [np.inf, 0.0]}), "not finite"),
    ],
)
def test_a_damaged_or_mixed_encoder_is_rejected_before_training(files, changed, message):
    with pytest.raises(ValueError, match=message):
        read_encoder(files | changed)


def test_half_a_character_does_not_stop_the_texts_after_it(files):
    found = read_encoder(files).encode(["car \ud83d", "\udc00", "car"])
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, 0, 0], [1, 0, 0]])


def test_an_encoder_is_restored_as_it_was_or_not_at_all(files):
    encoder = read_encoder(files)
    arrays = encoder.to_arrays()
    restored = SentenceEncoder.from_arrays(arrays)
    assert restored.sha256 == encoder.sha256
    np.testing.assert_array_equal(restored.encode(["car"]), encoder.encode(["car"]))
    arrays["tokenizer"] = np.frombuffer(make_tokenizer({"other": 1}), np.uint8)
    with pytest.raises(ValueError, match="the sentence encoder has the SHA-256"):
        SentenceEncoder.from_arrays(arrays)


QUESTIONS = ["my car is old", "the tree is old"]
ORIGINALS = pd.DataFrame({"Id": ["1", "2"], "AnswerId": ["a", "b"], "text": QUESTIONS})
ANSWERS = pd.DataFrame({"Id": ["a", "b"], "text": ["<b>Paint</b> it.", "Cut it."]})


def test_untuned_matching_finds_another_word_of_the_same_meaning(files):
    settings = TextFeatures(seed=1)
    tables = ORIGINALS, ORIGINALS.iloc[:0], ANSWERS, settings, Cleaning()
    asked = ["automobile", "tree"]
    semantic = make_untuned_matcher(*tables, read_encoder(files)).match(asked, 1)
    assert semantic["original"].tolist() == ["1", "2"]
    lexical = make_untuned_matcher(*tables).match(asked, 1)
    assert semantic["probability"].iloc[0] > lexical["probability"].iloc[0] + 0.1


def test_a_match_of_the_same_meaning_is_explained_by_it():
    words = {"car": [1.0, 0.0], "automobile": [1.0, 0.01], "tree": [0.0, 1.0], "cargo": [0.0, -1.0]}
    texts = ["cargo", "automobile"]
    originals, settings = ORIGINALS.assign(text=texts), TextFeatures(seed=1)
    tables = originals, originals.iloc[:0], ANSWERS, settings, Cleaning()
    matcher = make_untuned_matcher(*tables, read_encoder(make_files(words)))
    found = explain_match(matcher, "car", texts)
    assert found.nearest == 1
    assert found.similarity == pytest.approx(settings.sentence_share, abs=0.05)
    assert found.words == []


@pytest.fixture(scope="module")
def synonyms():
    """A FAQ of topics whose words are shared by no other text, and an encoder that knows them."""
    generator = np.random.default_rng(0)
    originals, duplicates, answers = make_tables(originals=12, duplicates=6)
    topics = np.repeat(np.arange(12), 6)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    rare = ["".join(generator.choice(letters, 7)) for _ in range(len(duplicates))]
    asked = [f"how do i {word} it" for word in rare]
    own = [f"help with topic{index}" for index in range(12)]
    directions = generator.normal(size=(12, 8))
    words = {word: directions[topic] for word, topic in zip(rare, topics, strict=True)}
    words |= {f"topic{index}": directions[index] for index in range(12)}
    tables = originals.assign(text=own), duplicates.assign(text=asked), answers
    return tables, make_files({word: list(vector) for word, vector in words.items()})


def test_a_tuned_matcher_learns_from_sentences_and_is_restored_with_them(synonyms):
    (originals, duplicates, answers), files = synonyms
    parameters = RankerParameters(negatives=5, trees=20, word_ngrams=1)
    held_out = np.arange(len(duplicates)) % 6 == 0
    tables = originals, duplicates[~held_out], answers, parameters, FEATURES
    gains = []
    for encoder in (None, read_encoder(files)):
        matcher = fit_matcher(*tables, Refit(seed=1, folds=3), Cleaning(), encoder)
        found = matcher.match(list(duplicates.loc[held_out, "text"]), 1)
        gains.append((found["AnswerId"].to_numpy() == duplicates.loc[held_out, "AnswerId"]).mean())
    assert gains[0] < 0.5
    assert gains[1] > 0.9
    restored = Matcher.from_bytes(matcher.to_bytes())
    after = restored.match(list(duplicates.loc[held_out, "text"]), 1)
    np.testing.assert_allclose(after["probability"], found["probability"], rtol=1e-6)
    assert restored.encoder.sentences.sha256 == read_encoder(files).sha256
    assert set(serving.list_requirements(restored)) > {"onnxruntime", "tokenizers"}
    assert "sentence.nearest" in restored.feature_gains()


def test_minilm_finds_paraphrases_and_the_same_vector_in_any_company():
    folder = real_data("faq/minilm")
    names = {"model.onnx": "model_int8.onnx", "tokenizer.json": "tokenizer.json"}
    encoder = read_encoder({name: (folder / file).read_bytes() for name, file in names.items()})
    texts = ["how do i delete a file?", "removing documents from disk", "best beach in portugal"]
    vectors = encoder.encode(texts)
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.4
    assert cosines[0, 2] < 0.2
    np.testing.assert_array_equal(encoder.encode(texts[:1])[0], vectors[0])
