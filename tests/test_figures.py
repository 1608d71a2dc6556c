"""The figures that readers see must be those that were measured."""

import json

from figures import FIGURES, HEADLINES, PAGE, README, page, with_figures


def test_the_pages_show_the_measured_figures():
    figures = json.loads(FIGURES.read_text())
    assert PAGE.read_text() == page(figures)
    assert README.read_text() == with_figures(README.read_text(), figures)


def test_the_readme_hides_no_target_that_was_missed():
    figures = json.loads(FIGURES.read_text())
    missed = {
        what for rows in figures.values() for what, row in rows.items() if row["reached"] == "no"
    }
    assert missed <= {what for titles in HEADLINES.values() for what in titles}
