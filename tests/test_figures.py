"""The figures that readers see must be those that were measured."""

import json

from figures import FIGURES, PAGE, README, page, with_figures


def test_the_pages_show_the_measured_figures():
    figures = json.loads(FIGURES.read_text())
    assert PAGE.read_text() == page(figures)
    assert README.read_text() == with_figures(README.read_text(), figures)
    for section in figures.values():
        for what in section:
            assert f"| {what} |" in README.read_text()
