"""Encode texts as vectors of their meaning with a small neural network, a sentence encoder.

Any encoder in the layout of Sentence Transformers (Reimers and Gurevych 2019) that is
exported to ONNX: a transformer whose outputs for the tokens of a text are pooled to one
vector. Vectors are scaled to length 1, so that their products are cosines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

Values = NDArray[np.float32]

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
POOLING_FILE = "1_Pooling/config.json"
LENGTH_FILE = "sentence_bert_config.json"
PROMPTS_FILE = "config_sentence_transformers.json"
MODULES_FILE = "modules.json"
CONFIG_FILES = (POOLING_FILE, LENGTH_FILE, PROMPTS_FILE, MODULES_FILE)
"""Configuration files of Sentence Transformers, each optional."""

THREADS = 2
"""Texts encoded in parallel, each by one thread."""
_MAX_TOKENS = 256
"""Tokens of a text that are read where no file says how many, as for most small encoders."""
_MODULES = ("Transformer", "Pooling", "Normalize")


@dataclass(frozen=True)
class EncoderSettings:
    """How an encoder is applied.

    Attributes:
        pooling: `mean` of the outputs of all tokens, or `cls`, the output of the first.
        max_tokens: Tokens of a text that are read, those added at its ends included.
        prompt: Text that is put before each text.
    """

    pooling: str = "mean"
    max_tokens: int = _MAX_TOKENS
    prompt: str = ""


@dataclass(frozen=True)
class SentenceEncoder:
    """Maps texts to vectors of length 1.

    Attributes:
        model: Content of the ONNX file.
        tokenizer: Content of `tokenizer.json`.
        settings: How the model is applied.
        known: Vectors that need not be computed again, by text.
    """

    model: bytes
    tokenizer: bytes
    settings: EncoderSettings
    known: Mapping[str, Values] = field(default_factory=dict, repr=False)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of model, tokenizer and settings, hexadecimal."""
        digest = hashlib.sha256(self.model)
        digest.update(self.tokenizer)
        digest.update(json.dumps(asdict(self.settings), sort_keys=True).encode())
        return digest.hexdigest()

    def encode(self, texts: Sequence[str]) -> Values:
        """Return the vectors of n texts, shape (n, dimensions).

        Each text is encoded by itself: the activations of a quantised model depend on all
        texts of a batch, and so would its vectors.
        """
        missing = [text for text in dict.fromkeys(texts) if text not in self.known]
        with ThreadPoolExecutor(THREADS) as pool:
            computed = list(
                tqdm(
                    pool.map(self._encode_one, missing),
                    total=len(missing),
                    desc="encoding sentences",
                    unit="text",
                    disable=None,
                    delay=2,
                )
            )
        vectors = {**self.known, **dict(zip(missing, computed, strict=True))}
        return np.stack([vectors[text] for text in texts])

    def with_known(self, known: Mapping[str, Values]) -> Self:
        """Return the encoder with vectors of texts that it has encoded before."""
        return replace(self, known=known)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the encoder as named arrays, without known vectors."""
        settings = {**asdict(self.settings), "sha256": self.sha256}
        parts = {
            "model": self.model,
            "tokenizer": self.tokenizer,
            "settings": json.dumps(settings).encode(),
        }
        return {name: np.frombuffer(content, np.uint8) for name, content in parts.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Restore an encoder from `to_arrays`.

        Raises:
            ValueError: The encoder is not the one that was saved.
        """
        settings = json.loads(arrays["settings"].tobytes())
        sha256 = settings.pop("sha256")
        encoder = cls(
            arrays["model"].tobytes(), arrays["tokenizer"].tobytes(), EncoderSettings(**settings)
        )
        if encoder.sha256 != sha256:
            raise ValueError(
                f"the sentence encoder has the SHA-256 {encoder.sha256[:12]}…, expected "
                f"{sha256[:12]}…; restore the model's files"
            )
        return encoder

    def _encode_one(self, text: str) -> Values:
        encoding = self._tokenizer.encode(self.settings.prompt + text)
        tokens = np.array([encoding.ids], dtype=np.int64)
        available = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        inputs = {entry.name: available[entry.name] for entry in self._session.get_inputs()}
        outputs = self._session.run(None, inputs)[0][0]
        pooled = outputs[:1] if self.settings.pooling == "cls" else outputs
        vector = pooled.sum(axis=0)  # the mean, but for its length; zeros for a text of no token
        scaled: Values = (vector / max(np.linalg.norm(vector), 1e-12)).astype(np.float32)
        return scaled

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # texts are encoded in parallel instead
        options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(self.model, options, providers=["CPUExecutionProvider"])

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.tokenizer.decode())
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.settings.max_tokens)
        return tokenizer


