"""A wrong answer to `kedro new` is reported in one line, and leaves no files."""

from pathlib import Path

import pytest
import yaml

from support import ROOT, run_kedro

ANSWERS = {"project_name": "Own", "repo_name": "own", "scenarios": "digits", "azure": "no"}


def report_answers(folder: Path, **answers: str) -> str:
    """Return the only line of output of `kedro new` with these answers in a file."""
    file = folder / "answers.yml"
    file.write_text(yaml.safe_dump({**ANSWERS, **answers}))
    starter = (f"--starter={ROOT}", "--directory=starter", f"--config={file}")
    result = run_kedro(folder, "new", *starter, fresh=True)
    assert result.returncode == 1
    assert "Traceback" not in result.stdout
    assert [path.name for path in folder.iterdir()] == ["answers.yml"]
    (line,) = result.stderr.splitlines()
    return line


@pytest.mark.parametrize("scenarios", ["digitz", "digits, digitz", "", "digits;faq"])
def test_an_unknown_scenario_in_a_file_of_answers_is_one_line(
    scenarios: str, tmp_path: Path
) -> None:
    line = report_answers(tmp_path, scenarios=scenarios)
    assert line.startswith("Error: scenarios: there is no '")
    assert line.endswith("known are digits, faq, sensors, style, with commas in between, or all")


def test_a_package_that_hides_another_module_is_one_line(tmp_path: Path) -> None:
    line = report_answers(tmp_path, python_package="torch")
    assert line == (
        "Error: python_package: 'torch' is the name of another module; choose another one"
    )


def test_another_answer_than_yes_and_no_is_one_line(tmp_path: Path) -> None:
    line = report_answers(tmp_path, azure="perhaps")
    assert line == "Error: azure: 'perhaps' is not an answer; expected yes or no"
