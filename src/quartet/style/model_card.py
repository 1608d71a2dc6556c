"""What comes with trained weights: facts in their file, and a page for people.

The page follows Mitchell et al., "Model cards for model reporting" (2019).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quartet.style.photographs import Photographs, Picture, can_be_read
from quartet.style.settings import PaintingDescription, StyleTraining

_COMMAND = "kedro run --pipelines style_transfer --params video=FILE"
_NAMED = 12
"""Photographs named on the card; of more only their number is told."""
_VGG = (
    "VGG-19 of the Visual Geometry Group, University of Oxford (Simonyan and Zisserman, 2014), "
    "[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), converted from Caffe by Justin "
    "Johnson ([jcjohnson/pytorch-vgg](https://github.com/jcjohnson/pytorch-vgg))"
)


@dataclass(frozen=True)
class Painting:
    """The file that a style was learned from."""

    file: str
    width: int
    height: int
    sha256: str

    @classmethod
    def of(cls, file: str, pixels: Picture, sha256: str) -> Painting:
        """With the size of its pixels, of shape (h, w, 3)."""
        return cls(file, pixels.shape[1], pixels.shape[0], sha256)


def training_facts(
    painting: Painting,
    description: PaintingDescription,
    photographs: Photographs,
    vgg_is_caffe: bool,
    settings: StyleTraining,
    version: str,
) -> dict[str, str]:
    """Where weights come from, texts by name: the metadata of their file.

    Args:
        painting: Its file.
        description: What is said of it.
        photographs: Those learned on. Few are named, less any that cannot be read; of many
            the number is told.
        vgg_is_caffe: Whether VGG's weights were those of the Caffe model.
        settings: Of the training.
        version: Of the program.
    """
    facts = {
        "architecture": "TransformerNet of pytorch/examples",
        "painting": painting.file,
        "painting_width": str(painting.width),
        "painting_height": str(painting.height),
        "painting_sha256": painting.sha256,
        "painting_licence": description.licence,
        "photographs": _photographs_told(photographs),
        "vgg": "caffe" if vgg_is_caffe else "other",
        "style_training": json.dumps(settings.model_dump(mode="json"), sort_keys=True),
        "made_by": f"quartet {version}",
    }
    return facts | ({"painting_title": description.title} if description.title else {})


def _photographs_told(photographs: Photographs) -> str:
    if len(photographs) > _NAMED:
        return f"{len(photographs):,}"
    names = [name for name in photographs if can_be_read(photographs, name)]
    return f"{len(names)}: {', '.join(names)}"


def model_card(style: str, facts: Mapping[str, str], metrics: Mapping[str, Any]) -> str:
    """The page, in Markdown.

    Args:
        style: Name of the style, which is that of the weights' file.
        facts: Of `training_facts`.
        metrics: Of the finished training: `content_loss`, `style_loss`, `roughness_loss`,
            `width`, `parameters` and `steps`.
    """
    settings = json.loads(facts["style_training"])
    title = facts.get("painting_title")
    parts = [
        f"# The style `{style}`",
        _what_it_is(style, f"*{title}*" if title else f"`{facts['painting']}`", metrics),
        "## The painting",
        _table(
            {
                "title": title or "not stated",
                "file": f"`{facts['painting']}`",
                "size": f"{facts['painting_width']} × {facts['painting_height']} pixels",
                "SHA-256": f"`{facts['painting_sha256']}`",
                "licence": facts["painting_licence"],
            }
        ),
        "## How it was trained",
        _how(facts, settings),
        _table({name: f"`{_typed(value)}`" for name, value in settings.items()}),
        f"Mean losses at the end, after {metrics['steps']:,} steps and before their weights: "
        f"content {metrics['content_loss']:.3f}, style {metrics['style_loss']:.3f}, roughness "
        f"{metrics['roughness_loss']:.3f}.",
        "## Intended use",
        "Stylizing photographs and videos for people to look at:",
        f"```console\n$ {_COMMAND},style={style}\n```",
        "## Limits",
        _limits(settings),
        "## Rights",
        _rights(facts),
    ]
    return "\n\n".join(parts) + "\n"


def _what_it_is(style: str, painting: str, metrics: Mapping[str, Any]) -> str:
    return (
        f"`{style}.safetensors` holds a feed-forward network that stylizes a picture after "
        f"{painting} in one pass: the network of Johnson et al. (2016) with instance normalisation,"
        f" laid out as `TransformerNet` of pytorch/examples, {metrics['width']} channels wide, "
        f"{metrics['parameters']:,} parameters. RGB from 0 to 255 goes in and comes out."
    )


def _how(facts: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    seen_by = _VGG if facts["vgg"] == "caffe" else "VGG-19 with weights of the user's own"
    return (
        f"By {facts['made_by']}, pipeline `style_training`. Crops of {settings['crop']} × "
        f"{settings['crop']} pixels of photographs ({facts['photographs']}) were stylized; the "
        "network learned to keep what they show and to take on the painting's colours and brush "
        f"strokes, as seen by {seen_by}."
    )


def _limits(settings: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            f"- Brush strokes have a size in pixels, that of the painting scaled to "
            f"{settings['painting_side']} pixels on its shorter side. On pictures much larger than "
            "a screen they are fine; scale such pictures down for broader ones.",
            "- Pictures need at least 24 pixels a side. Plain areas, such as a clear sky, fill "
            "with strokes.",
            "- Frames of a video are stylized one by one, so strokes can flicker.",
            "- It makes no claim about what the painter would have painted, and must not be used "
            "to pass pictures off as the painter's.",
        ]
    )


def _rights(facts: Mapping[str, str]) -> str:
    lines = [f"- The painting: {facts['painting_licence']}."]
    if facts["vgg"] == "caffe":
        lines.append(
            "- VGG-19, which judged the training, is not in these weights; its licence, CC BY 4.0, "
            "asks that its authors are named, as above."
        )
    else:
        lines.append("- The weights of VGG-19 that judged the training: ask whoever trained them.")
    lines.append("- The photographs were only learned on; none of them is in the weights.")
    return "\n".join(lines)


def _table(rows: Mapping[str, str]) -> str:
    lines = [f"| {name} | {text.replace('|', chr(92) + '|')} |" for name, text in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _typed(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else json.dumps(value)
