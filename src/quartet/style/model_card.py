"""Provenance of trained weights: metadata for their file, and a model card.

The card follows Mitchell et al., "Model cards for model reporting" (2019).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from quartet.style.photographs import Photographs, Picture, is_readable
from quartet.style.settings import PaintingDescription, StyleTraining

_COMMAND = "kedro run --pipelines style_transfer --params video=FILE"
_MAX_LISTED = 12
"""Photographs listed by name on the card; of more, only the number."""
_VGG = (
    "VGG-19 of the Visual Geometry Group, University of Oxford (Simonyan and Zisserman, 2014), "
    "[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), converted from Caffe by Justin "
    "Johnson ([jcjohnson/pytorch-vgg](https://github.com/jcjohnson/pytorch-vgg))"
)


def build_training_metadata(
    painting_file: str,
    painting_sha256: str,
    painting: Picture,
    description: PaintingDescription,
    photographs: Photographs,
    vgg_is_caffe: bool,
    settings: StyleTraining,
    version: str,
) -> dict[str, str]:
    """Return the provenance of weights as strings by name, for the metadata of their file.

    Args:
        painting_file: Name of the painting's file.
        painting_sha256: SHA-256 of that file.
        painting: Its pixels, shape (h, w, 3).
        description: Title and licence of the painting.
        photographs: Training photographs. Up to twelve are listed by name, without unreadable
            ones; of more, only the number.
        vgg_is_caffe: Whether the weights of VGG-19 were those of the Caffe model.
        settings: Parameters of the training.
        version: Version of the program.
    """
    metadata = {
        "architecture": "TransformerNet of pytorch/examples",
        "painting": painting_file,
        "painting_width": str(painting.shape[1]),
        "painting_height": str(painting.shape[0]),
        "painting_sha256": painting_sha256,
        "painting_licence": description.licence,
        "photographs": _format_photographs(photographs),
        "vgg": "caffe" if vgg_is_caffe else "other",
        "style_training": json.dumps(settings.model_dump(mode="json"), sort_keys=True),
        "made_by": f"quartet {version}",
    }
    return metadata | ({"painting_title": description.title} if description.title else {})


def _format_photographs(photographs: Photographs) -> str:
    if len(photographs) > _MAX_LISTED:
        return f"{len(photographs):,}"
    names = [name for name in photographs if is_readable(photographs, name)]
    return f"{len(names)}: {', '.join(names)}"


def format_model_card(
    style: str, metadata: Mapping[str, str], metrics: Mapping[str, Any], weights_sha256: str
) -> str:
    """Return the model card in Markdown.

    Args:
        style: Name of the style, which is also that of the weights file.
        metadata: Metadata from `build_training_metadata`.
        metrics: Metrics of the training: `content_loss`, `style_loss`, `roughness_loss`,
            `width`, `parameters` and `steps`.
        weights_sha256: Checksum of the weights.
    """
    settings = json.loads(metadata["style_training"])
    title = metadata.get("painting_title")
    parts = [
        f"# The style `{style}`",
        _format_summary(style, f"*{title}*" if title else f"`{metadata['painting']}`", metrics),
        "## The painting",
        _format_table(
            {
                "title": title or "not stated",
                "file": f"`{metadata['painting']}`",
                "size": f"{metadata['painting_width']} × {metadata['painting_height']} pixels",
                "SHA-256": f"`{metadata['painting_sha256']}`",
                "licence": metadata["painting_licence"],
            }
        ),
        "## Training",
        _format_training(metadata, settings),
        _format_table({name: f"`{_format_setting(value)}`" for name, value in settings.items()}),
        f"Mean losses at the end, after {metrics['steps']:,} steps (before weighting): "
        f"content {metrics['content_loss']:.3f}, style {metrics['style_loss']:.3f}, roughness "
        f"{metrics['roughness_loss']:.3f}.",
        f"SHA-256 of the weights: `{weights_sha256}`. The file contains it; it is checked when the "
        "style is loaded.",
        "## Intended use",
        "Stylizing photographs and videos for people to look at:",
        f"```console\n$ {_COMMAND},style={style}\n```",
        "## Limitations",
        _format_limitations(settings),
        "## Licences",
        _format_licences(metadata),
    ]
    return "\n\n".join(parts) + "\n"


def _format_summary(style: str, painting: str, metrics: Mapping[str, Any]) -> str:
    return (
        f"`{style}.safetensors` contains a feed-forward network that stylizes a picture after "
        f"{painting} in one pass: the network of Johnson et al. (2016) with instance normalisation,"
        f" laid out as `TransformerNet` of pytorch/examples, {metrics['width']} channels wide, "
        f"{metrics['parameters']:,} parameters. RGB from 0 to 255 goes in and comes out."
    )


def _format_training(metadata: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    loss_network = _VGG if metadata["vgg"] == "caffe" else "VGG-19 with weights of the user's own"
    return (
        f"By {metadata['made_by']}, pipeline `style_training`. Crops of {settings['crop']} × "
        f"{settings['crop']} pixels of photographs ({metadata['photographs']}) were stylized; the "
        "network learned to keep what they show and to take on the painting's colours and brush "
        f"strokes; the loss network was {loss_network}."
    )


def _format_limitations(settings: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            f"- Brush strokes have a size in pixels, that of the painting scaled to "
            f"{settings['painting_side']} pixels on its shorter side. On pictures much larger than "
            "a screen they look small; scale such pictures down for broader strokes.",
            "- Pictures need at least 24 pixels a side. Uniform areas, such as a clear sky, fill "
            "with strokes.",
            "- Frames of a video are stylized independently, so strokes can flicker.",
            "- It makes no claim about what the painter would have painted, and must not be used "
            "to pass pictures off as the painter's.",
        ]
    )


def _format_licences(metadata: Mapping[str, str]) -> str:
    lines = [f"- The painting: {metadata['painting_licence']}."]
    if metadata["vgg"] == "caffe":
        lines.append(
            "- VGG-19, the loss network of the training, is not part of these weights; its "
            "licence, CC BY 4.0, requires attribution of its authors, as above."
        )
    else:
        lines.append(
            "- The weights of VGG-19, the loss network of the training: ask their authors."
        )
    lines.append("- The photographs were only used for training; the weights do not contain them.")
    return "\n".join(lines)


def _format_table(rows: Mapping[str, str]) -> str:
    lines = [f"| {name} | {text.replace('|', chr(92) + '|')} |" for name, text in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _format_setting(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else json.dumps(value)
