"""Whoever answers `kedro new` with a wrong scenario reads one line, and gets no half project."""

from pathlib import Path

import pytest
import yaml

from support import ROOT, run_kedro

ANSWERS = {"project_name": "Own", "repo_name": "own", "python_package": "quartet"}


@pytest.mark.parametrize("scenarios", ["digitz", "digits, digitz", "", "digits;faq"])
def test_an_unknown_scenario_in_a_file_of_answers_is_one_line(
    scenarios: str, tmp_path: Path
) -> None:
    answers = tmp_path / "answers.yml"
    answers.write_text(yaml.safe_dump({**ANSWERS, "scenarios": scenarios}))
    starter = (f"--starter={ROOT}", "--directory=starter", f"--config={answers}")
    result = run_kedro(tmp_path, "new", *starter, fresh=True)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: scenarios: there is no '")
    assert line.endswith("known are digits, faq, sensors, style, with commas in between, or all")
    assert "Traceback" not in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["answers.yml"]
