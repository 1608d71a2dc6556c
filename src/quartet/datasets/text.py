"""Text reports."""

from __future__ import annotations

from html import escape

from kedro_datasets.text import TextDataset  # type: ignore[import-untyped]

from quartet.compat import HTMLPreview


class TextReportDataset(TextDataset):  # type: ignore[misc]
    """Kedro's `text.TextDataset` with a preview in Kedro-Viz.

    ```yaml
    style_card:
      type: quartet.datasets.text.TextReportDataset
      filepath: data/06_models/style/wave.md
    ```
    """

    def preview(self) -> HTMLPreview:
        """Return the text for Kedro-Viz, with wrapped lines."""
        text: str = self.load()
        return HTMLPreview(f'<pre style="white-space: pre-wrap">{escape(text)}</pre>')
