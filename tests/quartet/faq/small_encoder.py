"""Write a sentence encoder of a few words: a table of vectors in ONNX, and its tokenizer."""

import json

import numpy as np

FLOAT, INT32, INT64 = 1, 6, 7
"""ONNX's codes of element types."""


def varint(value):
    """Encode an integer as Protocol Buffers do."""
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


def number(field, value):
    return varint(field << 3) + varint(value)


def message(field, *parts):
    content = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return varint(field << 3 | 2) + varint(len(content)) + content


def describe(field, name, kind, *dimensions):
    """Encode a ValueInfoProto, whose dimensions are names."""
    shape = message(2, *(message(1, message(2, dimension)) for dimension in dimensions))
    return message(field, message(1, name), message(2, message(1, number(1, kind), shape)))


def make_network(table, integers=INT64, pooled=False):
    """Return an ONNX file whose output for a token is its row of the table, shape (words, d).

    `integers` is the type of the input; with `pooled`, the first output is one vector a text.
    """
    table = np.asarray(table, np.float32)
    sizes = b"".join(number(1, size) for size in table.shape)
    weights = message(5, sizes, number(2, FLOAT), message(8, "table"), message(9, table.tobytes()))
    gather = message(
        1, message(1, "table"), message(1, "input_ids"), message(2, "h"), message(4, "Gather")
    )
    inputs = describe(11, "input_ids", integers, "batch", "tokens")
    inputs += describe(11, "attention_mask", integers, "batch", "tokens")
    outputs = describe(12, "h", FLOAT, "batch", "tokens", "size")
    if pooled:
        keep = message(5, message(1, "keepdims"), number(3, 0), number(20, 2))
        axes = message(5, message(1, "axes"), number(8, 1), number(20, 7))
        operator = message(4, "ReduceMax")
        gather += message(1, message(1, "h"), message(2, "pooled"), operator, keep, axes)
        outputs = describe(12, "pooled", FLOAT, "batch", "size") + outputs
    graph = message(7, gather, message(2, "small"), weights, inputs, outputs)
    return number(1, 8) + graph + message(8, number(2, 13))


def make_tokenizer(words):
    """Return the content of a `tokenizer.json` of whole words; others are `[UNK]`."""
    vocabulary = {word: index for index, word in enumerate(["[UNK]", *words])}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": {
                "strategy": {"Fixed": 16},
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "[UNK]",
            },
            "added_tokens": [],
            "normalizer": None,
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": None,
            "decoder": None,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
        }
    ).encode()


def make_files(vectors):
    """Return the files of an encoder of words with these vectors; others have a zero vector."""
    size = len(next(iter(vectors.values())))
    table = np.array([np.zeros(size), *vectors.values()])
    return {"model.onnx": make_network(table), "tokenizer.json": make_tokenizer(vectors)}
