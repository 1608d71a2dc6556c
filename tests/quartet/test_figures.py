"""The documentation and the README show the measured figures."""

import json

from figures import FIGURES, HEADLINES, PAGE, README, format_machines, format_page, insert_figures


def test_pages_show_the_measured_figures():
    figures = json.loads(FIGURES.read_text())
    assert PAGE.read_text() == format_page(figures)
    assert README.read_text() == insert_figures(README.read_text(), figures)


def test_readme_shows_every_missed_target():
    figures = json.loads(FIGURES.read_text())
    missed = {
        what for rows in figures.values() for what, row in rows.items() if row["reached"] == "no"
    }
    assert missed <= {what for titles in HEADLINES.values() for what in titles}


def test_readme_names_the_machine_of_each_row():
    measured = ["2026-11-21, 2 cores of B", "2026-11-22, 1 core of A", "2026-11-20, 2 cores of B"]
    assert format_machines(measured) == "On 2 cores of B; row 2 on 1 core of A."
    assert format_machines(measured[1:2] * 2) == "On 1 core of A."
    more = [*measured, "2026-11-22, 1 core of A", *measured[:1]]
    assert format_machines(more) == "On 2 cores of B; rows 2 and 4 on 1 core of A."
