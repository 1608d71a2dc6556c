"""The preview of text in Kedro-Viz."""

import inspect

from quartet.datasets.text import TextReportDataset


def test_preview_escapes_html(tmp_path):
    stored = TextReportDataset(filepath=str(tmp_path / "card.md"))
    stored.save("# The style `a<b>c`\n\n| width | 4 & more |\n")
    shown = stored.preview()
    assert shown.startswith("<pre")
    assert "# The style `a&lt;b&gt;c`\n\n| width | 4 &amp; more |\n</pre>" in shown
    assert inspect.signature(stored.preview).return_annotation == "HTMLPreview"