def read_encoder(files: Mapping[str, bytes]) -> SentenceEncoder:
    """Return the encoder that the files of a folder describe, and check that it can be applied.

    Args:
        files: Contents by name: `MODEL_FILE`, `TOKENIZER_FILE`, and those of `CONFIG_FILES` that
            the folder has.

    Raises:
        ValueError: A file is damaged, or describes an encoder of another form.
    """
    encoder = SentenceEncoder(files[MODEL_FILE], files[TOKENIZER_FILE], _read_settings(files))
    try:
        tokens = encoder._tokenizer.get_vocab_size()
        session = encoder._session
    except ImportError:
        raise
    except Exception as error:  # both libraries raise types of their own
        raise ValueError(f"cannot be loaded ({error}); fetch the encoder again") from error
    inputs = {entry.name for entry in session.get_inputs()}
    shape = session.get_outputs()[0].shape
    if not inputs <= {"input_ids", "attention_mask", "token_type_ids"} or len(shape) != 3:
        raise ValueError(
            f"{MODEL_FILE} has the inputs {', '.join(sorted(inputs))} and an output of shape "
            f"{shape}, expected token ids and one vector a token; export the encoder for "
            "feature extraction"
        )
    if not tokens:
        raise ValueError(f"{TOKENIZER_FILE} has no tokens; fetch the encoder again")
    return encoder


def _read_settings(files: Mapping[str, bytes]) -> EncoderSettings:
    """Return the settings that the configuration files of Sentence Transformers contain."""
    configs = {name: _parse_json(name, files[name]) for name in CONFIG_FILES if name in files}
    for module in configs.get(MODULES_FILE, []):
        kind = str(module.get("type")).rpartition(".")[2]
        if kind not in _MODULES:
            raise ValueError(
                f"{MODULES_FILE} has a module {kind}, expected only {', '.join(_MODULES)}; choose "
                "an encoder without it"
            )
    prompts = configs.get(PROMPTS_FILE, {})
    return EncoderSettings(
        pooling=_read_pooling(configs.get(POOLING_FILE, {})),
        max_tokens=_read_length(files, configs.get(LENGTH_FILE, {})),
        prompt=(prompts.get("prompts") or {}).get(prompts.get("default_prompt_name"), ""),
    )


def _read_pooling(config: Mapping[str, Any]) -> str:
    modes = [
        name.removeprefix("pooling_mode_")
        for name, value in config.items()
        if name.startswith("pooling_mode_") and value is True
    ]
    pooling = {"mean_tokens": "mean", "cls_token": "cls"}
    if not modes:
        return "mean"
    if len(modes) > 1 or modes[0] not in pooling:
        raise ValueError(
            f"{POOLING_FILE} has the pooling {', '.join(modes)}, expected one of "
            f"{', '.join(pooling)}; choose another encoder"
        )
    return pooling[modes[0]]


def _read_length(files: Mapping[str, bytes], config: Mapping[str, Any]) -> int:
    truncation = _parse_json(TOKENIZER_FILE, files[TOKENIZER_FILE]).get("truncation") or {}
    return int(config.get("max_seq_length") or truncation.get("max_length") or _MAX_TOKENS)


def _parse_json(name: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise ValueError(f"{name}: not JSON ({error}); fetch the encoder again") from error
