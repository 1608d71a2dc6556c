"""Choose the sentence encoder of a run, and keep the vectors that it computed."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quartet import faq
from quartet.faq.settings import AUTO, LEXICAL, TextFeatures

if TYPE_CHECKING:
    from quartet.datasets.encoder_folder import EncoderFolder

Arrays = dict[str, NDArray[Any]]
logger = logging.getLogger(__name__)


def make_encoder(
    folder: EncoderFolder | None, features: TextFeatures, vectors: Arrays | None = None
) -> faq.sentences.SentenceEncoder | None:
    """Return the sentence encoder of a run; None for lexical features only.

    Args:
        folder: The files that the catalog found, if any.
        features: Names the encoder.
        vectors: Vectors of `embed_texts`, which are not computed again if they are of the encoder.

    Raises:
        ValueError: The files are no encoder, or not the one that the parameter names.
    """
    if features.encoder == LEXICAL:
        return None
    found = AUTO if folder is None else folder.path
    if features.encoder not in (AUTO, found):
        raise ValueError(
            f"faq_features.encoder is {features.encoder}, but the folder of sentence_encoder in "
            f"the catalog is {found}; set both, as --params faq_features.encoder=FOLDER does"
        )
    if folder is None:
        return None
    try:
        encoder = faq.sentences.read_encoder(folder.files)
    except ValueError as error:
        raise ValueError(f"faq_features.encoder: {folder.path}: {error}") from error
    if not vectors or faq.text.text_from_array(vectors["encoder"]) != encoder.sha256:
        return encoder
    texts = json.loads(faq.text.text_from_array(vectors["texts"]))
    return encoder.with_known(dict(zip(texts, vectors["vectors"], strict=True)))


def log_encoder(
    encoder: faq.sentences.SentenceEncoder | None,
    folder: EncoderFolder | None,
    features: TextFeatures,
) -> None:
    """Log which encoder the run uses."""
    if encoder is not None and folder is not None:
        logger.info(
            "Texts are compared by words, characters and the sentence encoder of %s (SHA-256 %s…)",
            folder.path,
            encoder.sha256[:12],
        )
    else:
        advice = "; to compare meanings too, run `kedro fetch encoder`"
        logger.info(
            "Texts are compared by words and characters%s",
            advice if features.encoder == AUTO else "",
        )


def embed_texts(
    encoder: faq.sentences.SentenceEncoder | None, *texts: list[str]
) -> tuple[faq.sentences.SentenceEncoder | None, Arrays]:
    """Return the encoder with the vectors of all texts, and these as arrays; empty without one."""
    if encoder is None:
        return None, {}
    unique_texts = list(dict.fromkeys(text for part in texts for text in part))
    vectors = encoder.encode(unique_texts)
    arrays: Arrays = {
        "encoder": faq.text.text_to_array(encoder.sha256),
        "texts": faq.text.text_to_array(json.dumps(unique_texts)),
        "vectors": np.ascontiguousarray(vectors),
    }
    return encoder.with_known(dict(zip(unique_texts, vectors, strict=True))), arrays
