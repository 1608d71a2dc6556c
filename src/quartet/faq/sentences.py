"""Encode texts as vectors of their meaning with a small neural network, a sentence encoder.

Any encoder in the layout of Sentence Transformers (Reimers and Gurevych 2019) that is
exported to ONNX: a transformer whose outputs for the tokens of a text are pooled to one
vector. Vectors are scaled to length 1, so that their products are cosines.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
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
_DEFAULT_TOKENS = 256
"""Tokens of a text that are read where no file says how many, as for most small encoders."""
_MAX_TOKENS = 1_000_000
"""Tokens of a text above which a configured maximum is a mistake."""
_PROBED_TOKENS = 1000
"""Tokens of the long text on which an encoder is tried: more than most encoders have position
embeddings for, and still fast."""
_MODULES = ("Transformer", "Pooling", "Normalize")
"""Modules of Sentence Transformers that `SentenceEncoder` applies."""
_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
"""Inputs that a network may have."""
_INPUT_TYPES = {"tensor(int32)": np.int32}
"""Types of inputs other than int64."""


@dataclass(frozen=True)
class EncoderSettings:
    """How an encoder is applied.

    Attributes:
        pooling: `mean` of the outputs of all tokens, or `cls`, the output of the first.
        max_tokens: Tokens of a text that are read, those added at its ends included.
        prompt: Text that is put before each text.
    """

    pooling: str = "mean"
    max_tokens: int = _DEFAULT_TOKENS
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

        Each text is encoded by itself, since a quantised model scales its activations by the
        complete batch: in a batch, the vector of a text would depend on the other texts.
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
        outputs = self._compute_outputs(text)
        pooled = outputs[:1] if self.settings.pooling == "cls" else outputs
        vector = pooled.sum(axis=0)  # a multiple of the mean; zeros for a text without tokens
        scaled: Values = (vector / max(np.linalg.norm(vector), 1e-12)).astype(np.float32)
        return scaled

    def _compute_outputs(self, text: str) -> Values:
        """Return the outputs for the tokens of a text, shape (tokens, dimensions)."""
        # The tokenizer rejects lone surrogates, which JSON can contain.
        valid = text.encode(errors="replace").decode()
        encoding = self._tokenizer.encode(self.settings.prompt + valid)
        tokens = np.array([encoding.ids], dtype=np.int64)
        available = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        inputs = {
            entry.name: available[entry.name].astype(_INPUT_TYPES.get(entry.type, np.int64))
            for entry in self._session.get_inputs()
        }
        outputs: Values = self._session.run([self._output], inputs)[0][0]
        return outputs.astype(np.float32)

    @cached_property
    def _output(self) -> str | None:
        """Name of the first output with one vector a token; None if there is none."""
        outputs = self._session.get_outputs()
        return next((entry.name for entry in outputs if len(entry.shape or ()) == 3), None)

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # texts are encoded in parallel instead
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors are raised, too
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
        vocabulary_size = encoder._tokenizer.get_vocab_size()
        session = encoder._session
    except ImportError:
        raise
    except Exception as error:  # both libraries raise types of their own
        raise ValueError(f"cannot be loaded ({error}); fetch the encoder again") from error
    inputs = {entry.name for entry in session.get_inputs()}
    if not inputs <= _INPUTS or encoder._output is None:
        shapes = ", ".join(str(entry.shape) for entry in session.get_outputs())
        raise ValueError(
            f"{MODEL_FILE} has the inputs {', '.join(sorted(inputs))} and outputs of shape "
            f"{shapes}, expected token ids and one vector a token; export the encoder for "
            "feature extraction"
        )
    if not vocabulary_size:
        raise ValueError(f"{TOKENIZER_FILE} has no tokens; fetch the encoder again")
    _check_outputs(encoder)
    return encoder


def _check_outputs(encoder: SentenceEncoder) -> None:
    """Check that the encoder can be applied to a short and to a long text.

    Raises:
        ValueError: Network and tokenizer do not belong together, or the length is too large.
    """
    tokens = min(encoder.settings.max_tokens, _PROBED_TOKENS)
    for text in ("a", "a " * _PROBED_TOKENS):
        try:
            is_valid = np.isfinite(encoder._compute_outputs(text)).all()
        except Exception as error:  # onnxruntime raises types of its own
            reason = " ".join(str(error).split())
            raise ValueError(
                f"{MODEL_FILE} cannot be applied to a text of up to {tokens} tokens of "
                f"{TOKENIZER_FILE} ({reason}); use the files of one encoder, and its "
                f"max_seq_length in {LENGTH_FILE}"
            ) from error
        if not is_valid:
            raise ValueError(
                f"{MODEL_FILE} has outputs that are not finite; choose another export of the "
                "encoder"
            )


class _Module(BaseModel):
    type: str


class _Prompts(BaseModel):
    prompts: dict[str, str] | None = None
    default_prompt_name: str | None = None


class _Length(BaseModel):
    max_seq_length: int | None = Field(None, gt=0, le=_MAX_TOKENS)


class _Truncation(BaseModel):
    max_length: int = Field(gt=0, le=_MAX_TOKENS)


class _Tokenizer(BaseModel):
    truncation: _Truncation | None = None


def _read_settings(files: Mapping[str, bytes]) -> EncoderSettings:
    """Return the settings that the configuration files of Sentence Transformers contain."""
    modules: list[_Module] = _parse(files, MODULES_FILE, list[_Module], missing=b"[]")
    for module in modules:
        kind = module.type.rpartition(".")[2]
        if kind not in _MODULES:
            raise ValueError(
                f"{MODULES_FILE} has a module {kind}, expected only {', '.join(_MODULES)}; choose "
                "an encoder without it"
            )
    prompts: _Prompts = _parse(files, PROMPTS_FILE, _Prompts)
    length: _Length = _parse(files, LENGTH_FILE, _Length)
    tokenizer: _Tokenizer = _parse(files, TOKENIZER_FILE, _Tokenizer)
    truncated = tokenizer.truncation.max_length if tokenizer.truncation else _DEFAULT_TOKENS
    return EncoderSettings(
        pooling=_choose_pooling(_parse(files, POOLING_FILE, dict[str, Any])),
        max_tokens=length.max_seq_length or truncated,
        prompt=(prompts.prompts or {}).get(prompts.default_prompt_name or "", ""),
    )


def _choose_pooling(config: Mapping[str, Any]) -> str:
    """Return the one pooling whose `pooling_mode_…` is true; `mean` if none is."""
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


def _parse(files: Mapping[str, bytes], name: str, kind: Any, missing: bytes = b"{}") -> Any:
    """Return the content of a JSON file as an object of this type."""
    try:
        content = files.get(name, missing).removeprefix(codecs.BOM_UTF8)
        return TypeAdapter(kind).validate_json(content)
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False)
        place = ".".join(map(str, first["loc"]))
        reason = f"{place}{': ' if place else ''}{first['msg']}"
        raise ValueError(f"{name}: {reason}; correct it, or fetch the encoder again") from error
