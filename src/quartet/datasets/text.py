"""A text for people to read."""

from __future__ import annotations

from html import escape

from kedro_datasets.text import TextDataset  # type: ignore[import-untyped]

from quartet.compat import HTMLPreview


class TextReportDataset(TextDataset):  # type: ignore[misc]
    """Kedro's `text.TextDataset` that Kedro-Viz shows, too.

    ```yaml
    style_card:
      type: quartet.datasets.text.TextReportDataset
      filepath: data/06_models/style/wave.md
    ```
    """

    def preview(self) -> HTMLPreview:
        """The text as it is, in lines as long as the panel is wide."""
        text: str = self.load()
        return HTMLPreview(f'<pre style="white-space: pre-wrap">{escape(text)}</pre>')
