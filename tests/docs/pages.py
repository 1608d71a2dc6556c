"""Read pages of the documentation, as files and as built."""

import html
import re
from pathlib import Path

from pydantic import BaseModel

from kedro_cloud.core import cloud_settings
from quartet.datasets.sensor_store import sensor_columns
from quartet.digits import settings as digits
from quartet.faq import search_space
from quartet.faq import settings as faq
from quartet.framework import downloads
from quartet.sensors import settings as sensors
from quartet.style import encoding_settings, transfer_settings
from quartet.style import settings as style
from support import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
PAGE_OF = {
    "mnist_training": "mnist_training",
    "faq_ingestion": "faq",
    "faq_tuning": "faq",
    "faq_matching": "faq",
    "sensor_ingestion": "sensors",
    "anomaly_training": "sensors",
    "anomaly_scoring": "sensors",
    "style_training": "style_training",
    "style_transfer": "style_transfer",
    "sample_data": "sample_data",
}
"""By pipeline: its page of the reference."""
SETTINGS = {
    "mnist_training": [digits],
    "faq": [faq, search_space],
    "sensors": [sensors, sensor_columns],
    "style_training": [style],
    "style_transfer": [transfer_settings, encoding_settings],
    "configuration": [cloud_settings, downloads],
}
"""By page of the reference: the modules of its parameters."""
PARTS = {"IntRange", "FloatRange", "Choices", "Baselines"}
"""Models that are not the parameters of a node: forms of one entry, and baselines of tests."""


def models(page: str) -> dict[str, type[BaseModel]]:
    """Return the models of parameters that a page of the reference documents, by name."""
    return {
        name: model
        for module in SETTINGS[page]
        for name, model in vars(module).items()
        if isinstance(model, type) and issubclass(model, BaseModel) and model.model_fields
        if not name.startswith("_") and name not in PARTS
    }


def tables(page: str) -> list[list[list[str]]]:
    """Return the text of each table of an HTML page: rows of cells."""
    return [
        [
            [
                html.unescape(re.sub(r"<[^>]+>", "", cell)).strip()
                for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL)
            ]
            for row in re.findall(r"<tr>(.*?)</tr>", table, flags=re.DOTALL)
        ]
        for table in re.findall(r"<table>(.*?)</table>", page, flags=re.DOTALL)
    ]


def built(site: Path, page: str) -> str:
    """Return the HTML of a page of the reference."""
    return (site / f"reference/{page}/index.html").read_text(encoding="utf-8")


def reference_of(pipeline: str) -> str:
    """Return the page of a pipeline without its generated blocks."""
    text = (DOCS / f"reference/{PAGE_OF[pipeline]}.md").read_text(encoding="utf-8")
    return re.sub(r"^<!-- \w+: .+? -->$.*?^<!-- end -->$", "", text, flags=re.M | re.S)
